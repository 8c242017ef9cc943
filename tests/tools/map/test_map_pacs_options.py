"""The command line of the watcher: what it refuses, --list, --retry, --once, and an orderly end."""

from __future__ import annotations

import datetime
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import watch_pacs
from dicomweb_server import FakeServer, serve
from pacs.access import PASSWORD, TOKEN
from pacs.state import State
from toy_pacs import build_instance, study_uid, write_command

TOY_BUNDLE = Path(__file__).resolve().parents[3] / "bundles" / "ksam_kidney_seg"


@pytest.fixture
def pacs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    """A server with one study."""
    for name in (TOKEN, PASSWORD):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(watch_pacs, "prepare_process", lambda: None)
    with serve(tmp_path / "pacs") as fake:
        fake.add(build_instance(0, 0))
        yield fake


def words(pacs: FakeServer, tmp_path: Path, *more: str) -> list[str]:
    """The command line of one look; later words win."""
    usual = ["--state", str(tmp_path / "state"), "--url", pacs.url, "--modality", "CT"]
    once = ["--once", "--quiet", "0", "--min-free-gb", "0", "--command", write_command(tmp_path)[0]]
    return [*usual, *once, *more]


def test_once_does_what_is_due_and_the_list_tells(
    pacs: FakeServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert watch_pacs.main(words(pacs, tmp_path)) == 0
    assert "done, 2 results stored" in capsys.readouterr().out
    assert watch_pacs.main(["--state", str(tmp_path / "state"), "--list"]) == 0
    assert capsys.readouterr().out == "1 studies: 1 done\n"
    assert watch_pacs.main(["--state", str(tmp_path / "state"), "--retry", study_uid(0)]) == 0
    assert watch_pacs.main(words(pacs, tmp_path)) == 0
    assert len((tmp_path / "runs.txt").read_text().splitlines()) == 2


def test_options_may_stand_in_a_file(pacs: FakeServer, tmp_path: Path) -> None:
    (tmp_path / "options").write_text("\n".join(words(pacs, tmp_path)), encoding="utf-8")
    assert watch_pacs.main([f"@{tmp_path / 'options'}"]) == 0
    assert len(pacs.stored) == 2


def test_once_beside_a_server_that_is_away_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], pacs: FakeServer
) -> None:
    assert watch_pacs.main(words(pacs, tmp_path, "--url", "http://127.0.0.1:9/dicom-web")) == 75
    assert "the server does not answer: check that it runs" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--url", ""], "--url: expected one, got none: give it"),
        (["--modality", ""], "--modality: expected one, got none"),
        (["--modality", "ct&x=1"], "--modality: expected a DICOM modality such as CT"),
        (["--description", "("], "--description: expected a regular expression"),
        (["--command", "true"], "--command: expected {input} in it"),
        (["--user", "me"], "got a user without a password"),
        (["--ca", "none.pem"], "--ca: expected a PEM file"),
    ],
)
def test_the_watcher_does_not_start_with_a_wrong_option(
    pacs: FakeServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], message: str
) -> None:
    assert watch_pacs.main(words(pacs, tmp_path, *more)) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ") and message in said and said.count("\n") == 1
    assert pacs.requests == []


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--attempts", "0"], "expected a whole number from 1, got '0'"),
        (["--quiet", "-1"], "expected a number from 0, got '-1'"),
        (["--quiet", "nan"], "expected a number from 0, got 'nan'"),
        (["--quiet", "soon"], "expected a number from 0, got 'soon'"),
        (["--since", "yesterday"], "expected YYYY-MM-DD, got 'yesterday'"),
    ],
)
def test_numbers_and_days_are_checked(
    pacs: FakeServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], message: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        watch_pacs.main(words(pacs, tmp_path, *more))
    assert message in capsys.readouterr().err


def test_without_command_and_bundle_it_does_not_start(
    pacs: FakeServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = words(pacs, tmp_path)
    del line[line.index("--command") :]
    for more in ([], ["--bundle", str(tmp_path)]):
        assert watch_pacs.main([*line, *more]) == 1
        assert "expected --command, or --bundle with a bundle's folder" in capsys.readouterr().err


def test_a_bundle_is_run_by_the_application(tmp_path: Path) -> None:
    said = shlex.split(watch_pacs.bundle_command(TOY_BUNDLE))
    assert Path(said[1], "__main__.py").is_file() and said[2:] == [
        *("--plain", "--bundle", str(TOY_BUNDLE)),
        *("--input", "{input}", "--output", "{output}"),
    ]


def test_a_wrong_study_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert watch_pacs.main(["--state", str(tmp_path), "--list"]) == 1
    State(tmp_path / "state.sqlite").close()
    assert watch_pacs.main(["--state", str(tmp_path), "--retry", "12345678"]) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2 and all(line.startswith("error: --") for line in said)


def test_the_day_of_the_first_start_is_where_it_begins(pacs: FakeServer, tmp_path: Path) -> None:
    watch_pacs.main(words(pacs, tmp_path))
    state = State(tmp_path / "state" / "state.sqlite")
    assert state.note("since") == state.note("reached") == datetime.date.today().isoformat()


@pytest.mark.slow
def test_an_orderly_end_takes_the_attempt_back_and_ends_the_command(pacs: FakeServer, tmp_path: Path) -> None:
    """`systemctl stop`: SIGTERM while the command runs."""
    begun = tmp_path / "begun"
    line = words(pacs, tmp_path)
    write_command(tmp_path, f"open({str(begun)!r}, 'w').close(); time.sleep(600)")
    process = subprocess.Popen([sys.executable, watch_pacs.__file__, *line])
    until = time.monotonic() + 60
    while not begun.exists() and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    row = State(tmp_path / "state" / "state.sqlite").get(study_uid(0))
    assert row is not None and (row.state, row.attempts) == ("waiting", 0)
    lock = str(tmp_path / "state" / "watch.lock")
    subprocess.run(["flock", "--nonblock", lock, "true"], check=True)


@pytest.mark.slow
def test_state_is_for_its_owner_alone_and_headers_are_not_quoted(pacs: FakeServer, tmp_path: Path) -> None:
    (path,) = pacs.folder.glob("*.dcm")
    path.write_bytes(path.read_bytes().replace(b"SECRET0", b"SECRET\x1b"))  # pydicom warns: unknown escape
    command = [sys.executable, "-W", "always", watch_pacs.__file__, *words(pacs, tmp_path)]
    said = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "done, 2 results" in said.stdout and "SECRET" not in said.stdout + said.stderr
    for path in (tmp_path / "state").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path.name
