"""What a run says, without patient data: the names of input files often hold a patient's."""

from __future__ import annotations

import logging
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SHORTEST = 3
PLAIN_WORDS = frozenset(("input", "series", "study", "slide", "image", "images", "dicom", "history", "case"))
"""Names that say nothing about a patient and stand in the bundles' sentences."""


class Redactor:
    """Replaces names of the input by places: "file 3", counted in the order of their paths from 1.

    Args:
        folder: the input; it does not have to exist.
    """

    def __init__(self, folder: Path) -> None:
        self._places: dict[str, str] = {}
        self._add(folder.name, "input")
        count = 0
        for _, below, files in os.walk(folder):
            below.sort()
            for name in below:
                self._add(name, "folder")
            for name in sorted(files):
                count += 1
                self._add(name, f"file {count}")
        names = sorted(self._places, key=len, reverse=True)
        self._names = [(name, re.compile(rf"(?<!\w){re.escape(name)}(?!\w)")) for name in names]

    def _add(self, name: str, shown: str) -> None:
        stem = name.partition(".")[0]
        for word in (name, name.rpartition(".")[0], stem):
            if len(word) >= SHORTEST and word.lower() not in PLAIN_WORDS:
                self._places.setdefault(word, shown)

    def __call__(self, text: str) -> str:
        """The text in one line, without names of the input."""
        for name, pattern in self._names:
            if name in text:
                text = pattern.sub(self._places[name], text)
        return " ".join(text.split())


class RedactingFormatter(logging.Formatter):
    """Time, level and the redacted message; exceptions' texts are left out."""

    def __init__(self, redact: Redactor) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S%z")
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        clean = logging.makeLogRecord(
            {**record.__dict__, "msg": self._redact(record.getMessage()), "args": None}
        )
        clean.exc_info = clean.exc_text = clean.stack_info = None
        return super().format(clean)


@contextmanager
def quiet_log(redact: Redactor, package: str) -> Iterator[None]:
    """Log the bundle's own lines, redacted, and nothing of the libraries: theirs quote header values.

    Args:
        redact: for messages.
        package: of the bundle; lines of `common` count as its own.
    """
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    handler = logging.StreamHandler()
    handler.setFormatter(RedactingFormatter(redact))
    handler.addFilter(lambda record: record.name.partition(".")[0] in (package, "common"))
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        root.handlers[:] = before
        root.setLevel(level)
