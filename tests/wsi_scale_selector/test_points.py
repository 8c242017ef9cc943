"""Random tissue points: never background, never without their field of view, always counted."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from common.errors import InputError
from scale_selector.points import sample_points

SLIDE = SimpleNamespace(path=SimpleNamespace(name="a.svs"), width_px=4000, height_px=2000)


def left_half() -> np.ndarray:
    mask = np.zeros((50, 100), bool)
    mask[:, :50] = True
    return mask


def test_points_lie_in_tissue_and_fit():
    points = sample_points(SLIDE, left_half(), 500, 200.0, np.random.default_rng(0))
    assert points.xy_px.shape == (500, 2)
    assert points.xy_px[:, 0].min() >= 200 and points.xy_px[:, 0].max() < 2000
    assert points.xy_px[:, 1].min() >= 200 and points.xy_px[:, 1].max() <= 1800


def test_rejections_are_counted_up_to_the_last_point():
    """In the tissue half 1 - (1800/2000) * (1600/2000) = 28 % of the draws lack room."""
    points = sample_points(SLIDE, left_half(), 20000, 200.0, np.random.default_rng(0))
    share = points.rejected_field_of_view / (20000 + points.rejected_field_of_view)
    assert abs(share - 0.28) < 0.01
    assert points.tissue_share == 0.5
    assert sample_points(SLIDE, left_half(), 1, 0.0, np.random.default_rng(0)).rejected_field_of_view == 0


def test_points_are_uniform():
    points = sample_points(SLIDE, left_half(), 20000, 0.0, np.random.default_rng(3))
    counts, *_ = np.histogram2d(*points.xy_px.T, bins=[4, 4], range=[[0, 2000], [0, 2000]])
    assert np.abs(counts / 1250 - 1).max() < 0.12


def test_same_seed_same_points():
    first, second = (sample_points(SLIDE, left_half(), 50, 10.0, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first.xy_px, second.xy_px)


def test_one_pixel_of_tissue_is_found():
    mask = np.zeros((1000, 2000), bool)
    mask[500, 1000] = True
    points = sample_points(SLIDE, mask, 100, 0.0, np.random.default_rng(0))
    assert np.all((points.xy_px >= [2000, 1000]) & (points.xy_px < [2002, 1002]))


def test_fewer_points_than_asked_for_are_kept():
    mask = np.zeros((1000, 2000), bool)
    mask[500, 1000] = True
    points = sample_points(SLIDE, mask, 300000, 0.0, np.random.default_rng(0))
    assert 0 < len(points.xy_px) < points.requested


def test_no_tissue():
    with pytest.raises(InputError, match=r"a\.svs: expected tissue, found none"):
        sample_points(SLIDE, np.zeros((5, 5), bool), 10, 1.0, np.random.default_rng(0))


def test_no_room():
    with pytest.raises(InputError, match="too small for the lowest magnification; give higher --scales"):
        sample_points(SLIDE, left_half(), 10, 1500.0, np.random.default_rng(0))
