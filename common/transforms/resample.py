"""Cut an exactly placed rectangle out of a picture and change its pixel size."""

from __future__ import annotations

import math

import cv2
import numpy as np
from PIL import Image

LANCZOS_MARGIN_PX = 3
"""Source pixels that the Lanczos kernel needs on each side when it enlarges."""

_EPSILON = 1e-6


def source_span_px(offset_px: float, scale: float, size_px: int) -> tuple[int, int]:
    """First source pixel and number of source pixels that one axis of a window needs.

    Args:
        offset_px: where the window begins, in source pixels (any real number).
        scale: source pixels per output pixel.
        size_px: output pixels.
    """
    margin = LANCZOS_MARGIN_PX if scale < 1 - _EPSILON else 0
    start = math.floor(offset_px + _EPSILON)
    span = math.ceil(offset_px - start + size_px * scale - _EPSILON) + int(offset_px - start > _EPSILON)
    return start - margin, span + 2 * margin


def resample_window(
    source: np.ndarray, offset_xy_px: tuple[float, float], scale: float, size_xy_px: tuple[int, int]
) -> np.ndarray:
    """Resample `size` pixels, each `scale` source pixels wide, beginning at `offset`.

    Shrinking averages areas: the picture is first moved by the fraction of a pixel that `offset` asks for
    (linear interpolation, which is an average over a unit square) and then shrunk with `cv2.INTER_AREA`.
    Centres are kept to within 1/8 source pixel, on average exactly. Enlarging (`scale` < 1) uses Lanczos.

    Args:
        source: uint8 (h, w, 3), beginning at or before the window, as `source_span_px` says.
        offset_xy_px: the window's first corner (its outer edge) in pixels of `source`, >= 0.
        scale: source pixels per output pixel, > 0.
        size_xy_px: output width and height.

    Returns:
        uint8 (height, width, 3).
    """
    if scale < 1 - _EPSILON:
        return _enlarge(source, offset_xy_px, scale, size_xy_px)
    return _shrink(source, offset_xy_px, scale, size_xy_px)


def _enlarge(
    source: np.ndarray, offset: tuple[float, float], scale: float, size: tuple[int, int]
) -> np.ndarray:
    (x, y), (width, height) = offset, size
    box = (x, y, min(x + width * scale, source.shape[1]), min(y + height * scale, source.shape[0]))
    return np.asarray(Image.fromarray(source).resize(size, Image.Resampling.LANCZOS, box=box))


def _shrink(
    source: np.ndarray, offset: tuple[float, float], scale: float, size: tuple[int, int]
) -> np.ndarray:
    (fx, x), (fy, y) = (math.modf(value + _EPSILON) for value in offset)
    source = source[int(y) :, int(x) :]
    if max(fx, fy) > 2 * _EPSILON:
        along_x, along_y = (np.array([0.0, 1.0 - f, f], np.float32) for f in (fx, fy))
        source = cv2.sepFilter2D(source, -1, along_x, along_y, borderType=cv2.BORDER_REPLICATE)
    width, height = size
    if abs(scale - 1) < _EPSILON:
        return source[:height, :width].copy()
    needed_x, needed_y = (math.ceil(n * scale - _EPSILON) for n in size)
    source = np.ascontiguousarray(source[:needed_y, :needed_x])
    if (needed_x, needed_y) == (round(width * scale, 6), round(height * scale, 6)):
        return cv2.resize(source, size, interpolation=cv2.INTER_AREA)
    return cv2.resize(source, None, fx=1 / scale, fy=1 / scale, interpolation=cv2.INTER_AREA)[:height, :width]
