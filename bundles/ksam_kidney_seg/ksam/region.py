"""Two steps for small structures: found in the whole slice, then drawn in squares a third as large.

On a whole abdomen at 256 pixels a renal medulla is six pixels wide. `crop: "region"` shows every template
twice: whole, to find where the structures are, and cut to a square around them, to draw them three times as
large. Training sees both views; the network is the same. Choice; the paper shows whole slices at 1024 pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np

from .frame import Frame, build_frame
from .templates import Task, Template

SHARE = 1 / 3
"""Edge of a region over that of the first view: a kidney with the trunk of its artery."""

GAP_SHARE = 0.1
"""Parts nearer than this share of a region lie in one: cortex and the artery before it."""

FILLED = 0.8
"""Part of a region's edge that structures may take: some surroundings stay visible."""

MIN_PART = 0.05
"""Parts with less than this share of the largest one's voxels are taken for stray answers."""


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
    """Squares that cover what was found, the one with the largest part first; none for an empty answer.

    Args:
        found: (r, c) or (R, C, Z) bool, all structures together.
        outer: frame of the first step.
        min_part: parts with less than this share of the largest one's voxels are left out.
    """
    voxels = np.atleast_3d(found)
    side = max(1, min(round(outer.box_px[2] * SHARE), *voxels.shape[:2]))
    parts, counts = _find_parts(voxels, side)
    kept = [
        number
        for number in np.argsort(-counts)
        if counts[number] and counts[number] >= min_part * counts.max()
    ]
    return [
        region for number in kept for region in _cover(voxels & (parts == number)[:, :, None], side, outer)
    ]


def _find_parts(voxels: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Part numbers from 0 (r, c), -1 elsewhere, of the projection along z; voxels of each part."""
    depth = voxels.sum(axis=2)
    reach = 2 * round(GAP_SHARE * side / 2) + 1
    near = cv2.dilate((depth > 0).astype(np.uint8), np.ones((reach, reach), np.uint8))
    count, labels = cv2.connectedComponents(near)
    parts = np.where(depth > 0, labels - 1, -1)
    return parts, np.bincount(parts[parts >= 0], weights=depth[parts >= 0], minlength=count - 1)


def _cover(part: np.ndarray, side: int, outer: Frame) -> list[Region]:
    """As few squares along each axis as the part needs, inside the slice."""
    rows, columns = (np.flatnonzero(part.any(axis=axes)) for axes in ((1, 2), (0, 2)))
    starts = [
        _start_squares(line, side, size) for line, size in zip((rows, columns), part.shape, strict=False)
    ]
    regions = []
    for y0 in starts[0]:
        for x0 in starts[1]:
            shown = np.flatnonzero(part[y0 : y0 + side, x0 : x0 + side].any(axis=(0, 1)))
            if len(shown):
                frame = replace(outer, box_px=(y0, x0, side))
                regions.append(Region(frame, range(int(shown[0]), int(shown[-1]) + 1)))
    return regions


def _start_squares(places: np.ndarray, side: int, size: int) -> list[int]:
    """Where squares begin along an axis, evenly over the places that something was found at."""
    low, high = int(places[0]), int(places[-1]) + 1
    count = max(1, int(np.ceil((high - low) / (FILLED * side))))
    centres = low + (np.arange(count) + 0.5) * (high - low) / count
    return [int(np.clip(round(centre - side / 2), 0, size - side)) for centre in centres]


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
    parts = []
    for number, region in enumerate(regions, 1):
        y0, x0, side = region.frame.box_px
        inside = slice(y0, y0 + side), slice(x0, x0 + side)
        masks = {name: np.ascontiguousarray(mask[inside]) for name, mask in template.masks.items()}
        shown = {name: mask for name, mask in masks.items() if mask.any()}
        image = np.ascontiguousarray(template.image[inside])
        parts.append(replace(template, id=f"{template.id} region {number}", image=image, masks=shown))
    return parts
