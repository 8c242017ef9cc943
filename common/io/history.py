"""The clinical history: text about the patient from before the reading, and where it came from."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field

MAX_CHARACTERS = 4000
"""Characters kept; the paper's histories have 1 to 45 words, a text encoder reads 90 tokens (choice)."""

_EMPTY = frozenset(("", "na", "none", "unknown", "notavailable", "notgiven", "nohistory", "null"))


@dataclass(frozen=True)
class ClinicalHistory:
    """What was known before the mammograms were read. The text stays out of repr and logs.

    Attributes:
        text: one line, no control characters, at most `MAX_CHARACTERS`, not empty.
        source: "DICOM (0010,21B0) AdditionalPatientHistory", "sidecar history.txt", "HL7 OBR-13",
            "FHIR ServiceRequest.reasonCode", "given", ...
        notes: sentences about what was changed; they name no word of the text.
    """

    text: str = field(repr=False)
    source: str
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"ClinicalHistory(source={self.source!r}, length={self.length})"

    @property
    def length(self) -> int:
        """Characters."""
        return len(self.text)


def build_history(text: str, source: str) -> ClinicalHistory | None:
    """The text made clean, or None when nothing is said ("", "N/A", "-")."""
    clean, notes = clean_text(text)
    if re.sub(r"[\W_]", "", clean).lower() in _EMPTY:
        return None
    return ClinicalHistory(clean, source, notes)


def given_history(text: str) -> ClinicalHistory | None:
    """A history given by hand; None when it is empty."""
    return build_history(text, "given")


def clean_text(text: str) -> tuple[str, tuple[str, ...]]:
    """One line of NFC text without control and format characters, and notes about what was changed."""
    kept = "".join(_plain(character) for character in unicodedata.normalize("NFC", text))
    notes = []
    if any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co") and c not in "\t\r\n\f\v" for c in text):
        notes.append("Control characters were removed from the history.")
    line = " ".join(kept.split())
    if len(line) > MAX_CHARACTERS:
        notes.append(f"Of {len(line)} characters of the history the first {MAX_CHARACTERS} were kept.")
        line = line[:MAX_CHARACTERS].rpartition(" ")[0] or line[:MAX_CHARACTERS]
    return line, tuple(notes)


def _plain(character: str) -> str:
    """White space for a control character, nothing for an invisible one."""
    kind = unicodedata.category(character)
    if kind == "Cc":
        return " "
    return "" if kind in ("Cf", "Cs", "Co") else character
