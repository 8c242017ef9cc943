"""What is known of each study, in one SQLite file: what a killed watcher goes on from.

A study is named by `key`, the SHA-256 of its StudyInstanceUID. The UID itself stands in the file only as long
as work on the study is open (`OPEN`), because the server must be asked for it; `finish` removes it.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, fields
from pathlib import Path

from _base import ToolError

WAITING, RUNNING, STORING = "waiting", "running", "storing"
DONE, SKIPPED, PARKED = "done", "skipped", "parked"
OPEN = (WAITING, RUNNING, STORING, PARKED)
SHOWN = 12
"""Characters of a key that stand in the log: one chance in a billion that two of 700 studies share them."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS studies (
    key TEXT PRIMARY KEY,
    uid TEXT,                        -- only while the study is open
    state TEXT NOT NULL,
    content TEXT NOT NULL DEFAULT '',      -- SHA-256 of the UIDs of its source instances
    instances INTEGER,               -- that the server counted when the study was last looked at
    changed_at REAL NOT NULL,        -- when `content` last changed, seconds since 1970
    attempts INTEGER NOT NULL DEFAULT 0,
    next_try REAL NOT NULL DEFAULT 0,      -- seconds since 1970
    reason TEXT NOT NULL DEFAULT '',
    late INTEGER NOT NULL DEFAULT 0  -- whether images came after the results
);
CREATE TABLE IF NOT EXISTS results (
    key TEXT NOT NULL, uid TEXT NOT NULL, PRIMARY KEY (key, uid)   -- SOPInstanceUIDs that are ours
);
CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


@dataclass(frozen=True)
class Row:
    """What is known of one study; the columns of the table."""

    key: str
    uid: str | None
    state: str
    content: str
    instances: int | None
    changed_at: float
    attempts: int
    next_try: float
    reason: str
    late: int

    @property
    def open_uid(self) -> str:
        """The UID of an open study."""
        if self.uid is None:
            raise ToolError(
                f"study {self.key[:SHOWN]}: expected an open study, got a finished one: see --list"
            )
        return self.uid


COLUMNS = ", ".join(field.name for field in fields(Row))


def key_of(study_uid: str) -> str:
    """Name of a study in state and log."""
    return hashlib.sha256(study_uid.encode()).hexdigest()


def digest_of(uids: Iterable[str]) -> str:
    """One value for a set of instances, whatever its order."""
    return hashlib.sha256("\n".join(sorted(set(uids))).encode()).hexdigest()


class State:
    """The file. Every method is one transaction: after a kill it has happened, or it has not."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, timeout=30, isolation_level=None)
        self._db.executescript("PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;" + SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _rows(self, condition: str, *values: object) -> list[Row]:
        with closing(self._db.execute(f"SELECT {COLUMNS} FROM studies WHERE {condition}", values)) as found:
            return [Row(*columns) for columns in found]

    def _set(self, key: str, **values: object) -> None:
        names = ", ".join(f"{name} = ?" for name in values)
        self._db.execute(f"UPDATE studies SET {names} WHERE key = ?", (*values.values(), key))

    def get(self, study_uid: str) -> Row | None:
        """What is known of a study."""
        return next(iter(self._rows("key = ?", key_of(study_uid))), None)

    def all(self) -> list[Row]:
        """Every study, the one that changed last at the end."""
        return self._rows("1 ORDER BY changed_at, key")

    def in_state(self, state: str) -> list[Row]:
        """The studies in one state."""
        return self._rows("state = ?", state)

    def due(self, now: float) -> list[Row]:
        """Open studies whose turn it is, the longest waiting first."""
        return self._rows(
            "state IN (?, ?) AND next_try <= ? ORDER BY next_try, changed_at", WAITING, STORING, now
        )

    def meet(self, study_uid: str, now: float) -> None:
        """A study was found; one that is known stays as it is."""
        self._db.execute(
            "INSERT OR IGNORE INTO studies (key, uid, state, changed_at) VALUES (?, ?, ?, ?)",
            (key_of(study_uid), study_uid, WAITING, now),
        )

    def see(self, key: str, content: str, now: float) -> None:
        """The source instances of a waiting study are others than before."""
        self._set(key, content=content, changed_at=now)

    def begin(self, row: Row) -> None:
        """The command is about to run: counted now, so that a run which takes the watcher down counts too."""
        self._set(row.key, state=RUNNING, attempts=row.attempts + 1)

    def undo(self, row: Row, next_try: float, reason: str = "") -> None:
        """Back to what the study was before `begin`, or before an attempt to store: nothing is counted."""
        self._set(row.key, state=row.state, attempts=row.attempts, next_try=next_try, reason=reason)

    def keep_results(self, key: str, uids: Iterable[str]) -> None:
        """The results are complete on disk and about to be stored; from here on they are ours."""
        self._db.execute("BEGIN IMMEDIATE")
        with self._db:
            self._db.executemany(
                "INSERT OR IGNORE INTO results VALUES (?, ?)", [(key, uid) for uid in sorted(uids)]
            )
            self._set(key, state=STORING, attempts=0, next_try=0, reason="")

    def results(self, key: str) -> set[str]:
        """SOPInstanceUIDs that the watcher ever stored, or was about to store, in this study."""
        return {uid for (uid,) in self._db.execute("SELECT uid FROM results WHERE key = ?", (key,))}

    def fail(self, row: Row, attempts: int, next_try: float, reason: str) -> None:
        """An attempt failed; the study waits for the next one, in the state it was in before."""
        self._set(row.key, state=row.state, attempts=attempts, next_try=next_try, reason=reason)

    def finish(
        self, key: str, state: str, reason: str = "", instances: int | None = None, late: bool = False
    ) -> None:
        """Done, skipped or parked. Of a parked study the UID stays, for --list and --retry."""
        kept = {} if state == PARKED else {"uid": None}
        self._set(key, state=state, reason=reason, next_try=0, instances=instances, late=int(late), **kept)

    def look(self, key: str, instances: int | None, late: bool) -> None:
        """A finished study was looked at again, because the server counts another number of instances."""
        self._set(key, instances=instances, late=int(late))

    def reopen(self, study_uid: str, now: float, content: str | None = None) -> None:
        """A finished study waits again; with `content` it has to be quiet first."""
        fresh = {} if content is None else {"content": content, "changed_at": now}
        clean = {"attempts": 0, "next_try": 0, "reason": "", "late": 0, "instances": None}
        self._set(key_of(study_uid), uid=study_uid, state=WAITING, **clean, **fresh)

    def restart(self, key: str) -> None:
        """A run was cut short by a kill; its attempt stays counted."""
        self._set(key, state=WAITING, next_try=0)

    def note(self, name: str) -> str:
        """A remembered value, or ""."""
        found = self._db.execute("SELECT value FROM notes WHERE name = ?", (name,)).fetchone()
        return "" if found is None else str(found[0])

    def write_notes(self, **values: str) -> None:
        """Remember values."""
        self._db.execute("BEGIN IMMEDIATE")
        with self._db:
            self._db.executemany("INSERT OR REPLACE INTO notes VALUES (?, ?)", list(values.items()))
