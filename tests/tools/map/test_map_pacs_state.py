"""The state: what is remembered, what is forgotten, and who may ask."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from _base import ToolError
from pacs.errors import SettingError
from pacs.listing import describe_studies, open_state, retry_study
from pacs.state import DONE, PARKED, SKIPPED, STORING, Row, State, digest_of, key_of

UID = "1.2.826.0.1.1000"


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    """With one study, met at second 5."""
    state = State(tmp_path / "state.sqlite")
    state.meet(UID, 5)
    yield state
    state.close()


def row_of(state: State) -> Row:
    """The study."""
    row = state.get(UID)
    assert row is not None
    return row


def test_a_study_is_named_by_the_hash_of_its_uid(state: State) -> None:
    assert row_of(state).key == hashlib.sha256(UID.encode()).hexdigest() == key_of(UID)


def test_a_study_that_is_met_again_stays_as_it_is(state: State) -> None:
    state.begin(row_of(state))
    before = row_of(state)
    state.meet(UID, 99)
    assert row_of(state) == before and before.attempts == 1


def test_a_set_of_instances_has_one_digest_in_any_order() -> None:
    assert digest_of(["a", "b"]) == digest_of(iter(["b", "a", "a"])) != digest_of(["ab"])


@pytest.mark.parametrize("name", [DONE, SKIPPED])
def test_the_uid_of_a_finished_study_is_gone_from_the_disk(state: State, tmp_path: Path, name: str) -> None:
    path = tmp_path / "state.sqlite"
    assert UID.encode() in path.read_bytes()
    state.finish(row_of(state).key, name)
    assert UID.encode() not in b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert row_of(state).uid is None
    with pytest.raises(ToolError, match="expected an open study, got a finished one"):
        _ = row_of(state).open_uid


def test_only_what_is_due_is_due_and_the_longest_waiting_first(state: State) -> None:
    for number in (1, 2, 3):
        state.meet(f"1.2.{number}", number)
    state.fail(state.get("1.2.1") or row_of(state), 1, 50, "")
    state.finish(key_of("1.2.2"), PARKED)
    assert [row.uid for row in state.due(49)] == ["1.2.3", UID]
    assert [row.uid for row in state.due(50)] == ["1.2.3", UID, "1.2.1"]


def test_results_are_kept_with_the_state_that_stores_them_or_not_at_all(state: State) -> None:
    state.begin(row_of(state))
    with pytest.raises(UnicodeEncodeError):
        state.keep_results(row_of(state).key, ["1.9", "\ud800"])
    assert state.results(row_of(state).key) == set() and row_of(state).state == "running"
    state.keep_results(row_of(state).key, ["1.9", "1.8"])
    assert state.results(row_of(state).key) == {"1.8", "1.9"} and row_of(state).state == STORING
    assert row_of(state).attempts == 0


def test_undo_takes_the_attempt_back(state: State) -> None:
    before = row_of(state)
    state.begin(before)
    state.undo(before, 7, "away")
    assert (row_of(state).attempts, row_of(state).state, row_of(state).next_try) == (0, "waiting", 7)


def test_the_list_shows_what_is_open_and_counts_the_rest(state: State) -> None:
    state.meet("1.2.1", 1)
    state.finish(key_of("1.2.1"), DONE, "2 results stored", 7)
    state.meet("1.2.2", 2)
    state.finish(key_of("1.2.2"), PARKED, "exit 12: bad input")
    assert describe_studies(state) == [
        f"{key_of('1.2.2')[:12]}  parked    1.2.2  exit 12: bad input",
        f"{key_of(UID)[:12]}  waiting   {UID}  attempt 1",
        "3 studies: 1 done, 1 parked, 1 waiting",
    ]
    state.look(key_of("1.2.1"), 8, True)
    assert "(its UID is not kept)  images changed after the results" in describe_studies(state)[0]


def test_an_empty_list(tmp_path: Path) -> None:
    assert describe_studies(State(tmp_path / "state.sqlite")) == ["0 studies: none"]


def test_the_list_of_no_watcher_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="--state: expected a folder with state.sqlite, got none"):
        open_state(tmp_path)


@pytest.mark.parametrize("named", [UID, key_of(UID)[:8], key_of(UID).upper()])
def test_a_parked_study_waits_again(state: State, named: str) -> None:
    state.fail(row_of(state), 6, 10**10, "exit 1")
    state.finish(row_of(state).key, PARKED, "exit 1")
    assert retry_study(state, named) == "the study is taken at the watcher's next look"
    assert (row_of(state).attempts, row_of(state).reason) == (0, "")
    assert [row.uid for row in state.due(0)] == [UID]


def test_a_finished_study_is_taken_again_by_its_uid_only(state: State) -> None:
    state.finish(row_of(state).key, DONE)
    with pytest.raises(SettingError, match="expected the StudyInstanceUID: it is not kept of a finished"):
        retry_study(state, key_of(UID)[:12])
    assert retry_study(state, UID) == "the study is taken again at the watcher's next look"
    assert [row.uid for row in state.due(0)] == [UID]


def test_a_study_never_met_is_taken(state: State) -> None:
    retry_study(state, "1.2.77")
    assert state.get("1.2.77") is not None


def test_results_that_wait_to_be_stored_are_not_made_again(state: State) -> None:
    state.keep_results(row_of(state).key, ["1.9"])
    state.fail(row_of(state), 1, 10**10, "HTTP 409")
    retry_study(state, UID)
    assert [row.state for row in state.due(0)] == [STORING]


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("abc", "expected 8 characters or more of one key, got 0 studies"),
        ("00000000", "expected 8 characters or more of one key, got 0 studies"),
        ("../x", "expected a StudyInstanceUID or a key, got another text"),
    ],
)
def test_what_names_no_study_is_refused(state: State, named: str, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        retry_study(state, named)


def test_a_running_study_is_not_taken_again(state: State) -> None:
    state.begin(row_of(state))
    with pytest.raises(SettingError, match="expected a study that is not running, got one that is"):
        retry_study(state, UID)
