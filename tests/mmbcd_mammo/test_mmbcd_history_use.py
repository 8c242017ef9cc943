"""Which history is used, for which breast, and that its text stays where it belongs."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import ConfigError, InputError
from common.io.history import ClinicalHistory, given_history
from mmbcd.history_use import OTHER_SCRIPT, HistorySource, is_other_script

TEXT = "Lump in left breast. Pain in right breast."


def found(text: str = TEXT) -> ClinicalHistory:
    history = given_history(text)
    assert history is not None
    return ClinicalHistory(history.text, "DICOM (0010,21B0) AdditionalPatientHistory", history.notes)


def test_the_studys_own_history_is_used():
    use = HistorySource().choose(found(), (), True)
    assert (use.status, use.reason) == ("used", "")
    assert "Lump" in str(use.breasts["L"]) and "Lump" not in str(use.breasts["R"])
    record = use.as_record()
    assert record["source"] == "DICOM (0010,21B0) AdditionalPatientHistory" and record["length"] == len(TEXT)
    assert record["breasts"] == {"R": "used", "L": "used"}


def test_a_given_text_goes_first():
    use = HistorySource("Routine").choose(found(), (), True)
    assert use.history is not None and use.history.source == "given"


@pytest.mark.parametrize("text", [None, "", "  "])
def test_nothing_given(text: str | None):
    source = HistorySource(text)
    assert not source.is_given
    assert source.choose(found(), (), True).status == "used"
    use = source.choose(None, (), True)
    assert (use.status, use.reason) == ("missing", "none was given and none is in the study")


@pytest.mark.parametrize(("text", "words"), [(["lump", "pain"], "lump, pain"), (1957, "1957")])
def test_what_the_command_line_makes_of_a_text(text: object, words: str):
    assert HistorySource(text).text == words


def test_a_given_text_that_says_nothing_is_missing():
    use = HistorySource("N/A").choose(found(), (), True)
    assert (use.status, use.reason) == ("missing", "the one that was given says nothing")
    assert use.breasts == {"R": None, "L": None}


def test_a_file(tmp_path: Path):
    (tmp_path / "history.txt").write_text(TEXT)
    use = HistorySource("other", tmp_path / "history.txt").choose(None, (), True)
    assert use.history is not None and use.history.text == TEXT
    with pytest.raises(InputError, match="gone.txt: expected a file with the history"):
        HistorySource(file=tmp_path / "gone.txt").choose(None, (), True)


def test_refusals_are_told_apart():
    use = HistorySource().choose(None, ("a.hl7: expected an order, got a result",), True)
    assert (use.status, use.reason) == ("refused", "a.hl7: expected an order, got a result")
    use = HistorySource().choose(found(), (), False)
    assert (use.status, use.reason) == ("refused", "these weights read no history")
    use = HistorySource(use_history=False).choose(found(), (), True)
    assert (use.status, use.reason) == ("missing", "use_history is false")


def test_nothing_for_one_breast():
    use = HistorySource("Lump in left breast").choose(None, (), True)
    assert use.breasts["R"] is None and use.as_record()["breasts"] == {"R": "missing", "L": "used"}


def test_the_text_is_shown_only_where_it_is_wanted():
    use = HistorySource().choose(found(), (), True)
    assert TEXT not in str(use.as_record()) and "Lump" not in repr(use)
    assert use.as_record(show_history=True)["text"] == TEXT


def test_other_scripts_are_noted():
    hindi = "\u092c\u093e\u090f\u0902 \u0938\u094d\u0924\u0928 \u092e\u0947\u0902 \u0917\u093e\u0902\u0920"
    use = HistorySource(hindi).choose(None, (), True)
    assert use.status == "used" and OTHER_SCRIPT in use.notes
    assert is_other_script(hindi) and not is_other_script("Kn\u00f6ten links") and not is_other_script("12")


def test_one_history_for_several_studies_is_refused():
    HistorySource().check_single(2)
    HistorySource("lump").check_single(1)
    with pytest.raises(ConfigError, match="clinical_history: expected one study for the history .* got 2"):
        HistorySource("lump").check_single(2)
