"""Which clauses of a history belong to which breast."""

from __future__ import annotations

import time

import pytest

from mmbcd.laterality import history_for_breast, named_sides

CASES = [
    (
        "Lump in left breast since 2 months, painful, increasing in size. Family history of breast cancer.",
        "Lump in left breast since 2 months, painful, increasing in size. Family history of breast cancer.",
        "Family history of breast cancer.",
    ),
    ("Pain rt breast", "", "Pain rt breast"),
    ("c/o lump lt. breast x 3 months", "c/o lump lt. breast x 3 months", ""),
    ("Left breast lump and right breast pain", "Left breast lump", "right breast pain"),
    (
        "Left lump and right axillary pain. Mother had breast cancer",
        "Left lump. Mother had breast cancer",
        "right axillary pain. Mother had breast cancer",
    ),
    ("Nipple discharge, left side", "Nipple discharge, left side", ""),
    ("Rt breast lump; Lt axillary node", "Lt axillary node", "Rt breast lump"),
    (
        "Left MRM 2015, contralateral breast follow up",
        "Left MRM 2015",
        "contralateral breast follow up",
    ),
    ("Right mastectomy, pain on the same side", "", "Right mastectomy, pain on the same side"),
    ("Lump UOQ L breast, mother had breast cancer", "Lump UOQ L breast, mother had breast cancer", None),
    ("Lump in LUOQ", "Lump in LUOQ", ""),
    ("R/E normal; L/E lump", "L/E lump", "R/E normal"),
    ("left breast lump, diabetic", "left breast lump, diabetic", "diabetic"),
    (
        "Bloody discharge from R nipple, no lump. Both breasts dense.",
        "Both breasts dense.",
        "Bloody discharge from R nipple, no lump. Both breasts dense.",
    ),
    ("Pain in left arm and left breast", "Pain in left arm and left breast", ""),
    ("1) lump (R) 2) pain (L)", "pain (L)", "1) lump (R)"),
]


@pytest.mark.parametrize(("text", "left", "right"), CASES, ids=[case[0][:30] for case in CASES])
def test_each_breast_gets_its_clauses(text: str, left: str, right: str | None) -> None:
    assert history_for_breast(text, "L") == left
    assert history_for_breast(text, "R") == ("mother had breast cancer" if right is None else right)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Screening",
        "b/l mastalgia",
        "pain in left and right breast",
        "Lump in Lt/Rt breast",
        "Bilateral lumps, painful",
        "L > R mastalgia",
        "h/o right ovarian carcinoma, screening",
        "left shoulder pain",
        "left-handed lady",
        "Right now asymptomatic",
        "Patient left the hospital.",
        "L/E: lump 2x2 cm UOQ",
        "sol memede kitle",
        "Guz lewej piersi od 2 miesi\u0119cy",
        "\u0921\u093e\u0935\u094d\u092f\u093e \u0938\u094d\u0924\u0928\u093e\u0924 \u0917\u093e\u0920",
    ],
)
def test_what_names_no_single_breast_stays_as_it_is(text: str) -> None:
    assert history_for_breast(text, "L") == history_for_breast(text, "R") == text


def test_swapping_the_sides_swaps_the_breasts() -> None:
    """The rules know no difference between left and right."""
    for text, *_ in CASES:
        swap = {"left": "right", "right": "left", "Left": "Right", "Right": "Left"}
        swapped = " ".join(swap.get(word, word) for word in text.split(" "))
        if swapped != text and not {"rt", "lt.", "Rt", "Lt", "R", "L"} & set(text.split(" ")):
            expected = history_for_breast(text, "L").split(" ")
            assert history_for_breast(swapped, "R").split(" ") == [swap.get(word, word) for word in expected]


def test_named_sides() -> None:
    assert named_sides("Left breast lump, right side clear") == {"L", "R"}
    assert named_sides("Pain rt breast") == {"R"}
    assert named_sides("Screening, left knee operated") == frozenset()


def test_a_long_history_takes_no_time() -> None:
    started = time.perf_counter()
    history_for_breast("left and right, lump with pain but l/e r/e " * 100, "L")
    history_for_breast("l " * 2000, "L")
    assert time.perf_counter() - started < 2
