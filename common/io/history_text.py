"""The clinical history: text from before the reading, made clean, and where it came from."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field

MAX_CHARACTERS = 4000
"""Characters kept; the paper's histories have 1 to 45 words, a text encoder reads 90 tokens (choice)."""

_EMPTY = frozenset(("", "na", "none", "unknown", "notavailable", "notgiven", "nohistory", "null"))

_READING = (
    r"FINDINGS?|IMPRESSIONS?|CONCLUSIONS?|OPINION|RECOMMENDATIONS?|ASSESSMENT|REPORT|BI-?RADS(?: CATEGORY)?"
    r"|BEFUND|BEURTEILUNG|R[ÉE]SULTATS?|HALLAZGOS|IMPRESI[ÓO]N|CONCLUSI[ÓO]N"
)
_BEFORE_READING = (
    r"(?:CLINICAL |PATIENT |FAMILY )?(?:HISTORY|INFORMATION|DETAILS|INDICATIONS?)|INDICATIONS?"
    r"|(?:CHIEF |PRESENTING )?COMPLAINTS?|SYMPTOMS?|REASON(?: FOR [A-Z]+)?|ANAMNESE|INDIKATION|ANAMNESIS"
)
_REPORT = re.compile(rf"\b(?:{_READING})\s*:.*?(?=\b(?:{_BEFORE_READING})\s*:|$)", re.IGNORECASE)
"""A part of a report: from a heading of the reading to the next heading of the history."""


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
    return None if is_empty(clean) else ClinicalHistory(clean, source, notes)


def given_history(text: str) -> ClinicalHistory | None:
    """A history given by hand; None when it is empty."""
    return build_history(text, "given")


def is_empty(text: str) -> bool:
    """Nothing but signs, or a word for nothing."""
    return re.sub(r"[\W_]", "", text).lower() in _EMPTY


def clean_text(text: str) -> tuple[str, tuple[str, ...]]:
    """One line of NFC text, and notes about what was changed.

    Control and format characters, parts of a report, and what exceeds `MAX_CHARACTERS` are left out.
    """
    kept = "".join(map(_plain, unicodedata.normalize("NFC", text)))
    line = " ".join(kept.split())
    history = " ".join(_REPORT.sub(" ", line).split())
    notes = {
        "Control characters were removed from the history.": any(map(_is_hidden, text)),
        "A part headed as reading (findings, impression, conclusion) was left out.": history != line,
        f"Of {len(history)} characters the first {MAX_CHARACTERS} were kept.": len(history) > MAX_CHARACTERS,
    }
    if len(history) > MAX_CHARACTERS:
        history = history[:MAX_CHARACTERS].rpartition(" ")[0] or history[:MAX_CHARACTERS]
    return history, tuple(note for note, holds in notes.items() if holds)


def _is_hidden(character: str) -> bool:
    """Control (except white space), format, surrogate and private characters."""
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co") and not character.isspace()


def _plain(character: str) -> str:
    """A space for a control character, nothing for another hidden one."""
    if unicodedata.category(character) == "Cc":
        return " "
    return "" if _is_hidden(character) else character
