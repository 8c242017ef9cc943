"""Where a slide's overview shows stained tissue: Otsu on colourfulness, without ink, dust and borders."""

from __future__ import annotations

import cv2
import numpy as np

CHROMA_RANGE = (6.0, 10.0)
"""Limits, in grey levels of max(R, G, B) - min(R, G, B), that Otsu's threshold is held to: below is the noise
of glass, above begins pale tissue. An overview without tissue becomes empty, one that is all tissue full.
"""

MIN_OBJECT_FRACTION = 5e-5
"""Smallest piece kept and largest hole filled, as a share of the overview (at least `MIN_OBJECT_PX`)."""

MIN_OBJECT_PX = 16

_GLASS_LEVEL = 190
_GLASS_CHROMA = 24
_GLASS_PINKNESS = 6


def tissue_mask(rgb: np.ndarray) -> np.ndarray:
    """Which pixels of an overview show stained tissue.

    The colour of the glass is taken out, then the colourfulness of the smoothed overview is compared with
    Otsu's threshold (https://doi.org/10.1109/TSMC.1979.4310076) held to `CHROMA_RANGE`. Grey things (glass,
    black borders, dust, black ink) have no colour; green and blue ink has colours that no stain has. Red ink
    is kept: blood and eosin have its colour.

    Args:
        rgb: uint8 (h, w, 3), an overview of about 500 to 4000 px.

    Returns:
        bool (h, w).
    """
    balanced = _without_glass_colour(rgb)
    chroma = _chroma(cv2.GaussianBlur(balanced, (0, 0), 1.5))
    threshold, _ = cv2.threshold(chroma, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    ink = _ink(balanced)
    mask = (chroma > np.clip(threshold, *CHROMA_RANGE)) & ~ink
    closed = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, _disc(5))
    smallest = max(MIN_OBJECT_PX, round(MIN_OBJECT_FRACTION * mask.size))
    kept = _drop_small(closed.astype(bool) & ~ink, smallest)
    return ~_drop_small(~kept, smallest)


def _without_glass_colour(rgb: np.ndarray) -> np.ndarray:
    """Divide by the colour of the empty glass: bright, not colourful, not pink; at least 1 % of it."""
    r, g, b = (channel.astype(np.int16) for channel in cv2.split(cv2.GaussianBlur(rgb, (0, 0), 1.5)))
    is_pink = np.minimum(r, b) - g > _GLASS_PINKNESS
    glass = rgb[(rgb.min(axis=2) > _GLASS_LEVEL) & (_chroma(rgb) < _GLASS_CHROMA) & ~is_pink]
    if len(glass) < 0.01 * rgb[..., 0].size:
        return rgb
    level = glass.sum(axis=1, dtype=np.int32)
    colour = np.median(glass[level >= np.percentile(level, 75)], axis=0)
    return np.minimum(np.rint(rgb * (255.0 / colour)), 255).astype(np.uint8)


def _chroma(rgb: np.ndarray) -> np.ndarray:
    return rgb.max(axis=2) - rgb.min(axis=2)


def _ink(rgb: np.ndarray) -> np.ndarray:
    """Green ink (greener than red and blue), blue ink (far bluer than haematoxylin), and their soft edge."""
    r, g, b = (channel.astype(np.int16) for channel in cv2.split(cv2.medianBlur(rgb, 5)))
    green = (g > r + 25) & (g > b + 12)
    blue = (b > r + 75) & (r < 90) & (b > 100)
    return cv2.dilate((green | blue).astype(np.uint8), _disc(9)).astype(bool)


def _disc(diameter_px: int) -> np.ndarray:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (diameter_px, diameter_px))


def _drop_small(mask: np.ndarray, smallest_px: int) -> np.ndarray:
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    large = stats[:, cv2.CC_STAT_AREA] >= smallest_px
    large[0] = False
    return large[labels]
