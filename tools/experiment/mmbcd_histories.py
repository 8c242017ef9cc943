"""Histories that were tampered with: what a network that uses them must notice, and must not break on."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path

import numpy as np

from mmbcd.datalist import Entry

LANGUAGES = ("Spanish", "Hindi")
_SIDES = {"left": "right", "lt": "rt", "right": "left", "rt": "lt"}
_SIDE = re.compile(r"\b(left|right|lt|rt)\b", re.IGNORECASE)

IRRELEVANT = (
    "Pain right knee since 2 years, for X-ray.",
    "Cough and fever for one week",
    "Fall from stairs, swelling of the ankle.",
    "Low back pain radiating to the leg",
    "Headache, vision blurred since morning",
    "For renal function before contrast.",
    "Acidity after meals, on antacids",
    "Dental check",
)
"""Of other organs; no side of a breast, nothing that a mammogram could show."""

Tamper = Callable[[Sequence[Entry], int], list[Entry]]
"""Entries of a datalist and a seed in, the same entries with other histories out; missing ones stay so."""


def swap_sides(entries: Sequence[Entry], seed: int) -> list[Entry]:
    """Left for right and right for left."""
    return [_rewrite(entry, lambda text: _SIDE.sub(_other_side, text)) for entry in entries]


def digress(entries: Sequence[Entry], seed: int) -> list[Entry]:
    """Of other organs, one for each study that had a history."""
    rng = np.random.default_rng([seed, 51])
    texts = {(entry.patient, entry.study): str(rng.choice(IRRELEVANT)) for entry in entries}
    return [
        entry.with_history(texts[entry.patient, entry.study]) if entry.history else entry for entry in entries
    ]


def translate(language: str, entries: Sequence[Entry], seed: int) -> list[Entry]:
    """Word by word into another language; what the glossary does not know stays in English."""
    return [_rewrite(entry, partial(translate_text, language=language)) for entry in entries]


def translate_text(text: str, language: str) -> str:
    """One history; longer phrases first.

    Args:
        text: English.
        language: of LANGUAGES.
    """
    words = _glossary()[language]
    pattern = "|".join(re.escape(phrase) for phrase in sorted(words, key=len, reverse=True))
    return re.sub(
        rf"(?<!\w)(?:{pattern})(?!\w)", lambda found: words[found.group().lower()], text, flags=re.IGNORECASE
    )


TAMPERS: dict[str, Tamper] = {
    "sides swapped": swap_sides,
    "of other organs": digress,
    **{f"in {language}": partial(translate, language) for language in LANGUAGES},
}
"""Beside these there are "missing" and "shuffled" of `mmbcd.evaluate.HISTORIES`."""


@cache
def _glossary() -> dict[str, dict[str, str]]:
    path = Path(__file__).with_name("mmbcd_languages.json")
    return json.loads(path.read_text(encoding="utf-8"))


def _rewrite(entry: Entry, change: Callable[[str], str]) -> Entry:
    return entry.with_history(change(entry.history)) if entry.history else entry


def _other_side(found: re.Match[str]) -> str:
    word = _SIDES[found.group().lower()]
    return word.capitalize() if found.group()[0].isupper() else word
