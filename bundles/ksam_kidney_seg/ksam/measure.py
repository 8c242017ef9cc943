"""From label maps to numbers: millilitres by side, areas, the vertical cup-to-disc ratio."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .frame import find_body_box
from .structures import Structure, mask_of

SIDE_RULE = (
    "A voxel is counted to the right or left by the middle of the body: half-way between the body's right "
    "and left edge, over all slices that hold a structure. The first centimetres of a right renal artery lie "
    "left of it, where the aorta is."
)
CUT_NOTE = "The body is cut by the edge of the picture on one side only, so its middle is unknown: no sides."
PART_NOTE = "The picture shows a part of the body's width only, so its middle is unknown: no sides."
WHOLE_WIDTH_MM = 250.0
"""A picture that is filled by the body and narrower than this shows a part of it (choice: a slim adult)."""

MAX_BODY_SLICES = 40
"""Slices in which the body is looked for; evenly spread over those with structures."""


@dataclass(frozen=True)
class Midline:
    """The column of the body's middle in the axial view; smaller columns are the patient's right.

    Attributes:
        column: between pixels, 0 is the left edge of the first; None where it cannot be known.
        note: why not, or "".
    """

    column: float | None
    note: str = ""


def find_midline(voxels_hu: np.ndarray, labels: np.ndarray, column_mm: float) -> Midline:
    """The middle of the body.

    Args:
        voxels_hu: (R, C, Z) axial view.
        labels: (R, C, Z) label map.
        column_mm: distance of columns.
    """
    filled = np.flatnonzero(labels.any(axis=(0, 1)))
    if not len(filled):
        return Midline(None, "No structure was found, so there are no sides.")
    shown = filled[np.linspace(0, len(filled) - 1, min(MAX_BODY_SLICES, len(filled))).round().astype(int)]
    boxes = np.array([find_body_box(voxels_hu[:, :, z]) for z in shown])
    right, left = float(np.median(boxes[:, 1])), float(np.median(boxes[:, 3]))
    cut = (right == 0, left == voxels_hu.shape[1])
    if any(cut) and not all(cut):
        return Midline(None, CUT_NOTE)
    if all(cut) and left * column_mm < WHOLE_WIDTH_MM:
        return Midline(None, PART_NOTE)
    return Midline((right + left) / 2)


def measure_volume(
    labels: np.ndarray, structures: Sequence[Structure], voxel_mm3: float, midline: Midline
) -> list[dict[str, Any]]:
    """A row per structure, its children included.

    Args:
        labels: (R, C, Z) label map of the axial view.
        structures: their order is that of the rows.
        voxel_mm3: volume of a voxel.
        midline: from `find_midline`.

    Returns:
        Rows {"name", "voxels", "volume_ml", "right", "left" (each {"voxels", "volume_ml"} or None), "slices"
        (number), "first_slice", "last_slice" (None where there is nothing), "cut" ("top", "bottom" of the
        series where the structure reaches it)}.
    """
    return [
        _measure(structure.name, mask_of(labels, structure, structures), voxel_mm3, midline)
        for structure in structures
    ]


def _measure(name: str, mask: np.ndarray, voxel_mm3: float, midline: Midline) -> dict[str, Any]:
    columns, planes = mask.sum(axis=(0, 2)), np.flatnonzero(mask.any(axis=(0, 1)))
    right = left = None
    if midline.column is not None:
        share = np.clip(midline.column - np.arange(len(columns)), 0, 1)  # of a column that lies to the right
        on_right = float(columns @ share)
        right = _amount(on_right, voxel_mm3)
        left = _amount(float(columns.sum()) - on_right, voxel_mm3)
    return {
        "name": name,
        **_amount(int(columns.sum()), voxel_mm3),
        "right": right,
        "left": left,
        "slices": len(planes),
        "first_slice": int(planes[0]) if len(planes) else None,
        "last_slice": int(planes[-1]) if len(planes) else None,
        "cut": list(_cut_ends(planes, mask.shape[2])),
    }


def _amount(voxels: float, voxel_mm3: float) -> dict[str, Any]:
    return {"voxels": round(voxels), "volume_ml": round(voxels * voxel_mm3 / 1000, 3)}


def _cut_ends(planes: np.ndarray, count: int) -> Iterator[str]:
    if count > 1 and len(planes):
        if planes[0] == 0:
            yield "bottom"
        if planes[-1] == count - 1:
            yield "top"


def measure_picture(labels: np.ndarray, structures: Sequence[Structure]) -> list[dict[str, Any]]:
    """A row per structure, its children included: {"name", "area_px", "share" of the picture}.

    Args:
        labels: (H, W) label map.
        structures: their order is that of the rows.
    """
    areas = {row.name: int(mask_of(labels, row, structures).sum()) for row in structures}
    return [{"name": name, "area_px": area, "share": area / labels.size} for name, area in areas.items()]


def measure_cup_to_disc(labels: np.ndarray, structures: Sequence[Structure]) -> dict[str, Any] | None:
    """Vertical cup-to-disc ratio: height of the cup over height of the disc, each from its topmost to its
    lowest row, as ophthalmologists measure it.

    Args:
        labels: (H, W) label map.
        structures: with names that end in "disc" (or "disk") and "cup"; else there is no ratio.

    Returns:
        {"vertical_cup_to_disc_ratio", "cup_height_px", "disc_height_px"}; None without such structures or
        where no disc was found.
    """
    heights = {}
    for structure in structures:
        kind = structure.name.lower().replace("disk", "disc").split()[-1]
        if kind in ("disc", "cup"):
            rows = np.flatnonzero(mask_of(labels, structure, structures).any(axis=1))
            heights[kind] = int(rows[-1] - rows[0] + 1) if len(rows) else 0
    if set(heights) != {"disc", "cup"} or not heights["disc"]:
        return None
    return {
        "vertical_cup_to_disc_ratio": round(heights["cup"] / heights["disc"], 4),
        "cup_height_px": heights["cup"],
        "disc_height_px": heights["disc"],
    }
