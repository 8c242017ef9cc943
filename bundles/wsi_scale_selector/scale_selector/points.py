"""The random points of Algorithm 1, line 2: inside tissue, with the widest field of view on the slide."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from common.errors import InputError
from common.io.slide import Slide

DRAWS_PER_ROUND = 4096
MAX_ROUNDS = 64


@dataclass(frozen=True)
class Points:
    """Points of one slide.

    Attributes:
        xy_px: (P, 2) level-0 pixel coordinates.
        requested: how many were asked for.
        rejected_field_of_view: draws whose widest field of view leaves the slide.
        tissue_share: share of the slide that is tissue; background is never drawn.
    """

    xy_px: np.ndarray
    requested: int
    rejected_field_of_view: int
    tissue_share: float


def sample_points(
    slide: Slide, tissue: np.ndarray, count: int, half_width_px: float, rng: np.random.Generator
) -> Points:
    """Draw uniformly over the tissue until `count` points can be read at every scale.

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
            f"{slide.path.name}: expected tissue, found none: look at its thumbnail; is it a slide?"
        )
    size = np.array([slide.width_px, slide.height_px], dtype=float)
    pixels = np.argwhere(tissue)[:, ::-1]
    accepted: list[np.ndarray] = []
    outside = found = 0
    for _ in range(MAX_ROUNDS):
        drawn = pixels[rng.integers(0, len(pixels), DRAWS_PER_ROUND)] + rng.uniform(
            0, 1, (DRAWS_PER_ROUND, 2)
        )
        drawn *= size / tissue.shape[::-1]
        fits = np.all((drawn >= half_width_px) & (drawn <= size - half_width_px), axis=1)
        kept = np.flatnonzero(fits)[: count - found]
        last = kept[-1] + 1 if found + len(kept) == count else DRAWS_PER_ROUND
        outside += int((~fits[:last]).sum())
        accepted.append(drawn[kept])
        found += len(kept)
        if found == count:
            break
    if not found:
        raise InputError(
            f"{slide.path.name}: expected tissue {half_width_px:.0f} px or more from the border, found none: "
            "the slide is too small for the lowest magnification; give higher --scales"
        )
    return Points(np.concatenate(accepted), count, outside, float(tissue.mean()))
