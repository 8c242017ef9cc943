"""A disk that is really full: the state and work folder is a tmpfs of few kilobytes."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from dicomweb_server import serve
from toy_pacs import WATCHER, build_instance, write_command

pytestmark = pytest.mark.slow
ENTER = ["unshare", "--mount", "--map-root-user"]


@pytest.fixture(autouse=True)
def mounts_are_permitted() -> None:
    """Skips where they are not."""
    if subprocess.run([*ENTER, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True).returncode:
        pytest.skip("needs a mount namespace: unshare --mount --map-root-user is not permitted here")


def run(tmp_path: Path, url: str, size_kb: int, then: str) -> list[str]:
    """Look once with a state folder of that size, do something, look again. Returns lines and exit codes."""
    state = tmp_path / "state"
    state.mkdir()
    words = [sys.executable, WATCHER, "--state", state, "--url", url, "--modality", "CT", "--once"]
    words += [
        "--interval",
        "1",
        "--quiet",
        "0",
        "--min-free-gb",
        "0",
        "--command",
        write_command(tmp_path)[0],
    ]
    watch = f"{shlex.join(map(str, words))} 2>&1; echo exit $?"
    script = f"mount -t tmpfs -o size={size_kb}k tmpfs {state}; {watch}; cd {state}; {then}; {watch}"
    done = subprocess.run([*ENTER, "sh", "-c", script], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_a_study_that_does_not_fit_is_done_when_there_is_space(tmp_path: Path) -> None:
    with serve(tmp_path / "pacs") as fake:
        one = build_instance(0, 0)
        one.EncapsulatedDocument = bytes(1_000_000)
        fake.add(one)
        said = run(tmp_path, fake.url, 400, "mount -o remount,size=9m .; sleep 1")
        assert len(fake.stored) == 2
    assert "state and work folders: No space left on device: free some" in said[1]
    assert said[2] == "exit 75" and "attempt 1 of 6" in said[3]
    assert "done, 2 results stored" in said[4] and said[5] == "exit 0"


def test_a_state_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    with serve(tmp_path / "pacs") as fake:
        fake.add(build_instance(0, 0))
        said = run(tmp_path, fake.url, 4, "mount -o remount,size=9m .; sleep 1")
        assert len(fake.stored) == 2
    assert said[0] == "error: state file: unable to open database file: check the disk" or (
        said[0].startswith("error: state file: ") and "full" in said[0]
    )
    assert said[1] == "exit 75" and said[-1] == "exit 0"
