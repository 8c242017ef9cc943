"""The words follow from the numbers."""

from __future__ import annotations

from typing import Any

import pytest

from mmbcd.wording import (
    NOT_CALIBRATED,
    choose_tone,
    describe_history,
    describe_result,
    describe_rules,
    describe_shares,
    file_name,
    format_change,
    format_score,
    headline,
    list_doubts,
    name_region,
    name_views,
    purpose_note,
    title_view,
)

POINT = {"threshold": 0.3, "rule": "a rule", "sensitivity": 0.9, "specificity": 0.8}
LEVEL = {"method": "temperature", "cases": 40, "malignant": 10, "operating_point": POINT}


def row(
    score: float | None, change: float | None = None, suspicious: bool | None = None, **more: Any
) -> dict:
    alone = None if score is None else score - (change or 0)
    probability = None if suspicious is None else score
    used = "missing" if change is None else "used"
    return {
        "score": score,
        "image_only_score": alone,
        "history_change": change,
        "history": used,
        "suspicious": suspicious,
        "probability": probability,
        **more,
    }


def record(right: dict, left: dict, study: dict, **changes: Any) -> dict[str, Any]:
    breasts = [
        right | {"laterality": "R", "views": ["R CC", "R MLO"]},
        left | {"laterality": "L", "views": ["L CC"]},
    ]
    images = [
        one | {"name": f"{one['laterality']} CC", "regions": [{}] if one["score"] is not None else []}
        for one in breasts
    ]
    history = {"status": "used", "source": "HL7 OBR-13", "length": 43, "reason": "", "notes": []}
    base = {
        "study": study,
        "breasts": breasts,
        "images": images,
        "history": history,
        "source": {"left_out": [], "notes": []},
        "rules": {"breast": "max", "study": "mean"},
        "calibration": None,
        "weights": {"purpose": "clinical"},
        "detector": {"purpose": "clinical"},
    }
    return base | changes


RAW = record(row(0.2, None), row(0.8, 0.2), row(0.8, 0.2))
CALLED = record(row(0.2, 0.0, False), row(0.8, 0.4, True), row(0.8, 0.4, True))
CLEAR = record(row(0.1, 0.0, False), row(0.2, 0.0, False), row(0.2, 0.0, False))
NOTHING = record(row(None), row(None), row(None))


def test_headlines():
    assert headline(RAW) == "Malignancy score 0.80 (raw, not calibrated), highest in the left breast"
    assert headline(CALLED) == "Above the operating point: probability of malignancy 80%, left breast"
    assert headline(CLEAR) == "Below the operating point: probability of malignancy 20%"
    assert headline(NOTHING) == "No result: no region was found in any view"


def test_one_breast_needs_no_comparison():
    alone = RAW | {"breasts": RAW["breasts"][1:]}
    assert headline(alone) == "Malignancy score 0.80 (raw, not calibrated)"


def test_tones():
    assert [choose_tone(one) for one in (RAW, CALLED, CLEAR, NOTHING)] == [
        "neutral",
        "caution",
        "good",
        "bad",
    ]
    assert choose_tone(CLEAR | {"weights": {"purpose": "research"}}) == "neutral"


def test_what_the_history_changed():
    sentences = describe_history(RAW)
    assert sentences[0] == "The clinical history (HL7 OBR-13, 43 characters) was used."
    assert sentences[1] == "Nothing in it concerns the right breast, read as without one."
    assert sentences[2] == "It raised the score of the left breast from 0.60 (picture alone) to 0.80."
    assert "It left the score of the right breast at 0.10." in describe_history(CLEAR)
    assert len(describe_history(NOTHING)) == 1


def test_a_history_that_was_not_used():
    missing = {"status": "missing", "reason": "none was given", "notes": []}
    (sentence,) = describe_history(RAW | {"history": missing})
    assert sentence == "The clinical history is missing: none was given. The result rests on the pictures."
    refused = missing | {"status": "refused", "reason": "these weights read no history"}
    assert "was refused: these weights read no history." in describe_history(RAW | {"history": refused})[0]


def test_the_result_in_sentences():
    sentences = describe_result(CALLED)
    assert sentences[0] == "Right breast: probability of malignancy 20%, from R CC and R MLO."
    assert "not a diagnosis" in sentences[-1]
    assert describe_result(NOTHING)[1] == "Left breast: no result, no region was found."


def test_doubts():
    left_out = [{"file": "x.dcm", "reason": "a magnification view"}]
    study = CALLED | {"source": {"left_out": left_out, "notes": []}, "images": CALLED["images"][:1]}
    assert list_doubts(study) == [
        "x.dcm was left out: a magnification view.",
        "There is no picture of the left breast.",
        "The history changed the score of the left breast by +0.40: compare with the picture alone.",
    ]
    assert list_doubts(NOTHING)[0] == "R CC: no region was found; this view has no say."
    assert list_doubts(CLEAR) == []


def test_where_probabilities_were_fitted_stands_beside_them():
    fitted = RAW | {"calibration": {"levels": {"breast": LEVEL}, "fitted_on": "mammography phantoms"}}
    sentence = "Probabilities and operating points were fitted on mammography phantoms."
    assert sentence in describe_result(fitted) and not any("fitted" in line for line in describe_result(RAW))


def test_rules():
    sentences = describe_rules(RAW)
    assert "the highest of its views, the study's is the mean of its breasts" in sentences[1]
    assert sentences[2] == NOT_CALIBRATED
    fitted = describe_rules(RAW | {"calibration": {"levels": {"breast": LEVEL}}})
    assert fitted[2] == (
        "Breast: probabilities by temperature scaling fitted on 40 validation cases (10 malignant); "
        "operating point at a score of 0.300 (a rule; there sensitivity 0.90, specificity 0.80)."
    )
    plain = {"levels": {"image": LEVEL | {"operating_point": None}}}
    assert describe_rules(RAW | {"calibration": plain})[2].endswith("no operating point.")


def test_what_the_weights_are_for():
    assert purpose_note(RAW) == ""
    assert (
        purpose_note(RAW | {"weights": {"purpose": "demonstration"}})
        == "demonstration weights, not for diagnosis"
    )
    detector = {"purpose": "demonstration"}
    assert purpose_note(RAW | {"detector": detector}) == "detector: demonstration weights, not for diagnosis"
    assert purpose_note(RAW | {"detector": {"purpose": "given"}}) == ""


def test_numbers():
    assert [format_score(0.125), format_score(None)] == ["0.12", "\u2013"]
    assert [format_change(v) for v in (0.1, -0.1, -0.001, None)] == ["+0.10", "-0.10", "0.00", "\u2013"]


def test_names():
    rows = [("R", "CC"), ("R", "CC"), ("L", "CC"), ("R", "CC")]
    assert name_views(rows) == ["R CC", "R CC (2)", "L CC", "R CC (3)"]
    assert file_name("R CC (2)") == "R_CC_2"
    assert name_region({"rank": 1, "attention": 0.624}) == "1: 62%"
    assert title_view(row(0.8, 0.2) | {"name": "L CC"}) == "L CC: 0.80 (picture alone 0.60)"
    assert title_view(row(0.8, 0.2, True) | {"name": "L CC"}) == "L CC: 80% (picture alone 0.60)"
    assert title_view(row(None) | {"name": "L CC"}) == "L CC: no region found"


@pytest.mark.parametrize(("attention", "word"), [(True, "Attention says"), (False, "have no attention")])
def test_shares(attention: bool, word: str):
    assert word in describe_shares(attention)
