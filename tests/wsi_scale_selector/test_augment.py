"""Augmentation: against scikit-image's stain separation, the group of the square, and itself."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.color import hed2rgb, hed_from_rgb, rgb2hed, rgb_from_hed

from common.errors import ConfigError
from scale_selector.augment import Augmentation, crop_middle, jitter_stain, turn

RNG = np.random.default_rng(0)
STAINED = np.clip(255 * np.exp(-RNG.uniform(0.3, 0.6, (16, 16, 3)) @ np.abs(rgb_from_hed)), 1, 255).astype(
    np.uint8
)


def test_no_jitter_changes_nothing() -> None:
    picture = RNG.integers(1, 256, (16, 16, 3), dtype=np.uint8)
    assert np.array_equal(jitter_stain(picture, np.ones(3), np.zeros(3)), picture)


def test_jitter_agrees_with_scikit_image() -> None:
    gains, shifts = np.array([1.1, 0.9, 1.05]), np.array([0.004, 0.002, 0.001])
    hed = rgb2hed(STAINED)
    assert hed.min() > 0  # scikit-image clips negative stains; the comparison needs none
    expected = 255 * hed2rgb(hed * gains + shifts)
    assert np.abs(jitter_stain(STAINED, gains, shifts) - expected).max() <= 0.51


def test_doubling_one_stain_by_hand() -> None:
    density = np.array([0.2, 0.3, 0.0]) @ rgb_from_hed
    patch = np.rint(255 * np.exp(-density)).astype(np.uint8)[None, None]
    stains = -np.log(patch[0, 0] / 255) @ hed_from_rgb * [2, 1, 1]
    expected = np.rint(255 * np.exp(-stains @ rgb_from_hed))
    assert np.array_equal(jitter_stain(patch, np.array([2.0, 1, 1]), np.zeros(3))[0, 0], expected)


def test_turns_are_the_eight_symmetries() -> None:
    patch = np.arange(27, dtype=np.uint8).reshape(3, 3, 3)
    results = {turn(patch, k).tobytes() for k in range(8)}
    assert len(results) == 8 and np.array_equal(turn(patch, 0), patch)
    assert np.array_equal(turn(patch, 4), patch[:, ::-1])


def test_crop_middle_by_hand() -> None:
    patch = np.zeros((6, 6, 3), np.uint8)
    patch[1:5, 1:5] = 200
    assert np.array_equal(crop_middle(patch, 4), patch[1:5, 1:5])
    assert crop_middle(patch, 4, factor=1.5).shape == (4, 4, 3)
    assert (crop_middle(patch, 4, factor=0.5) == 200).all()
    assert crop_middle(patch, 8).shape == (8, 8, 3)


def test_repeatable_and_of_the_right_size() -> None:
    patch = RNG.integers(0, 256, (40, 40, 3), dtype=np.uint8)
    change = Augmentation(flips=True, stain=0.1, scale=0.25)
    one, same, other = (change(patch, 32, np.random.default_rng(seed)) for seed in (7, 7, 8))
    assert one.shape == (32, 32, 3) and np.array_equal(one, same) and not np.array_equal(one, other)


def test_switched_off_is_the_identity() -> None:
    patch = RNG.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    assert np.array_equal(Augmentation(flips=False)(patch, 8, np.random.default_rng(0)), patch)


@pytest.mark.parametrize("name", ["stain", "scale"])
def test_out_of_range(name: str) -> None:
    with pytest.raises(ConfigError, match=f"augmentation {name}: expected 0"):
        Augmentation(**{name: 1.5})
