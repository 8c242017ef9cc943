"""Where the breast is in a mammogram: the largest bright thing on a dark background that need not be zero."""

from __future__ import annotations

import cv2
import numpy as np

WORK_PX = 512
"""Long side of the small copy on which the box is found: 8 to 12 px of a full mammogram each (choice)."""

OPEN_SHARE = 0.045
"""Share of the long side: narrower things (film edges, letters of markers, dust) are cut off (choice)."""

MARGIN_SHARE = 0.02
"""Share of the long side that is added on each side: the skin line is dim (choice)."""

DARK = 0.35
"""A background above this is no background: then the whole picture is taken for breast (choice)."""

NOISE = (0.04, 4.0)
"""Tissue stands above the background by this value and by this many deviations of the background (choice)."""

MIN_SHARE = 0.01
"""A breast covers at least this share of the picture."""


def find_breast(pixels: np.ndarray) -> tuple[int, int, int, int] | None:
    """The box of the breast, None when nothing stands out from the background.

    Args:
        pixels: (H, W) float32, 0..1, dense tissue bright.

    Returns:
        (y0, x0, y1, x1) in pixels, ends exclusive, inside the picture.
    """
    height, width = pixels.shape
    scale = min(1.0, WORK_PX / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    mask = find_tissue(cv2.resize(np.ascontiguousarray(pixels), size, interpolation=cv2.INTER_AREA))
    box = _largest_box(mask)
    if box is None:
        return None
    margin = MARGIN_SHARE * max(height, width)
    steps = height / size[1], width / size[0]
    y0, x0 = (max(0, int(box[axis] * steps[axis] - margin)) for axis in (0, 1))
    y1, x1 = (int(np.ceil(box[axis + 2] * steps[axis] + margin)) for axis in (0, 1))
    return y0, x0, min(height, y1), min(width, x1)


def find_tissue(small: np.ndarray) -> np.ndarray:
    """Pixels above the background, thin things removed: (H, W) float32 0..1 -> (H, W) uint8 0 or 1."""
    grey = cv2.GaussianBlur(small, (5, 5), 0)
    mask = (grey > _threshold(grey)).astype(np.uint8)
    side = max(3, round(OPEN_SHARE * max(small.shape)) | 1)  # odd, so that nothing is moved
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    # outside the picture counts as dark, so that strips along its edges are thin as well
    eroded = cv2.erode(mask, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return cv2.dilate(eroded, kernel)


def _threshold(grey: np.ndarray) -> float:
    """Between the background's most frequent value and the tissue; below 0 where there is no background."""
    bytes_ = np.rint(grey * 255).astype(np.uint8)
    split, _ = cv2.threshold(bytes_, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    counts = np.bincount(bytes_.ravel(), minlength=256)[: int(split) + 1]
    background = float(counts.argmax()) / 255
    if background > DARK:
        return -1.0
    dark = grey[bytes_ <= split]
    deviation = 1.4826 * float(np.median(np.abs(dark - background)))
    step = max(NOISE[0], NOISE[1] * deviation)
    return background + min(step, max((split / 255 - background) / 2, NOISE[0]))


def _largest_box(mask: np.ndarray) -> tuple[int, int, int, int] | None:
    count, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    if count < 2:
        return None
    x, y, width, height, area = (int(value) for value in stats[1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())])
    return (y, x, y + height, x + width) if area >= MIN_SHARE * mask.size else None
