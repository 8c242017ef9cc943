"""Texts made clean."""

from __future__ import annotations

import logging

import pytest

from common.io.history_text import MAX_CHARACTERS, given_history

CONTROL = "Control characters were removed from the history."
READING = "A part headed as reading (findings, impression, conclusion) was left out."


def test_the_text_stays_out_of_repr_and_logs(caplog: pytest.LogCaptureFixture) -> None:
    one = given_history("Lump in the left breast")
    assert one is not None
    logging.getLogger("x").warning("%s %r", one, [one])
    assert "Lump" not in caplog.text
    assert repr(one) == "ClinicalHistory(source='given', length=23)"


@pytest.mark.parametrize("text", ["", "  \n", "-", "N/A", "n.a.", "None", "not available", "???", "\0\x1b"])
def test_a_text_that_says_nothing_is_no_history(text: str) -> None:
    assert given_history(text) is None


@pytest.mark.parametrize(
    ("text", "clean", "notes"),
    [
        ("Lump\r\n left\tbreast ", "Lump left breast", ()),
        ("Lump\0left\x1b[31m", "Lump left [31m", (CONTROL,)),
        ("lu\u200bmp\u202e left", "lump left", (CONTROL,)),
        ("Mu\u0308tter: Brustkrebs", "Mütter: Brustkrebs", ()),
        ("\u092c\u093e\u090f\u0902 \u0938\u094d\u0924\u0928", None, ()),
        ("Lump left. IMPRESSION: BI-RADS 5", "Lump left.", (READING,)),
        ("Findings: mass. Indication: lump left", "Indication: lump left", (READING,)),
        ("Follow-up of BI-RADS 3, findings in 2020", "Follow-up of BI-RADS 3, findings in 2020", ()),
    ],
)
def test_clean_text(text: str, clean: str | None, notes: tuple[str, ...]) -> None:
    one = given_history(text)
    assert one is not None
    assert one.text == (text if clean is None else clean)
    assert one.notes == notes


def test_a_text_of_reading_alone_is_no_history() -> None:
    assert given_history("CONCLUSION: malignant. BI-RADS: 5") is None


def test_a_hundred_thousand_characters_are_cut() -> None:
    one = given_history("word " * 20_000)
    assert one is not None
    assert one.length == MAX_CHARACTERS - 1
    assert one.notes == (f"Of 99999 characters the first {MAX_CHARACTERS} were kept.",)
    assert given_history("x" * 100_000).length == MAX_CHARACTERS  # type: ignore[union-attr]
