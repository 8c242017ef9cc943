"""What is and what is not HU."""

from __future__ import annotations

import numpy as np
import pytest
from ct_cases import hu_volume

from common.errors import InputError
from common.io.hounsfield import MAX_VOXELS, check_size, checked_hu


def test_hu_keeps_its_values_in_the_smallest_type() -> None:
    assert checked_hu(hu_volume(), "a").dtype == np.int16
    assert checked_hu(hu_volume().astype(np.int64), "a").dtype == np.int16
    assert checked_hu(hu_volume().astype(np.float64), "a").dtype == np.int16
    fractions = checked_hu(hu_volume() + 0.25, "a")
    assert fractions.dtype == np.float32
    np.testing.assert_array_equal(fractions, hu_volume() + 0.25)


def test_a_crop_without_air_is_still_hu() -> None:
    crop = np.random.default_rng(0).normal(60, 40, (20, 20, 10)).astype(np.int16)
    np.testing.assert_array_equal(checked_hu(crop, "a"), crop)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            hu_volume().astype(np.int32) + 1024,
            r"got values 24 to \d+ that have no rescale \(slope and intercept",
        ),
        (hu_volume().astype(np.int32) * 100, r"got values -100000 to \d+ that are out of range: export the"),
        (
            np.linspace(0, 1, 60).reshape(3, 4, 5),
            r"got values 0 to 1 that are labels or were scaled to a picture",
        ),
        (
            np.arange(60, dtype=np.uint8).reshape(3, 4, 5),
            r"got values 0 to 59 that are labels or were scaled",
        ),
        (np.zeros((3, 4, 5), complex), r"a: expected HU, got voxels of type complex128: export the CT again"),
        (np.zeros((3, 4, 5), bool), r"a: expected HU, got voxels of type bool"),
        (np.zeros((3, 4, 5), [("R", "u1")]), r"a: expected HU, got voxels of type"),
        (np.full((3, 4, 5), np.nan), r"a: expected HU, got 60 voxels that are NaN or infinite: fill them"),
    ],
)
def test_other_values_are_refused(values: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        checked_hu(values, "a")


@pytest.mark.parametrize("shape", [(0, 4, 5), (4096, 4096, 4096)])
def test_impossible_sizes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=rf"a: expected 1 to {MAX_VOXELS} voxels, got {shape[0]} x .*: crop"):
        check_size(shape, "a")
