"""What a person asks of the state: a list of the studies, and another try for one."""

from __future__ import annotations

import re
import time
from collections import Counter
from pathlib import Path

from .errors import SettingError
from .state import DONE, OPEN, RUNNING, SHOWN, SKIPPED, STORING, WAITING, Row, State

SHORTEST = 8
"""Characters of a key that are enough to name a study."""


def open_state(folder: Path) -> State:
    """The state of a watcher that was started before. Raises SettingError."""
    path = folder / "state.sqlite"
    if not path.is_file():
        raise SettingError(f"--state: expected a folder with {path.name}, got none: give the watcher's")
    return State(path)


def describe_studies(state: State) -> list[str]:
    """Lines: the studies that are open or were changed since, then how many there are of each state."""
    rows = state.all()
    lines = [_describe(row) for row in rows if row.state in OPEN or row.late]
    counts = Counter(row.state for row in rows)
    total = ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "none"
    return [*lines, f"{len(rows)} studies: {total}"]


def _describe(row: Row) -> str:
    late = "images changed after the results; " if row.late else ""
    attempts = f"attempt {row.attempts + (row.state != RUNNING)}; " if row.state in (WAITING, RUNNING) else ""
    uid = row.uid or "(its UID is not kept)"
    return f"{row.key[:SHOWN]}  {row.state:8}  {uid}  {late}{attempts}{row.reason}".rstrip("; ")


def retry_study(state: State, named: str) -> str:
    """Take a study again, whatever became of it; one never met is met.

    Args:
        state: of the watcher; it may be running.
        named: StudyInstanceUID, or the beginning of the key that log and list show.

    Returns:
        A line that says what will happen.

    Raises:
        SettingError: no such study, several, one that is running, or a finished one without its UID.
    """
    uid = named if "." in named else _find_uid(state, named)
    if not re.fullmatch(r"[0-9.]{1,64}", uid):
        raise SettingError("--retry: expected a StudyInstanceUID or a key, got another text: see --list")
    row = state.get(uid)
    if row is not None and row.state == RUNNING:
        raise SettingError("--retry: expected a study that is not running, got one that is: wait")
    if row is None:
        state.meet(uid, time.time())
    elif row.state == STORING:
        state.undo(row, 0)
    else:
        state.reopen(uid, time.time())
    again = "is taken again" if row is not None and row.state in (DONE, SKIPPED) else "is taken"
    return f"the study {again} at the watcher's next look"


def _find_uid(state: State, beginning: str) -> str:
    rows = [row for row in state.all() if row.key.startswith(beginning.lower())]
    if len(beginning) < SHORTEST or len(rows) != 1:
        raise SettingError(
            f"--retry: expected {SHORTEST} characters or more of one key, got {len(rows)} studies: see --list"
        )
    if rows[0].uid is None:
        raise SettingError("--retry: expected the StudyInstanceUID: it is not kept of a finished study")
    return rows[0].uid
