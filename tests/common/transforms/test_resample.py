"""Resampling against sums worked by hand and against a straight line."""

from __future__ import annotations

import numpy as np
import pytest

from common.transforms.resample import resample_window, source_span_px


@pytest.mark.parametrize(
    ("offset", "scale", "size", "start", "count"),
    [
        (10.0, 1.0, 5, 10, 5),
        (10.0, 2.0, 5, 10, 10),
        (10.25, 1.0, 5, 10, 7),  # 10.25 to 15.25, and one pixel for the interpolation
        (10.25, 2.5, 4, 10, 12),  # 10.25 to 20.25
        (-3.5, 2.0, 2, -4, 6),
        (10.0, 0.5, 4, 7, 8),  # 10 to 12, and three pixels of Lanczos on each side
    ],
)
def test_source_pixels_that_a_window_needs(
    offset: float, scale: float, size: int, start: int, count: int
) -> None:
    assert source_span_px(offset, scale, size) == (start, count)


def grey(values: list[int]) -> np.ndarray:
    return np.repeat(np.array(values, np.uint8)[None, :, None], 3, axis=2).repeat(8, axis=0)


@pytest.mark.parametrize(
    ("offset", "scale", "size", "expected"),
    [
        (0.0, 1.0, 4, [0, 100, 200, 40]),
        (1.0, 1.0, 3, [100, 200, 40]),
        (0.5, 1.0, 3, [50, 150, 120]),
        (0.25, 1.0, 3, [25, 125, 160]),
        (0.0, 2.0, 2, [50, 120]),
        (0.5, 2.0, 1, [100]),  # half of 0, 100, half of 200
        (0.0, 4.0, 1, [85]),
        (0.0, 1.5, 2, [33, 167]),  # 0 and half of 100; half of 100 and all of 200; over 1.5
    ],
)
def test_sums_by_hand(offset: float, scale: float, size: int, expected: list[int]) -> None:
    source = grey([0, 100, 200, 40, 0, 0])
    result = resample_window(source, (offset, 0.0), scale, (size, 1))
    assert result.shape == (1, size, 3) and result.dtype == np.uint8
    np.testing.assert_allclose(result[0, :, 0], expected, atol=1)


@pytest.mark.parametrize("scale", [0.37, 0.5, 0.99, 1.0, 1.01, 1.7, 2.0, 2.99, 3.5])
@pytest.mark.parametrize("offset", [4.0, 4.3, 4.97])
def test_a_straight_line_stays_where_it_is(scale: float, offset: float) -> None:
    source = np.repeat(np.arange(0, 240, 2, dtype=np.uint8)[None, :, None], 3, axis=2).repeat(120, axis=0)
    size = int((110 - offset) / scale)
    result = resample_window(source, (offset, offset), scale, (size, size))[size // 2, :, 0].astype(float)
    centre = offset + (np.arange(size) + 0.5) * scale  # pixel i of the source is centred on i + 0.5
    difference = result - 2 * (centre - 0.5)
    assert np.abs(difference).max() <= 0.25 + 1.01  # an eighth of a pixel each way, and rounding twice
    assert abs(difference.mean()) < 0.55  # equal fractions are all rounded the same way
