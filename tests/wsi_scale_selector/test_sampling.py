"""Patch centres: exact counts on hand-drawn areas, and shares against shapely one by one."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from scale_selector.sampling import grid_centers, keep_inside, sample_centers

SLIDE = (1000, 800)
SQUARE = shapely.box(100, 100, 500, 500)


def share(area: shapely.Geometry, center: np.ndarray, side: float) -> float:
    x, y = center
    square = shapely.box(x - side / 2, y - side / 2, x + side / 2, y + side / 2)
    return area.intersection(square).area / side**2


def test_samples_lie_sufficiently_inside() -> None:
    area = shapely.union_all(
        [SQUARE.difference(shapely.box(250, 250, 350, 350)), shapely.box(700, 0, 1000, 300)]
    )
    centers = sample_centers(area, 200, 80, SLIDE, 0.9, np.random.default_rng(0))
    assert centers.shape == (200, 2)
    assert min(share(area, c, 80) for c in centers) >= 0.9 - 1e-9
    assert centers.min() >= 40 and centers[:, 0].max() <= 960


def test_samples_are_uniform_over_the_pieces() -> None:
    area = shapely.union_all([shapely.box(0, 0, 400, 400), shapely.box(600, 0, 800, 800)])
    centers = sample_centers(area, 2000, 2, SLIDE, 0.5, np.random.default_rng(1))
    assert (centers[:, 0] < 500).mean() == pytest.approx(0.5, abs=0.04)


def test_same_seed_same_samples() -> None:
    first, again = (sample_centers(SQUARE, 10, 50, SLIDE, 1.0, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(first, again)


def test_a_narrow_area_gives_none() -> None:
    strip = shapely.box(0, 400, 1000, 420)
    assert sample_centers(strip, 5, 100, SLIDE, 0.75, np.random.default_rng(0)).shape == (0, 2)


def test_grid_is_the_slides_own() -> None:
    centers = grid_centers(SQUARE, 100, 100, SLIDE, 1.0)
    assert len(centers) == 16 and set(np.unique(centers)) == {150, 250, 350, 450}


def test_grid_with_a_smaller_share_and_step() -> None:
    shifted = shapely.box(150, 100, 450, 200)
    assert len(grid_centers(shifted, 100, 100, SLIDE, 1.0)) == 2
    assert len(grid_centers(shifted, 100, 100, SLIDE, 0.5)) == 4
    assert len(grid_centers(shifted, 100, 50, SLIDE, 1.0)) == 5


def test_grid_never_leaves_the_slide() -> None:
    assert len(grid_centers(shapely.box(-50, -50, 2000, 2000), 300, 300, SLIDE, 0.5)) == 3 * 2


def test_keep_inside_agrees_with_one_by_one() -> None:
    rng = np.random.default_rng(5)
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    radii = np.where(np.arange(24) % 2, 150, 350)
    star = shapely.Polygon(np.stack([400 + radii * np.cos(angles), 400 + radii * np.sin(angles)], axis=1))
    centers = rng.uniform(0, 800, (300, 2))
    kept = keep_inside(star, centers, 60, SLIDE, 0.6)
    expected = [c for c in centers if share(star, c, 60) >= 0.6 and c.min() >= 30 and c[1] <= 770]
    assert np.array_equal(kept, np.array(expected))
