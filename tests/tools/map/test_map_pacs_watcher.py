"""What becomes of a study, against a small DICOMweb server: quiet, run, stored, retried, skipped, parked."""

from __future__ import annotations

import datetime
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from dicomweb_server import FakeServer, serve
from pacs.state import key_of
from pacs.watcher import Watcher
from toy_pacs import RESULTS, build_instance, build_watcher, study_uid, write_command


@pytest.fixture
def pacs(tmp_path: Path) -> Iterator[FakeServer]:
    """A server with study 0, three CT images."""
    with serve(tmp_path / "pacs") as fake:
        for number in range(3):
            fake.add(build_instance(0, number))
        yield fake


@pytest.fixture
def said() -> list[str]:
    """What the watcher says."""
    return []


def start(pacs: FakeServer, tmp_path: Path, said: list[str], before: str = "", **rules: object) -> Watcher:
    """A watcher with the toy command."""
    return build_watcher(pacs.url, tmp_path / "state", write_command(tmp_path, before)[0], said, **rules)


def runs(tmp_path: Path) -> list[str]:
    """A line for each run of the command: study and number of files."""
    return (tmp_path / "runs.txt").read_text().splitlines()


def state_of(watcher: Watcher, study: int = 0) -> str:
    """State of a toy study."""
    row = watcher.state.get(study_uid(study))
    return "unknown" if row is None else row.state


def test_a_study_is_run_once_and_its_results_are_in_it(
    pacs: FakeServer, tmp_path: Path, said: list[str]
) -> None:
    watcher = start(pacs, tmp_path, said)
    for _ in range(3):
        assert watcher.try_cycle()
    assert runs(tmp_path) == [f"{study_uid(0)} 3"]
    assert len(pacs.stored) == RESULTS == len(pacs.uids()) - 3
    assert {one.StudyInstanceUID for one in pacs.headers()} == {study_uid(0)}
    assert state_of(watcher) == "done" and not list((tmp_path / "state" / "work").iterdir())


def test_nothing_of_the_patient_is_in_log_or_state(pacs: FakeServer, tmp_path: Path, said: list[str]) -> None:
    watcher = start(pacs, tmp_path, said)
    watcher.try_cycle()
    watcher.state.close()
    kept = "".join(said) + (tmp_path / "state" / "state.sqlite").read_bytes().decode("latin-1")
    assert key_of(study_uid(0))[:12] in kept
    assert not any(word in kept for word in ("Sally", "SECRET", study_uid(0) + "\x00", f"{study_uid(0)}.1"))
    assert study_uid(0) not in kept


def test_a_study_waits_until_no_image_has_come_for_a_while(
    pacs: FakeServer, tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher, now = start(pacs, tmp_path, said, quiet_s=60.0), time.time()
    monkeypatch.setattr("pacs.watcher.time.time", lambda: now)
    watcher.try_cycle()
    now += 50
    pacs.add(build_instance(0, 3))
    watcher.try_cycle()
    now += 50
    watcher.try_cycle()
    assert runs(tmp_path) == []
    now += 10
    watcher.try_cycle()
    assert runs(tmp_path) == [f"{study_uid(0)} 4"]


def test_a_clock_that_was_set_back_does_not_end_the_waiting_early(
    pacs: FakeServer, tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher, now = start(pacs, tmp_path, said, quiet_s=60.0), time.time()
    monkeypatch.setattr("pacs.watcher.time.time", lambda: now)
    watcher.try_cycle()
    now -= 10**6
    for ran in (0, 0, 1):
        watcher.try_cycle()
        assert len(runs(tmp_path)) == ran
        now += 30


def test_images_of_another_modality_are_not_fetched_and_do_not_reopen(
    pacs: FakeServer, tmp_path: Path, said: list[str]
) -> None:
    pacs.add(build_instance(0, 0, modality="PT", series=2))
    watcher = start(pacs, tmp_path, said)
    watcher.try_cycle()
    pacs.add(build_instance(0, 1, modality="PT", series=2))
    watcher.try_cycle()
    assert runs(tmp_path) == [f"{study_uid(0)} 3"] and not any("changed" in line for line in said)
    assert not any(path.endswith(f"{study_uid(0)}.2") for path in pacs.requests)


def test_images_after_the_results_are_reported_once_and_not_run(
    pacs: FakeServer, tmp_path: Path, said: list[str]
) -> None:
    watcher = start(pacs, tmp_path, said)
    watcher.try_cycle()
    pacs.add(build_instance(0, 7))
    for _ in range(3):
        watcher.try_cycle()
    row = watcher.state.get(study_uid(0))
    assert len(runs(tmp_path)) == 1 and row is not None and row.late
    assert sum("images changed after its results" in line for line in said) == 1


def test_images_that_come_while_results_wait_to_be_stored_are_reported(
    pacs: FakeServer, tmp_path: Path, said: list[str]
) -> None:
    watcher = start(pacs, tmp_path, said)
    pacs.refuse = True
    watcher.try_cycle()
    assert state_of(watcher) == "storing"
    pacs.add(build_instance(0, 7))
    pacs.refuse = False
    for _ in range(3):
        watcher.try_cycle()
    row = watcher.state.get(study_uid(0))
    assert len(runs(tmp_path)) == 1 and row is not None and (row.state, row.late) == ("done", 1)
    assert sum("images changed after its results" in line for line in said) == 1


def test_a_retried_study_is_run_again_without_its_own_results(
    pacs: FakeServer, tmp_path: Path, said: list[str]
) -> None:
    watcher = start(pacs, tmp_path, said)
    watcher.try_cycle()
    pacs.add(build_instance(0, 7))
    watcher.state.reopen(study_uid(0), time.time())
    watcher.try_cycle()
    assert runs(tmp_path) == [f"{study_uid(0)} 3", f"{study_uid(0)} 4"]
    assert len(pacs.uids()) == 4 + 2 * RESULTS


def test_images_that_come_during_the_run_make_it_run_again_before_anything_is_stored(
    pacs: FakeServer, tmp_path: Path, said: list[str]
) -> None:
    seen = iter([True])

    def add_one(_: int, request: str) -> None:
        if "/series/" in request and next(seen, False):
            pacs.add(build_instance(0, 8))

    pacs.on_request = add_one
    watcher = start(pacs, tmp_path, said)
    watcher.try_cycle()
    assert not pacs.stored and state_of(watcher) == "waiting"
    watcher.try_cycle()
    assert runs(tmp_path) == [f"{study_uid(0)} 3", f"{study_uid(0)} 4"] and len(pacs.stored) == RESULTS


@pytest.mark.parametrize(
    ("status", "state"), [(10, "skipped"), (11, "parked"), (12, "parked"), (14, "parked")]
)
def test_what_would_end_the_same_is_not_tried_again_until_images_come(
    pacs: FakeServer, tmp_path: Path, said: list[str], status: int, state: str
) -> None:
    watcher = start(
        pacs,
        tmp_path,
        said,
        f"len(files) < 4 and (print('no kidney'), sys.stdout.flush(), os._exit({status}))",
    )
    for _ in range(3):
        watcher.try_cycle()
    assert state_of(watcher) == state and len(runs(tmp_path)) == 1
    assert said[-1].endswith(f"{state}: exit {status}: no kidney")
    pacs.add(build_instance(0, 9))
    watcher.try_cycle()
    assert state_of(watcher) == "done" and len(runs(tmp_path)) == 2


@pytest.mark.parametrize("status", [1, 13, 137])
def test_a_failing_command_is_tried_again_and_then_parked(
    pacs: FakeServer, tmp_path: Path, said: list[str], status: int
) -> None:
    watcher = start(pacs, tmp_path, said, f"print('Sally'); sys.exit({status})")
    for _ in range(5):
        watcher.try_cycle()
    assert len(runs(tmp_path)) == 3 and state_of(watcher) == "parked"
    assert said[-1].endswith(f"parked: after 3 attempts: exit {status}: ***")


def test_the_time_between_attempts_doubles(
    pacs: FakeServer, tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher = start(pacs, tmp_path, said, "sys.exit(1)", attempts=9, first_wait_s=60.0)
    now = start_s = time.time()
    monkeypatch.setattr("pacs.watcher.time.time", lambda: now)
    tried = []
    while len(tried) < 5:
        before = len(runs(tmp_path))
        watcher.try_cycle()
        if len(runs(tmp_path)) > before:
            tried.append(round((now - start_s) / 60))
        now += 60
    assert tried == [0, 1, 3, 7, 15]


def test_an_attempt_that_the_server_spoils_is_not_counted(
    pacs: FakeServer, tmp_path: Path, said: list[str]
) -> None:
    pacs.status = lambda method, path: 503 if "/series/" in path else None
    watcher = start(pacs, tmp_path, said, interval_s=0.0)
    for _ in range(5):
        assert not watcher.try_cycle()
    row = watcher.state.get(study_uid(0))
    assert row is not None and row.state == "waiting" and row.attempts == 0
    assert [line for line in said if "503" in line] == [
        "the server answers with HTTP 503: try again (looking again every 0 s)"
    ]
    pacs.status = lambda method, path: None
    assert watcher.try_cycle() and said[-1] == "all is well again" and state_of(watcher) == "done"


def test_a_server_that_is_away_is_said_once(tmp_path: Path, said: list[str]) -> None:
    with serve(tmp_path / "pacs") as fake:
        watcher = start(fake, tmp_path, said)
    assert [watcher.try_cycle() for _ in range(3)] == [False] * 3
    assert said == ["the server does not answer: check that it runs (looking again every 1 s)"]


def test_a_cut_transfer_is_a_failed_attempt(pacs: FakeServer, tmp_path: Path, said: list[str]) -> None:
    pacs.cut = True
    watcher = start(pacs, tmp_path, said)
    watcher.try_cycle()
    assert said[-1].endswith("the connection ended before: try again")
    pacs.cut = False
    watcher.try_cycle()
    assert state_of(watcher) == "done" and runs(tmp_path) == [f"{study_uid(0)} 3"]


def test_results_that_the_server_refuses_are_sent_again_without_a_new_run(
    pacs: FakeServer, tmp_path: Path, said: list[str]
) -> None:
    pacs.refuse = True
    watcher = start(pacs, tmp_path, said)
    watcher.try_cycle()
    assert state_of(watcher) == "storing"
    assert "expected 2 results in the study, got 0 (HTTP 409, failure reason 43264)" in said[-1]
    pacs.refuse = False
    watcher.try_cycle()
    assert state_of(watcher) == "done" and len(runs(tmp_path)) == 1 and len(pacs.stored) == RESULTS


def test_a_full_disk_is_said_and_not_counted(
    pacs: FakeServer, tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28), "/a/path")

    watcher = start(pacs, tmp_path, said, interval_s=0.0)
    with monkeypatch.context() as patch:
        patch.setattr("pacs.study.make_durable", full)
        assert not watcher.try_cycle()
    row = watcher.state.get(study_uid(0))
    assert row is not None and (row.state, row.attempts) == ("waiting", 0) and not pacs.stored
    assert said[-1] == (
        "state and work folders: No space left on device: free some (looking again every 0 s)"
    )
    assert watcher.try_cycle() and state_of(watcher) == "done"


def test_nothing_is_begun_where_too_little_space_is_left(
    pacs: FakeServer, tmp_path: Path, said: list[str]
) -> None:
    watcher = start(pacs, tmp_path, said)
    object.__setattr__(watcher.runner, "min_free_gb", 1e9)
    assert not watcher.try_cycle() and runs(tmp_path) == []
    assert "expected 1e+09 GB free for the work folder, got" in said[-1]


def test_an_unforeseen_fault_is_one_failed_attempt_without_its_text(
    pacs: FakeServer, tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("Sally")

    watcher = start(pacs, tmp_path, said)
    monkeypatch.setattr("pacs.study.make_durable", broken)
    assert watcher.try_cycle()
    assert "RuntimeError in test_map_pacs_watcher.py:" in said[-1] and "Sally" not in said[-1]


def test_the_description_chooses_studies(pacs: FakeServer, tmp_path: Path, said: list[str]) -> None:
    pacs.add(build_instance(1, 0, StudyDescription="Head"))
    watcher = start(pacs, tmp_path, said, description=re.compile("kidney", re.IGNORECASE))
    watcher.try_cycle()
    assert (state_of(watcher, 0), state_of(watcher, 1)) == ("done", "unknown")


def test_studies_from_before_the_first_start_are_left_alone_unless_asked_for(
    pacs: FakeServer, tmp_path: Path, said: list[str]
) -> None:
    pacs.add(build_instance(1, 0, date="20200101"))
    start(pacs, tmp_path, said).try_cycle()
    watcher = start(pacs, tmp_path, said)
    watcher.try_cycle()
    assert (state_of(watcher, 0), state_of(watcher, 1)) == ("done", "unknown")
    watcher = start(pacs, tmp_path, said, since=datetime.date(2020, 1, 1))
    watcher.try_cycle()
    assert state_of(watcher, 1) == "done"


def test_after_days_without_the_watcher_it_asks_for_all_of_them(
    pacs: FakeServer, tmp_path: Path, said: list[str]
) -> None:
    watcher = start(pacs, tmp_path, said, late_days=7)
    watcher.state.write_notes(since="2020-01-01", reached="2024-05-20")
    asked = []
    pacs_find = watcher.runner.server.find_studies
    object.__setattr__(watcher.runner, "server", _Spy(watcher.runner.server, asked, pacs_find))
    watcher.try_cycle()
    watcher.try_cycle()
    week_ago = datetime.date.today() - datetime.timedelta(7)
    assert asked == ["20240513", f"{week_ago:%Y%m%d}"]


class _Spy:
    """A server that notes from which day on it is asked."""

    def __init__(self, server: object, asked: list[str], find: object) -> None:
        self._server, self._asked, self._find = server, asked, find

    def find_studies(self, modality: str, since: str) -> object:
        self._asked.append(since)
        return self._find(modality, since)  # type: ignore[operator]

    def __getattr__(self, name: str) -> object:
        return getattr(self._server, name)


def test_a_server_that_does_not_count_instances_is_asked_for_them(
    pacs: FakeServer, tmp_path: Path, said: list[str]
) -> None:
    pacs.counts = False
    watcher = start(pacs, tmp_path, said)
    watcher.try_cycle()
    pacs.add(build_instance(0, 7))
    watcher.try_cycle()
    assert any("images changed after its results" in line for line in said)


def test_a_study_that_lost_its_images_is_skipped(pacs: FakeServer, tmp_path: Path, said: list[str]) -> None:
    watcher = start(pacs, tmp_path, said, quiet_s=0.0)
    watcher.poll()
    for path in pacs.folder.glob("*.dcm"):
        path.unlink()
    watcher.try_cycle()
    assert said[-1].endswith("skipped: no image of modality CT is in it") and runs(tmp_path) == []


def test_results_that_are_gone_from_the_work_folder_are_made_again(
    pacs: FakeServer, tmp_path: Path, said: list[str]
) -> None:
    pacs.refuse = True
    watcher = start(pacs, tmp_path, said)
    watcher.try_cycle()
    watcher.runner.remove(key_of(study_uid(0)))
    pacs.refuse = False
    watcher.try_cycle()
    watcher.try_cycle()
    assert len(runs(tmp_path)) == 2 and state_of(watcher) == "done" and len(pacs.stored) == RESULTS
