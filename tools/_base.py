"""What all tools share before any package is installed: the root, refusals, lines of progress, a lock."""

import fcntl
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

OLDEST, NEWEST = (3, 10), (3, 13)
PYTHON_VERSION = sys.version.split()[0]
if sys.version_info < OLDEST:  # here, before anything below can fail with a stranger message
    sys.exit("error: expected Python 3.10 to 3.13, got " + PYTHON_VERSION + ": start this with a newer one")

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".cache"
UNREACHABLE_STATUS = 75  # EX_TEMPFAIL of sysexits.h: nothing is wrong here, try again with a connection


class ToolError(Exception):
    """A refusal before `common` can be imported. One line: expected what, got what, do what."""

    status = 1

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class UnreachableError(ToolError):
    """The source of a file did not answer."""

    status = UNREACHABLE_STATUS


def say(line: str) -> None:
    """One line of progress, at once, whatever standard output is."""
    print(line, flush=True)


def clock(seconds: float) -> str:
    """75 -> "1:15"."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def run_tool(main: Callable[[list[str]], int]) -> NoReturn:
    """End the process with the status of `main`; Ctrl-C is one line."""
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit("interrupted")


@contextmanager
def lock(path: Path, waiting: str) -> Iterator[int]:
    """Hold `path` as an exclusive lock; prints `waiting` when it is not free. Yields the file descriptor.

    The system frees it when the last process with that descriptor ends: a kill leaves no stale lock.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(waiting)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()
