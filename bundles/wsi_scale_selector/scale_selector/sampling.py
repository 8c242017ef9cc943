"""Where patches may lie: random or gridded squares, sufficiently inside an annotated area."""

from __future__ import annotations

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

MAX_ROUNDS = 40


def sample_centers(
    area: BaseGeometry,
    count: int,
    side_px: float,
    slide_size_px: tuple[int, int],
    min_inside: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Draw patch centres uniformly over an area.

    Args:
        area: Polygon or MultiPolygon, level-0 pixels.
        count: centres wanted.
        side_px: edge of the patch in level-0 pixels.
        slide_size_px: level-0 width and height; every patch lies on the slide.
        min_inside: least share of the patch's surface inside the area, 0..1.
        rng: source of randomness.

    Returns:
        (n, 2) x, y in level-0 pixels; n < count where the area is too small or too narrow.
    """
    pieces = [piece for piece in shapely.get_parts(area) if piece.area > 0]
    bounds = np.array([piece.bounds for piece in pieces])
    weights = np.array([piece.area for piece in pieces])
    shapely.prepare(area)
    found = np.empty((0, 2))
    for _ in range(MAX_ROUNDS):
        picked = bounds[rng.choice(len(pieces), 4 * count, p=weights / weights.sum())]
        drawn = rng.uniform(picked[:, :2], picked[:, 2:])
        drawn = drawn[shapely.contains_xy(area, drawn)]
        found = np.concatenate([found, keep_inside(area, drawn, side_px, slide_size_px, min_inside)])
        if len(found) >= count:
            break
    return found[:count]


def grid_centers(
    area: BaseGeometry, side_px: float, step_px: float, slide_size_px: tuple[int, int], min_inside: float
) -> np.ndarray:
    """Centres of the slide's own grid whose patches lie sufficiently inside an area.

    The grid begins at the slide's corner, so that the tiles are those of a patch-wise classification of the
    whole slide (paper, section "Experiments").

    Returns:
        (n, 2) x, y in level-0 pixels, row by row.
    """
    x0, y0, x1, y1 = area.bounds
    axes = [
        side_px / 2
        + step_px * np.arange(max(0, np.floor((low - side_px) / step_px)), np.ceil(high / step_px))
        for low, high in ((x0, x1), (y0, y1))
    ]
    shapely.prepare(area)
    grid = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)
    return keep_inside(area, grid, side_px, slide_size_px, min_inside)


def keep_inside(
    area: BaseGeometry,
    centers: np.ndarray,
    side_px: float,
    slide_size_px: tuple[int, int],
    min_inside: float,
) -> np.ndarray:
    """The centres whose square lies on the slide and has at least `min_inside` of its surface in `area`."""
    half = side_px / 2
    on_slide = np.all((centers >= half) & (centers <= np.array(slide_size_px) - half), axis=1)
    centers = centers[on_slide]
    squares = shapely.box(*(centers - half).T, *(centers + half).T)
    near = shapely.intersects(area, squares)
    centers, squares = centers[near], squares[near]
    share = np.ones(len(squares))
    partly = ~shapely.covers(area, squares)
    share[partly] = shapely.area(shapely.intersection(area, squares[partly])) / side_px**2
    return centers[share >= min_inside - 1e-9]
