"""The command that is run for each study, and what its exit status means."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from app.outcome import BAD_INPUT, BAD_SETTING, DONE, NO_INPUT, SEVERAL_INPUTS
from pydicom.dataset import Dataset

from .access import PASSWORD, TOKEN
from .errors import ParkError, SettingError, SkipError, StudyError

GRACE_S = 10
"""Seconds between asking a command to end and killing it."""

TIMED_OUT = 124
"""Exit status of coreutils' timeout when the time was up."""

LONGEST = 300
"""Characters of the command's last line that are kept."""

PERSONAL = ("PatientName", "PatientID", "PatientBirthDate", "AccessionNumber", "StudyID")


@dataclass(frozen=True)
class Command:
    """A command template.

    Attributes:
        template: words of the command; `{input}` and `{output}` stand for the two folders of a study.
        limit_s: seconds until it is ended, also when the watcher that started it is dead by then.
        lock: descriptor that the command keeps open: as long as it runs, no new watcher starts.
    """

    template: tuple[str, ...]
    limit_s: int
    lock: int

    def run(self, source: Path, output: Path, log: Path, header: Dataset) -> None:
        """Run the command for one study.

        Args:
            source: folder of its DICOM files.
            output: empty folder for what the command makes.
            log: file that takes what the command prints; its last line is the reason of a failure.
            header: of one source file: what identifies the patient is taken out of the reason.

        Raises:
            SkipError: the command found nothing in the study that it is meant for.
            ParkError: it would find the same again.
            StudyError: it failed, and may not fail the next time.
        """
        words = [
            word.replace("{input}", str(source)).replace("{output}", str(output)) for word in self.template
        ]
        with log.open("wb") as file:
            status = self._wait([*timeout_words(self.limit_s), *words], file.fileno())
        if status == DONE:
            return
        if status == TIMED_OUT:
            raise StudyError(f"the command was ended after {self.limit_s} s: see --time-limit")
        reason = f"exit {status}: {remove_personal(last_line(log), header)}"
        if status == NO_INPUT:
            raise SkipError(reason)
        raise ParkError(reason) if status in (SEVERAL_INPUTS, BAD_INPUT, BAD_SETTING) else StudyError(reason)

    def _wait(self, words: list[str], output: int) -> int:
        """The exit status; the command ends with this process where that ends by a signal it can handle."""
        kept = {name: value for name, value in os.environ.items() if name not in (TOKEN, PASSWORD)}
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=kept,
            pass_fds=(self.lock,),
        )
        try:
            return process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise


def timeout_words(limit_s: int) -> list[str]:
    """coreutils' timeout: a process of its own, so that the limit holds when the watcher is dead."""
    return ["timeout", f"--kill-after={GRACE_S}", str(limit_s)]


def parse_template(text: str) -> tuple[str, ...]:
    """Words of a command template.

    Raises:
        SettingError: not a command line, without {input} and {output}, or its program is not there.
    """
    try:
        words = shlex.split(text)
    except ValueError:
        raise SettingError("--command: expected a command line, got an open quotation: close it") from None
    for name in ("{input}", "{output}"):
        if not any(name in word for word in words):
            raise SettingError(f"--command: expected {name} in it, got none: write where the folder goes")
    for program in (words[0], "timeout"):
        if shutil.which(program) is None:
            raise SettingError(f"--command: expected a program, got {program}, which is not there")
    return tuple(words)


def last_line(log: Path) -> str:
    """The last line that is not empty, shortened."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 4096))
        text = file.read().decode(errors="replace")
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    return lines[-1][:LONGEST] if lines else "the command printed nothing"


def remove_personal(text: str, header: Dataset) -> str:
    """A line without UIDs and without what identifies the patient in the header of a source file."""
    words = {part for name in PERSONAL for part in re.split(r"[\^=\s]+", str(header.get(name) or ""))}
    for word in sorted(words, key=len, reverse=True):
        if len(word) > 2:
            text = re.sub(re.escape(word), "***", text, flags=re.IGNORECASE)
        elif len(word) == 2 and word.isalpha():  # the name Li, not the letters in "clip"
            text = re.sub(rf"\b{word}\b", "***", text, flags=re.IGNORECASE)
    return re.sub(r"\b[012](\.\d+){4,}\b", "***", text)
