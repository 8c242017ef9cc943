"""The watcher is killed (SIGKILL) at every moment; what it goes on from loses nothing and doubles nothing.

The UIDs of the toy command's results are new in every run: results that are stored twice would be seen.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytest
from dicomweb_server import FakeServer, serve
from toy_pacs import RESULTS, build_instance, build_watcher, started, study_uid, write_command

CODE = str(Path(__file__).resolve().parents[3] / "tools" / "map" / "pacs")
STUDIES, IMAGES = 2, 3
FIRST_STUDY = 12
"""Requests until the first study is done: nine to find and fetch, one to store, two to look."""


def fill(fake: FakeServer) -> None:
    """Two studies of three images."""
    for study in range(STUDIES):
        for number in range(IMAGES):
            fake.add(build_instance(study, number))


def check_nothing_lost_or_doubled(fake: FakeServer, folder: Path, kills: int = 1) -> None:
    """Each study has the results of one run, all images, and nothing else; no work is left.

    Args:
        fake: the server.
        folder: of the test.
        kills: times that the watcher was killed: each may cost one more run, and not more.
    """
    for study in range(STUDIES):
        found = [one for one in fake.headers() if one.StudyInstanceUID == study_uid(study)]
        assert sum(one.Modality == "CT" for one in found) == IMAGES
        assert sum(one.Modality == "OT" for one in found) == RESULTS
    assert len(fake.headers()) == STUDIES * (IMAGES + RESULTS)
    assert len((folder / "runs.txt").read_text().splitlines()) <= STUDIES + kills
    assert not list((folder / "state" / "work").iterdir())


def cycle(url: str, folder: Path, command: str) -> list[str]:
    """One cycle of a new watcher. Returns the states of all studies after it."""
    watcher = build_watcher(url, folder / "state", command, [], attempts=100)
    watcher.try_cycle()
    states = [row.state for row in watcher.state.all()]
    watcher.state.close()
    os.close(watcher.runner.command.lock)
    return states


def run_in_child(work: Callable[[], object]) -> int:
    """Run in a fork of this process. Returns its exit status; -9 when it was killed."""
    child = os.fork()
    if child == 0:
        work()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def trace_lines(on_line: Callable[[tuple[str, int]], None]) -> None:
    """Call with file and number for every line of the watcher's own code that is about to run."""

    def trace(frame: FrameType, event: str, _: object) -> Callable | None:
        if not frame.f_code.co_filename.startswith(CODE):
            return None
        if event == "line":
            on_line((frame.f_code.co_filename, frame.f_lineno))
        return trace

    sys.settrace(trace)


def kill_at(moment: int) -> None:
    """Kill this process before it runs the line with this number, in the order of running."""
    left = [moment]

    def count(_: tuple[str, int]) -> None:
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    trace_lines(count)


def find_moments(folder: Path) -> list[int]:
    """The first and the last time that each line of the code is run in a cycle over two studies."""
    noted = folder / "lines.json"

    def work() -> None:
        lines: list[tuple[str, int]] = []
        trace_lines(lines.append)
        cycle(fake.url, folder, command)
        sys.settrace(None)
        noted.write_text(json.dumps(lines))

    folder.mkdir()
    with serve(folder / "pacs") as fake:
        fill(fake)
        command, _ = write_command(folder)
        assert run_in_child(work) == 0
    lines = [tuple(line) for line in json.loads(noted.read_text())]
    first = {line: moment for moment, line in reversed(list(enumerate(lines)))}
    last = {line: moment for moment, line in enumerate(lines)}
    return sorted({*first.values(), *last.values()})


def kill_and_go_on(folder: Path, moment: int) -> None:
    """Kill at a moment, start again until all is done, and look at what is there."""
    folder.mkdir()
    with serve(folder / "pacs") as fake:
        fill(fake)
        command, _ = write_command(folder)

        def work() -> None:
            kill_at(moment)
            cycle(fake.url, folder, command)

        assert run_in_child(work) == -signal.SIGKILL
        wait_for_command(folder)
        states = cycle(fake.url, folder, command)
        assert states == ["done"] * STUDIES
        check_nothing_lost_or_doubled(fake, folder)
        stored = fake.uids()
        assert cycle(fake.url, folder, command) == states and fake.uids() == stored


def wait_for_command(folder: Path) -> None:
    """As a new start does: wait until a command that was left has ended."""
    subprocess.run(["flock", str(folder / "state" / "watch.lock"), "true"], check=True, timeout=60)


def test_killed_at_some_lines(tmp_path: Path) -> None:
    """A few of the moments of the slow test."""
    moments = find_moments(tmp_path / "count")
    assert len(moments) > 200
    for moment in random.Random(0).sample(moments, 4):
        kill_and_go_on(tmp_path / f"at_{moment}", moment)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_killed_at_every_line(tmp_path: Path) -> None:
    """The first and the last time that each line of the watcher's own code is run for two studies."""
    for moment in find_moments(tmp_path / "count"):
        kill_and_go_on(tmp_path / f"at_{moment}", moment)
        shutil.rmtree(tmp_path / f"at_{moment}")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_killed_at_every_request(tmp_path: Path) -> None:
    """The server kills the watcher when its request has come, before it answers; what it was sent counts."""
    for number in range(1, FIRST_STUDY + 1):
        folder = tmp_path / str(number)
        folder.mkdir()
        with serve(folder / "pacs") as fake:
            fill(fake)
            command, _ = write_command(folder)
            child = os.fork()
            if child == 0:
                time.sleep(0.05)
                cycle(fake.url, folder, command)
                os._exit(0)

            def kill(count: int, _: str, child: int = child, number: int = number) -> None:
                if count == number:
                    os.kill(child, signal.SIGKILL)

            fake.on_request = kill
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
            assert cycle(fake.url, folder, command) == ["done"] * STUDIES
            check_nothing_lost_or_doubled(fake, folder)


@pytest.mark.slow
def test_a_command_that_a_killed_watcher_left_ends_before_a_new_one_begins(tmp_path: Path) -> None:
    """Two runs of one study never overlap."""
    wait = "open(runs + '.begun', 'a').write('x')\nwhile not os.path.exists(runs + '.go'): time.sleep(0.01)"
    command, runs = write_command(tmp_path, wait + "\nopen(runs + '.ended', 'a').write('x')")
    begun, go, ended = (runs.with_name(f"runs.txt.{name}") for name in ("begun", "go", "ended"))
    with serve(tmp_path / "pacs") as fake:
        fake.add(build_instance(0, 0))
        with started(fake.url, tmp_path, command):
            wait_until(begun.exists)
        with started(fake.url, tmp_path, command, "--once") as process:
            assert process.stdout is not None
            assert "a command that a killed one left, is at work here" in process.stdout.readline()
            assert begun.read_text() == "x" and not ended.exists()
            go.touch()
            said, _ = process.communicate(timeout=60)
    assert begun.read_text() == ended.read_text() == "xx"
    assert "was cut short: begins anew" in said and len(fake.stored) == RESULTS


def wait_until(ready: Callable[[], bool]) -> None:
    """Wait at most a minute."""
    until = time.monotonic() + 60
    while not ready():
        assert time.monotonic() < until, "waited for a minute"
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_killed_at_random_times(tmp_path: Path) -> None:
    """The real service, killed 40 times while it works through two studies again and again."""
    chance = random.Random(1)
    command, _ = write_command(tmp_path, "time.sleep(0.3)")
    with serve(tmp_path / "pacs") as fake:
        fill(fake)
        for _ in range(40):
            with started(fake.url, tmp_path, command):
                time.sleep(chance.uniform(0.5, 3))
        with started(fake.url, tmp_path, command, "--once") as process:
            process.communicate(timeout=120)
        check_nothing_lost_or_doubled(fake, tmp_path, kills=40)
