"""The random points of Algorithm 1, line 2: inside tissue, with the widest field of view on the slide."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from common.errors import InputError
from common.io.slide import Slide

DRAWS_PER_ROUND = 4096
MAX_ROUNDS = 256


@dataclass(frozen=True)
class Points:
    """Points of one slide.

    Attributes:
        xy_px: (P, 2) level-0 pixel coordinates.
        requested: how many were asked for.
        rejected_background: draws that fell outside tissue.
        rejected_field_of_view: draws in tissue whose widest field of view leaves the slide.
    """

    xy_px: np.ndarray
    requested: int
    rejected_background: int
    rejected_field_of_view: int


def sample_points(
    slide: Slide, tissue: np.ndarray, count: int, half_width_px: float, rng: np.random.Generator
) -> Points:
    """Draw uniformly over the slide until `count` points are in tissue and can be read at every scale.

    Args:
        slide: open slide.
        tissue: (h, w) bool mask over the whole slide.
        count: points wanted, P.
        half_width_px: half the widest field of view, in level-0 pixels.
        rng: source of randomness.

    Raises:
        InputError: no tissue at all, or no tissue point far enough from the border.
    """
    if not tissue.any():
        raise InputError(
            f"{slide.path.name}: expected tissue, found none: check the slide's thumbnail or lower min_tissue"
        )
    size = np.array([slide.width_px, slide.height_px], dtype=float)
    accepted: list[np.ndarray] = []
    background = outside = found = 0
    for _ in range(MAX_ROUNDS):
        drawn = rng.uniform(0, 1, (DRAWS_PER_ROUND, 2)) * size
        in_tissue, fits = _in_tissue(drawn, size, tissue), _fits(drawn, size, half_width_px)
        kept = np.flatnonzero(in_tissue & fits)[: count - found]
        last = kept[-1] + 1 if found + len(kept) == count else DRAWS_PER_ROUND
        background += int((~in_tissue[:last]).sum())
        outside += int((in_tissue & ~fits)[:last].sum())
        accepted.append(drawn[kept])
        found += len(kept)
        if found == count:
            break
    if not found:
        raise InputError(
            f"{slide.path.name}: expected tissue at least {half_width_px:.0f} px from every border, found none: "
            "the slide is too small for the lowest magnification; give higher --scales"
        )
    return Points(np.concatenate(accepted), count, background, outside)


def _in_tissue(xy_px: np.ndarray, size_px: np.ndarray, tissue: np.ndarray) -> np.ndarray:
    height, width = tissue.shape
    columns, rows = (xy_px / size_px * [width, height]).astype(int).T
    return tissue[np.minimum(rows, height - 1), np.minimum(columns, width - 1)]


def _fits(xy_px: np.ndarray, size_px: np.ndarray, half_width_px: float) -> np.ndarray:
    return np.all((xy_px >= half_width_px) & (xy_px <= size_px - half_width_px), axis=1)
