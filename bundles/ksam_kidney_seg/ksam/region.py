"""Two steps for small structures: found in the whole slice, then drawn in squares a third as large.

On a whole abdomen at 256 pixels a renal medulla is six pixels wide. `crop: "region"` shows every template
twice: whole, to find where the structures are, and cut to a square around them, to draw them three times as
large. Training sees both views; the network is the same. Choice; the paper shows whole slices at 1024 pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from .frame import Frame, build_frame
from .templates import Task, Template

SHARE = 1 / 3
"""Edge of a region over that of the first view: a kidney with the trunk of its artery."""

MIN_PART = 0.05
"""Squares that would add less than this share of what the first one shows are not drawn: stray answers."""

SHOWN = 0.25
"""Share of a structure's pixels in a slice that a part of it must have to be an example of the structure."""


@dataclass(frozen=True)
class Region:
    """A square of the slices, and where it is needed.

    Attributes:
        frame: what the network sees.
        slices: numbers of the slices in which something was found, from the first to the last of them.
    """

    frame: Frame
    slices: range

    def reach(self, step: int, count: int) -> Region:
        """The region with as many slices more below and above as were left out between those looked at."""
        first, last = max(0, self.slices.start - step + 1), min(count, self.slices.stop + step - 1)
        return Region(self.frame, range(first, last))


def find_regions(found: np.ndarray, outer: Frame, min_part: float = MIN_PART) -> list[Region]:
    """Squares that cover what was found, those that show most of it first; none for an empty answer.

    Each one is put where most of what is not covered yet fits into it, and then moved so that this lies in
    its middle: kidneys get a square each, the artery between them lies in both or gets its own.

    Args:
        found: (r, c) or (R, C, Z) bool, all structures together.
        outer: frame of the first step.
        min_part: a square that adds less than this share of what the first one shows is left out.
    """
    left = np.array(np.atleast_3d(found), dtype=bool)
    side = max(1, min(round(outer.box_px[2] * SHARE), *left.shape[:2]))
    regions: list[Region] = []
    enough = 1.0
    while left.any():
        region, gain = _take_square(left, side, outer)
        enough = enough if regions else max(1.0, min_part * gain)
        if gain < enough:
            break
        regions.append(region)
    return regions


def _take_square(left: np.ndarray, side: int, outer: Frame) -> tuple[Region, int]:
    """The square with most of what is left, and how many voxels of it; they are taken out of `left`."""
    sums = np.pad(left.sum(axis=2), ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    inside = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    y0, x0 = np.unravel_index(inside.argmax(), inside.shape)
    taken = np.zeros_like(left)
    taken[y0 : y0 + side, x0 : x0 + side] = left[y0 : y0 + side, x0 : x0 + side]
    rows, columns, slices = (np.flatnonzero(taken.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1)))
    box = (_centre(rows, side, left.shape[0]), _centre(columns, side, left.shape[1]), side)
    left[_cut(box)] = False
    return Region(replace(outer, box_px=box), range(int(slices[0]), int(slices[-1]) + 1)), int(taken.sum())


def _centre(places: np.ndarray, side: int, size: int) -> int:
    """Where a square begins that has the places in its middle, as far as the slice reaches."""
    return int(np.clip((int(places[0]) + int(places[-1]) + 1 - side) // 2, 0, size - side))


@dataclass(frozen=True, eq=False)
class TwoSteps:
    """A task of `crop: "region"` as its two steps see it.

    Attributes:
        outer: shows the templates whole.
        inner: shows them cut to their regions; a template with two kidneys becomes two.
        origin: id of an inner template -> id of the template that it was cut from.
    """

    outer: Task
    inner: Task
    origin: Mapping[str, str]


@lru_cache(maxsize=8)
def split_task(task: Task) -> TwoSteps:
    """The two steps of a task.

    Raises:
        InputError: see `Task`.
    """
    crop = "body" if task.modality == "CT" else "none"
    cut = {template.id: _cut_template(template, crop) for template in task.templates}
    templates = tuple(part for parts in cut.values() for part in parts)
    origin = {part.id: name for name, parts in cut.items() for part in parts}
    return TwoSteps(replace(task, crop=crop), replace(task, crop="none", templates=templates), origin)


def _cut_template(template: Template, crop: str) -> list[Template]:
    """A template for each of its regions, with the structures that lie in it."""
    found = np.any(list(template.masks.values()), axis=0)
    regions = find_regions(found, build_frame(template.image, crop), min_part=0.0)
    cuts = [_cut(region.frame.box_px) for region in regions]
    most = {name: max(mask[cut].sum() for cut in cuts) for name, mask in template.masks.items()}
    parts = []
    for number, cut in enumerate(cuts, 1):
        shown = {
            name: np.ascontiguousarray(mask[cut])
            for name, mask in template.masks.items()
            if mask[cut].sum() >= min(most[name], SHOWN * mask.sum())
        }
        image = np.ascontiguousarray(template.image[cut])
        if shown:
            parts.append(replace(template, id=f"{template.id} region {number}", image=image, masks=shown))
    return parts


def _cut(box_px: tuple[int, int, int]) -> tuple[slice, slice]:
    y0, x0, side = box_px
    return slice(y0, y0 + side), slice(x0, x0 + side)
