"""Making a virtual environment and filling it with pip, with a short line of progress every few seconds."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from _base import PYTHON_VERSION, ToolError, clock, say

PROGRESS_EVERY_S = 10.0


def create_environment(folder: Path) -> None:
    """Make `folder` an empty virtual environment of the running Python; what was in it is removed."""
    say(f"making {folder.name} with Python {PYTHON_VERSION}")
    base_python = getattr(sys, "_base_executable", "") or sys.executable
    run_quietly([base_python, "-m", "venv", "--clear", "--without-pip", str(folder)], f"making {folder.name}")


def provide_pip(python: Path) -> None:
    """Put pip beside `python`: by ensurepip or, where the system has none, by the running Python's pip."""
    if succeeds([str(python), "-c", "import pip"]) or succeeds([str(python), "-m", "ensurepip"]):
        return
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = subprocess.check_output([str(python), "-c", ask], text=True).strip()
    command = [sys.executable, "-m", "pip", "install", "--no-input", "--target", site, "pip"]
    run_quietly(command, "installing pip (this Python has neither ensurepip nor pip?)")


def succeeds(command: list[str]) -> bool:
    """Whether the command ends with status zero; its output is dropped."""
    return subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL).returncode == 0


def run_quietly(command: list[str], what: str) -> None:
    """Run a command; raises ToolError with the last line of its output when it fails."""
    done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, text=True)
    if done.returncode:
        reason = ((done.stdout + done.stderr).strip().splitlines() or ["no message"])[-1]
        raise ToolError(f"{what} failed: {reason}")


def install_requirements(
    python: Path, requirements: Path, log: Path, lock_handle: int, options: Sequence[str] = ()
) -> None:
    """Run `pip install OPTIONS -r requirements`, its whole output in `log`.

    pip inherits the lock: were this process killed, nobody would start before pip has ended as well.

    Raises:
        ToolError: pip failed.
    """
    command = [str(python), "-m", "pip", "install", "--no-input", "--progress-bar", "off"]
    heavy = "\ntorch==" in requirements.read_text(encoding="utf-8")
    note = " (on Linux several GB: torch brings the CUDA libraries)" if heavy else ""
    say(f"installing {requirements.name}{note}")
    progress = Progress(python.parents[1])
    command += [*options, "-r", str(requirements)]
    with log.open("w", encoding="utf-8") as file, progress.shown():
        status = follow(command, requirements.parent, lock_handle, file.write, progress.read)
    if status:
        raise ToolError(f"pip failed ({progress.last_error or 'no message'}): see {log}, then start again")


def follow(command: list[str], folder: Path, handle: int, *readers: Callable[[str], object]) -> int:
    """Give every line of a command's output to each reader as it comes. Returns the exit status."""
    with subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        pass_fds=[handle],
    ) as process:
        for line in process.stdout or ():
            for reader in readers:
                reader(line)
    return process.returncode


class Progress:
    """pip's output in a few words: what it does now, and how far it is."""

    def __init__(self, environment: Path) -> None:
        self.environment = environment
        self.phase, self.chosen, self.total, self.last_error = "choosing versions", 0, 0, ""

    def read(self, line: str) -> None:
        """Take one line of pip's output."""
        kind, _, rest = line.strip().partition(" ")
        if kind == "Collecting":
            self.chosen += 1
        elif kind == "Downloading":
            name, _, size = rest.rpartition("/")[2].partition(" ")
            self.phase = f"downloading {name.split('-')[0]} {size}".strip()
        elif line.startswith("Installing collected packages:"):
            self.phase, self.total = "unpacking", line.count(",") + 1
        elif kind == "ERROR:":
            self.last_error = rest

    def describe(self) -> str:
        """The present state in one line."""
        if not self.total:
            return f"{self.phase}, {self.chosen} packages so far"
        there = sum(1 for _ in self.environment.glob("lib/python*/site-packages/*.dist-info"))
        return f"unpacking {self.total} packages, {there} in place"

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Print the state every `PROGRESS_EVERY_S` seconds while the block runs."""
        ended, started_s = threading.Event(), time.monotonic()

        def talk() -> None:
            while not ended.wait(PROGRESS_EVERY_S):
                say(f"  {clock(time.monotonic() - started_s)} {self.describe()}")

        thread = threading.Thread(target=talk, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
