"""The plain words of the pictures and of report.html."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from common.report.wording import capitalise, join_words, weights_note

CLEAR_DICE, WEAK_DICE = 0.85, 0.7
"""Agreement of the examples (as a Dice) above which they are called alike, and below which they contradict.

Choice: two readers of fine kidney structures agree at about 0.85 to 0.9."""

SURENESS = (
    "Each example was asked alone, and their answers were compared: 1.00 means that all of them outline the "
    "same, 0 that they have nothing in common. This says how much the result depends on the example; it was "
    "not compared with a truth, and an error that all examples share is not seen."
)
NESTED = "{parent} includes {children}; in the label map each pixel has the value of the innermost structure."

CARRIED = (
    "{structures}: carried from the labelled slice of this very series to its neighbours, one after the "
    "other, by a box around what was found; nothing was compared, and an error goes on from slice to slice."
)


def format_ml(volume_ml: float) -> str:
    """Three figures: 142, 61.2, 8.10."""
    digits = 0 if volume_ml >= 99.95 else 1 if volume_ml >= 9.995 else 2
    return f"{volume_ml:.{digits}f}"


def headline(result: Mapping[str, Any]) -> str:
    """The result in one line of plain words."""
    rows = result["structures"]
    if result["empty"]:
        where = "series" if result["kind"] == "ct" else "picture"
        return f"Nothing found: no {join_words([row['name'] for row in rows], 'or')} in this {where}"
    if result["kind"] == "ct":
        return capitalise(", ".join(map(_name_volume, rows)))
    ratio = result["cup_to_disc"]
    if ratio is not None:
        return f"Vertical cup-to-disc ratio {ratio['vertical_cup_to_disc_ratio']:.2f}"
    return capitalise(", ".join(map(_name_area, rows)))


def _name_volume(row: Mapping[str, Any]) -> str:
    return f"{row['name']} {format_ml(row['volume_ml'])} mL" if row["voxels"] else f"{row['name']} not found"


def _name_area(row: Mapping[str, Any]) -> str:
    return (
        f"{row['name']} {row['share']:.1%} of the picture" if row["area_px"] else f"{row['name']} not found"
    )


def describe_found(result: Mapping[str, Any]) -> list[str]:
    """What the headline leaves out: the sides, how the ratio was measured."""
    if result["empty"]:
        return ["The label map is empty. The examples may not suit this image: compare them below."]
    if result["kind"] == "picture":
        return [_describe_ratio(result["cup_to_disc"])] if result["cup_to_disc"] else []
    return [_describe_sides(row) for row in result["structures"] if row["right"] and _has_volume(row)]


def _has_volume(row: Mapping[str, Any]) -> bool:
    """Whether the sides are more than 0.000 mL together: a voxel or two have no share worth a sentence."""
    return bool(row["right"]["volume_ml"] + row["left"]["volume_ml"])


def _describe_sides(row: Mapping[str, Any]) -> str:
    right, left = row["right"]["volume_ml"], row["left"]["volume_ml"]
    share = right / (right + left)
    if not (right and left):
        return f"{capitalise(row['name'])}: all of it on the {'right' if right else 'left'}."
    return (
        f"{capitalise(row['name'])}: right {format_ml(right)} mL ({share:.0%}), "
        f"left {format_ml(left)} mL ({1 - share:.0%})."
    )


def _describe_ratio(ratio: Mapping[str, Any]) -> str:
    return (
        f"The cup is {ratio['cup_height_px']} pixels high and the disc {ratio['disc_height_px']}, each from "
        "its topmost to its lowest row."
    )


def describe_carried(names: Sequence[str]) -> list[str]:
    """A sentence on the structures that were carried from slice to slice, see `carry`; none without any."""
    return [CARRIED.format(structures=capitalise(join_words(list(names))))] if names else []


def describe_sureness(result: Mapping[str, Any]) -> str:
    """How far the examples agree, in one sentence."""
    known = [row for row in result["structures"] if row["expected_dice"] is not None and _is_found(row)]
    if not known:
        return "How sure the result is cannot be told: only one example was asked for each structure."
    parts = [f"{row['name']} {row['expected_dice']:.2f}" for row in known]
    worst = min(row["expected_dice"] for row in known)
    words = (
        "agree well" if worst >= CLEAR_DICE else "differ" if worst >= WEAK_DICE else "contradict each other"
    )
    return f"The examples {words} (overlap of their answers: {', '.join(parts)})."


def _is_found(row: Mapping[str, Any]) -> bool:
    return bool(row.get("voxels", 0) or row.get("area_px", 0))


def list_doubts(result: Mapping[str, Any]) -> list[str]:
    """What a reader should look at before the numbers are used; empty where nothing stands out."""
    if result["empty"]:
        return []
    doubts: list[str] = []
    for row in result["structures"]:
        doubts += _doubts_of(row, row["name"] in result["carried"])
    midline = result.get("sides", {}).get("note", "")
    return [*doubts, midline] if midline else doubts


def _doubts_of(row: Mapping[str, Any], carried: bool) -> Iterator[str]:
    """A side without the structure is no doubt where its name says so, or where the reader labelled it."""
    name = capitalise(row["name"])
    if not _is_found(row):
        yield f"{name} was not found anywhere."
        return
    dice = row["expected_dice"]
    if dice is not None and dice < WEAK_DICE:
        yield f"{name}: the examples contradict each other ({dice:.2f}). Check the outline before use."
    for end in row.get("cut", ()):
        yield f"{name} reaches the {end} slice of the series: its volume may be too small."
    missing = [side for side in ("right", "left") if row.get(side) and not row[side]["voxels"]]
    named = [side for side in ("right", "left") if side in row["name"].lower()]
    expected = named or ([] if carried else missing)
    for side in [side for side in missing if side in expected]:
        yield f"{name} was not found on the {side}."


def choose_tone(result: Mapping[str, Any]) -> str:
    """Colour of the verdict: bad (nothing found), caution, neutral (not for diagnosis anyway) or good."""
    if result["empty"]:
        return "bad"
    if list_doubts(result):
        return "caution"
    return "neutral" if weights_note(result["weights"]) else "good"


def describe_families(structures: Sequence[Mapping[str, Any]]) -> list[str]:
    """A sentence for each structure that includes others."""
    children: dict[str, list[str]] = {}
    for row in structures:
        if row["parent"] is not None:
            children.setdefault(row["parent"], []).append(row["name"])
    return [
        NESTED.format(parent=capitalise(parent), children=join_words(names))
        for parent, names in children.items()
    ]
