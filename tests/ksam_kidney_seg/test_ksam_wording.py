"""The words of a report follow from the numbers."""

from __future__ import annotations

from typing import Any

import pytest

from ksam.wording import (
    choose_tone,
    describe_carried,
    describe_families,
    describe_found,
    describe_sureness,
    format_ml,
    headline,
    list_doubts,
)

CLINICAL = {"purpose": "clinical"}


def side(ml: float) -> dict[str, Any]:
    return {"voxels": round(1000 * ml), "volume_ml": ml}


def row(name: str = "cortex", right: float = 60, left: float = 40, **changes: Any) -> dict[str, Any]:
    known = {"name": name, "parent": None, "expected_dice": 0.9, "cut": [], **side(right + left)}
    return {**known, "right": side(right), "left": side(left), **changes}


def ct(*rows: dict[str, Any], **changes: Any) -> dict[str, Any]:
    sides = {"note": ""}
    base = {"kind": "ct", "empty": False, "structures": rows, "sides": sides, "weights": CLINICAL}
    return {**base, "carried": [], **changes}


def picture(*areas: int, ratio: dict[str, Any] | None = None) -> dict[str, Any]:
    rows = [
        {"name": name, "parent": None, "area_px": area, "share": area / 1000, "expected_dice": None}
        for name, area in zip(("disc", "cup"), areas, strict=False)
    ]
    base = {
        "kind": "picture",
        "empty": not any(areas),
        "structures": rows,
        "weights": CLINICAL,
        "carried": [],
    }
    return {**base, "cup_to_disc": ratio}


RATIO = {"vertical_cup_to_disc_ratio": 0.5, "cup_height_px": 10, "disc_height_px": 20}


@pytest.mark.parametrize(("ml", "text"), [(142.4, "142"), (61.23, "61.2"), (8.1, "8.10"), (99.96, "100")])
def test_volumes_have_three_figures(ml, text):
    assert format_ml(ml) == text


def test_headlines():
    assert headline(ct(row(), row("artery", 0, 0))) == "Cortex 100 mL, artery not found"
    empty = ct(row(right=0, left=0), row("medulla", 0, 0), row("artery", 0, 0), empty=True)
    assert headline(empty) == "Nothing found: no cortex, medulla or artery in this series"
    assert headline(picture(400, 100)) == "Disc 40.0% of the picture, cup 10.0% of the picture"
    assert headline(picture(400, 0)) == "Disc 40.0% of the picture, cup not found"
    assert headline(picture(0, 0)) == "Nothing found: no disc or cup in this picture"
    assert headline(picture(4, 1, ratio=RATIO)) == "Vertical cup-to-disc ratio 0.50"


def test_sides_are_said_with_their_shares():
    assert describe_found(ct(row())) == ["Cortex: right 60.0 mL (60%), left 40.0 mL (40%)."]
    assert describe_found(ct({**row(), "right": None, "left": None})) == []
    assert "The label map is empty." in describe_found(ct(row(right=0, left=0), empty=True))[0]
    assert describe_found(picture(4, 1, ratio=RATIO)) == [
        "The cup is 10 pixels high and the disc 20, each from its topmost to its lowest row."
    ]
    assert describe_found(picture(4, 1)) == []


def test_a_structure_of_one_voxel_has_no_shares():
    """0.0004 mL are written as 0.000 mL on both sides: half of nothing is not a share."""
    tiny = {**row("artery", 0, 0), "voxels": 1, "right": {"voxels": 1, "volume_ml": 0.0}}
    assert describe_found(ct(row(), tiny)) == ["Cortex: right 60.0 mL (60%), left 40.0 mL (40%)."]


@pytest.mark.parametrize(("dice", "words"), [(0.86, "agree well"), (0.8, "differ"), (0.5, "contradict")])
def test_sureness_follows_the_weakest_structure(dice, words):
    sentence = describe_sureness(ct(row(), row("artery", expected_dice=dice)))
    assert words in sentence and f"cortex 0.90, artery {dice:.2f}" in sentence


def test_one_example_says_nothing_about_sureness():
    assert "cannot be told" in describe_sureness(ct(row(expected_dice=None)))


def test_doubts_are_listed():
    result = ct(
        row(cut=["top"]),
        row("medulla", 30, 0),
        row("artery", expected_dice=0.4),
        row("vein", 0, 0),
        sides={"note": "No sides."},
    )
    assert list_doubts(result) == [
        "Cortex reaches the top slice of the series: its volume may be too small.",
        "Medulla was not found on the left.",
        "Artery: the examples contradict each other (0.40). Check the outline before use.",
        "Vein was not found anywhere.",
        "No sides.",
    ]
    assert list_doubts(ct(row())) == [] and list_doubts(picture(4, 1)) == []
    assert list_doubts(ct(row(right=0, left=0), empty=True)) == []


def test_tones():
    assert choose_tone(ct(row())) == "good"
    assert choose_tone(ct(row(), weights={"purpose": "research"})) == "neutral"
    assert choose_tone(ct(row(right=0))) == "caution"
    assert choose_tone(ct(row(right=0, left=0), empty=True)) == "bad"


def test_carried_structures_are_named():
    assert describe_carried([]) == []
    (sentence,) = describe_carried(["kidney", "liver"])
    assert sentence.startswith("Kidney and liver: carried from the labelled slice of this very series to its")


def test_a_side_without_the_structure_is_no_doubt_where_it_is_expected():
    spleen, named = row("spleen", right=0), row("kidney_left", right=0)
    assert list_doubts(ct(spleen, named, carried=["spleen"])) == []
    assert list_doubts(ct(spleen)) == ["Spleen was not found on the right."]
    swapped = row("kidney_left", left=0)
    assert list_doubts(ct(swapped, carried=["kidney_left"])) == ["Kidney_left was not found on the left."]
    assert describe_found(ct(spleen))[0] == "Spleen: all of it on the left."


def test_families_are_explained():
    rows = [{"name": "disc", "parent": None}, {"name": "cup", "parent": "disc"}]
    assert describe_families(rows) == [
        "Disc includes cup; in the label map each pixel has the value of the innermost structure."
    ]
