"""The service: finds studies, waits until they are quiet, takes each once through the command."""

from __future__ import annotations

import datetime
import errno
import os
import re
import sqlite3
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from _base import ToolError

from .dicomweb import FoundStudy
from .errors import ParkError, SiteError, SkipError, StudyError
from .state import DONE, PARKED, RUNNING, SHOWN, SKIPPED, STORING, WAITING, Row, State
from .study import StudyRunner

LONGEST_WAIT_S = 3600.0
"""Longest time between two attempts at a study, in seconds."""

LATE = "images changed after its results were made: not run again (see --retry)"


@dataclass(frozen=True)
class Rules:
    """When what is done.

    Attributes:
        description: pattern that StudyDescription has to contain; None for any.
        since: first StudyDate of interest; None: the day of the first start.
        late_days: how many days after its StudyDate a study may reach the server.
        quiet_s: seconds without a change until a study counts as complete.
        interval_s: seconds between two looks at the server.
        attempts: after which a study is parked.
        first_wait_s: seconds until the second attempt; doubles from attempt to attempt.
    """

    description: re.Pattern[str] | None
    since: datetime.date | None
    late_days: int
    quiet_s: float
    interval_s: float
    attempts: int
    first_wait_s: float


class Watcher:
    """The service's loop.

    Args:
        runner: takes one study through.
        rules: when what is done.
        say: takes lines for the log; none has patient data.
    """

    def __init__(self, runner: StudyRunner, rules: Rules, say: Callable[[str], None]) -> None:
        self.runner, self.rules, self.say = runner, rules, say
        self.state: State = runner.state
        self.trouble = ""

    def watch(self) -> None:
        """Go on until the process is ended."""
        while True:
            self.try_cycle()
            time.sleep(self.rules.interval_s)

    def try_cycle(self) -> bool:
        """One look at the server and everything that is due. False when the site is in trouble: said once."""
        try:
            self.cycle()
        except Exception as error:
            trouble = describe_trouble(error)
            if trouble != self.trouble:
                self.say(f"{trouble} (looking again every {self.rules.interval_s:g} s)")
            self.trouble = trouble
            return False
        if self.trouble:
            self.say("all is well again")
        self.trouble = ""
        return True

    def cycle(self) -> None:
        """Clean up after a killed watcher, look at the server, do what is due."""
        self.recover()
        self.poll()
        for row in self.state.due(time.time()):
            self.advance(row)

    def recover(self) -> None:
        """Runs that a kill cut short begin anew; work folders that nobody needs go."""
        for row in self.state.in_state(RUNNING):
            if row.attempts >= self.rules.attempts:
                self._finish(row, PARKED, f"the watcher was ended during each of {row.attempts} attempts")
            else:
                self.state.restart(row.key)
                self._tell(row.key, "was cut short: begins anew")
        needed = {self.runner.folder(row.key).name for row in self.state.in_state(STORING)}
        for folder in self.runner.work.glob("*"):
            if folder.name not in needed:
                self.runner.remove(folder.name)

    def poll(self) -> None:
        """Meet new studies; look again at finished ones whose number of instances changed."""
        today = datetime.date.today()
        first = self._first_day(today)
        found = self.runner.server.find_studies(self.runner.modality, f"{first:%Y%m%d}")
        pattern = self.rules.description
        wanted = [study for study in found if pattern is None or pattern.search(study.description)]
        for study in wanted:
            self.state.meet(study.uid, time.time())
        self.state.write_notes(reached=today.isoformat())
        for study in wanted:
            self._look_again(study)

    def _first_day(self, today: datetime.date) -> datetime.date:
        """The day from which studies are asked for: nothing is missed over a time without the watcher."""
        noted, reached = self.state.note("since"), self.state.note("reached")
        known = datetime.date.fromisoformat(noted) if noted else today
        since = self.rules.since or known
        if since < known:
            reached = ""
        self.state.write_notes(since=since.isoformat(), reached=reached)
        late = datetime.timedelta(self.rules.late_days)
        return max(since, datetime.date.fromisoformat(reached) - late) if reached else since

    def _look_again(self, study: FoundStudy) -> None:
        row = self.state.get(study.uid)
        if row is None or row.state not in (DONE, SKIPPED, PARKED):
            return
        if study.instances is not None and study.instances == row.instances:
            return
        content = self.runner.look(row.key, study.uid)
        changed = content.digest != row.content
        if changed and row.state != DONE:
            self.state.reopen(study.uid, time.time(), content.digest)
            self._tell(row.key, "more images: waits until it is quiet")
            return
        if changed and not row.late:
            self._tell(row.key, LATE)
        self.state.look(row.key, len(content.present), changed)

    def advance(self, row: Row) -> None:
        """One study as far as it gets: its results are made, then stored."""
        if row.state == WAITING:
            self._try(row, self._make)
            row = self.state.get(row.open_uid) or row
        if row.state == STORING:
            self._try(row, self._store)

    def _try(self, row: Row, step: Callable[[Row], None]) -> None:
        """One step of one study; what goes wrong is decided here."""
        try:
            step(row)
        except (SkipError, ParkError) as error:
            self._finish(row, SKIPPED if isinstance(error, SkipError) else PARKED, str(error))
        except StudyError as error:
            self._fail(row, str(error))
        except (SiteError, OSError, sqlite3.Error) as error:
            self._clear(row)  # first: on a full disk the state needs the space
            self.state.undo(row, time.time() + self.rules.interval_s, describe_trouble(error))
            raise
        except (KeyboardInterrupt, SystemExit):
            self.state.undo(row, 0)
            raise
        except Exception as error:
            self._fail(row, describe_fault(error))

    def _make(self, row: Row) -> None:
        """Make the results of a waiting study if it is quiet."""
        content, now = self.runner.look(row.key, row.open_uid), time.time()
        quiet_s = now - row.changed_at
        if content.digest != row.content or quiet_s < 0:
            self.state.see(row.key, content.digest, now)
            quiet_s = 0
        if quiet_s < self.rules.quiet_s:
            return
        if not content.sources:
            raise SkipError(f"no image of modality {self.runner.modality} is in it")
        self._tell(
            row.key, f"{len(content.sources)} images: attempt {row.attempts + 1} of {self.rules.attempts}"
        )
        self.state.begin(row)
        results = self.runner.make(row.key, row.open_uid, content)
        later = self.runner.look(row.key, row.open_uid)
        if later.digest != content.digest:
            self.state.reopen(row.open_uid, time.time(), later.digest)
            self._tell(row.key, "images changed during the run: waits until it is quiet")
            return
        self.state.keep_results(row.key, results)

    def _store(self, row: Row) -> None:
        if not self.runner.folder(row.key).is_dir():
            self.state.reopen(row.open_uid, time.time())
            self._tell(row.key, "its results are gone from the work folder: made again")
            return
        results, content = self.runner.store(row.key, row.open_uid)
        late = content.digest != row.content
        self.state.finish(row.key, DONE, f"{results} results stored", len(content.present), late)
        self._tell(row.key, f"done, {results} results stored")
        if late:
            self._tell(row.key, LATE)
        self.runner.remove(row.key)

    def _fail(self, row: Row, reason: str) -> None:
        attempts = row.attempts + 1
        if attempts >= self.rules.attempts:
            self._finish(row, PARKED, f"after {attempts} attempts: {reason}")
            return
        self._clear(row)
        wait_s = min(self.rules.first_wait_s * 2 ** (attempts - 1), LONGEST_WAIT_S)
        self.state.fail(row, attempts, time.time() + wait_s, reason)
        self._tell(row.key, f"attempt {attempts} failed, next in {wait_s:g} s: {reason}")

    def _clear(self, row: Row) -> None:
        """After a failed step: images and half-made results go, results that wait to be stored stay."""
        if row.state == WAITING:
            self.runner.remove(row.key)

    def _finish(self, row: Row, state: str, reason: str) -> None:
        self.state.finish(row.key, state, reason)
        self._tell(row.key, f"{state}: {reason}")
        self.runner.remove(row.key)

    def _tell(self, key: str, line: str) -> None:
        self.say(f"study {key[:SHOWN]}: {line}")


def describe_trouble(error: Exception) -> str:
    """One line without paths."""
    if isinstance(error, OSError):
        number = error.errno or 0
        full = number in (errno.ENOSPC, errno.EDQUOT)
        hint = "free some" if full else "check the folders' rights and disk"
        return f"state and work folders: {os.strerror(number) if number else type(error).__name__}: {hint}"
    if isinstance(error, sqlite3.Error):
        return f"state file: {error}: check the disk"
    return str(error) if isinstance(error, ToolError) else describe_fault(error)


def describe_fault(error: Exception) -> str:
    """Where something unforeseen happened; its text could have patient data and is left out."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {Path(frame.filename).name}:{frame.lineno}: please report"
