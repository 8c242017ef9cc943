"""Regions: suppression by hand, crops against the picture itself."""

from __future__ import annotations

import numpy as np
import pytest

from common.errors import ConfigError, InputError
from mmbcd.rois import clip_boxes, crop_rois, select_rois


def test_overlapping_boxes_go_and_the_best_stay() -> None:
    """The second overlaps the first by 80 / 120, the third by 10 / 190 (0.05), the fourth not at all."""
    boxes = np.array([[0, 0, 10, 10], [0, 2, 10, 12], [9, 0, 19, 10], [50, 50, 60, 60], [5, 5, 5, 9]], float)
    rois = select_rois(boxes, np.array([0.02, 0.9, 0.01, 0.5, 0.99]), k=3)
    np.testing.assert_allclose(rois.scores, [0.9, 0.5, 0.01])
    np.testing.assert_allclose(rois.boxes_px, boxes[[1, 3, 2]])
    assert len(select_rois(boxes, np.full(5, 0.1), k=1)) == 1


def test_low_scores_are_kept_and_nothing_gives_nothing() -> None:
    assert len(select_rois(np.array([[0.0, 0, 1, 1]]), np.array([1e-6]))) == 1
    empty = select_rois(np.empty((0, 4)), np.empty(0))
    assert empty.boxes_px.shape == (0, 4)
    assert len(empty) == 0


@pytest.mark.parametrize(("k", "iou"), [(0, 0.1), (8, 1.5)])
def test_impossible_settings_are_refused(k: int, iou: float) -> None:
    with pytest.raises(ConfigError, match=f"expected at least 1 and iou 0..1, got {k} and {iou}"):
        select_rois(np.empty((0, 4)), np.empty(0), k, iou)


def test_boxes_are_cut_to_the_picture_or_refused() -> None:
    clipped = clip_boxes(np.array([[-2.0, 1, 5, 30]]), (20, 10), "x.dcm")
    np.testing.assert_allclose(clipped, [[0, 1, 5, 20]])
    with pytest.raises(
        InputError, match=r"x.dcm: expected boxes inside its 10x20 pixels, got 1 not in it, box 1"
    ):
        clip_boxes(np.array([[0.0, 0, 5, 5], [11, 0, 15, 5]]), (20, 10), "x.dcm")


@pytest.fixture
def ramp() -> np.ndarray:
    """Every pixel has a value of its own."""
    return np.linspace(0, 1, 60 * 40, dtype=np.float32).reshape(60, 40)


def test_a_box_of_the_wanted_size_is_the_picture_itself(ramp: np.ndarray) -> None:
    crops = crop_rois(ramp, np.array([[10, 20, 18, 28]]), size_px=8)
    assert crops.shape == (1, 3, 8, 8)
    assert crops.dtype == np.float32
    for channel in range(3):
        np.testing.assert_array_equal(crops[0, channel], ramp[20:28, 10:18])


def test_shrinking_takes_means_of_full_resolution(ramp: np.ndarray) -> None:
    crops = crop_rois(ramp, np.array([[0, 0, 16, 16]]), size_px=8)
    means = ramp[:16, :16].reshape(8, 2, 8, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(crops[0, 0], means, atol=1e-6)


def test_squares_keep_shapes_and_stretching_does_not(ramp: np.ndarray) -> None:
    tall = np.array([[10.0, 20, 14, 28]])
    np.testing.assert_array_equal(crop_rois(ramp, tall, size_px=8)[0, 0], ramp[20:28, 8:16])
    stretched = crop_rois(ramp, tall, size_px=4, square=False)[0, 0]
    np.testing.assert_allclose(stretched, ramp[20:28, 10:14].reshape(4, 2, 4).mean(axis=1), atol=1e-6)


def test_context_is_cut_too_and_dark_beyond_the_picture(ramp: np.ndarray) -> None:
    crop = crop_rois(ramp + 1, np.array([[0, 0, 4, 4]]), size_px=8, context=2.0)[0, 0]
    np.testing.assert_array_equal(crop[2:, 2:], ramp[:6, :6] + 1)
    assert not crop[:2].any()
    assert not crop[:, :2].any()


def test_tiny_boxes_give_a_pixel_and_no_boxes_give_none(ramp: np.ndarray) -> None:
    crop = crop_rois(ramp, np.array([[10.4, 20.4, 10.5, 20.5]]), size_px=4)
    np.testing.assert_allclose(crop[0], ramp[20, 10])
    assert crop_rois(ramp, np.empty((0, 4)), size_px=4).shape == (0, 3, 4, 4)


@pytest.mark.parametrize(("size", "context"), [(0, 1.0), (8, 0.5)])
def test_impossible_crops_are_refused(ramp: np.ndarray, size: int, context: float) -> None:
    with pytest.raises(ConfigError, match=f"expected a size from 1 and a context from 1, got {size} and"):
        crop_rois(ramp, np.empty((0, 4)), size, context)
