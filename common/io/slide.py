"""A whole-slide image read at any pixel size, with its field of view guaranteed.

Coordinates are level-0 pixels as OpenSlide counts them (x to the right, y down). A pixel with index i covers
[i, i + 1), so its centre lies at i + 0.5.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from ..errors import InputError
from ..transforms.resample import resample_window, source_span_px
from .resolution import Resolution, collect_statements, reconcile
from .slide_files import find_slides, is_slide_file, slide_file
from .slide_sources import Level, PixelSource, open_source

__all__ = ["Slide", "find_slides", "is_slide_file", "open_slide"]

MAX_BLOCK_PX = 4096
"""Edge of the largest block read from a level at once: bounds the memory of one read to about 0.2 GB."""

LEVEL_TOLERANCE = 1e-3
"""A level this much (relatively) coarser than the target still counts as the target's own."""

_WHITE = (255, 255, 255)


@dataclass
class Slide:
    """An open slide. Reading is safe from several threads at once; closing is not.

    Attributes:
        path: what was asked for: a file, or a folder with one DICOM series.
        format: OpenSlide's vendor name, or "plain PNG|JPEG|TIFF".
        width_px: columns at level 0.
        height_px: rows at level 0.
        downsamples: level-0 pixels per pixel, for every level, ascending from 1.
        resolution: what the file (and the user) say about the pixel size.
        properties: OpenSlide's properties about geometry and optics; nothing that may name a patient.
    """

    path: Path
    format: str
    width_px: int
    height_px: int
    downsamples: tuple[float, ...]
    resolution: Resolution
    properties: Mapping[str, str]
    source: PixelSource = field(repr=False)

    @property
    def mpp(self) -> float | None:
        """Microns per pixel of level 0, None where nobody knows it."""
        return self.resolution.mpp

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def bounds_px(self) -> tuple[int, int, int, int]:
        """x, y, width, height of the scanned part (MIRAX and others), or the whole of level 0."""
        keys = [f"openslide.bounds-{key}" for key in ("x", "y", "width", "height")]
        try:
            x, y, width, height = (int(self.properties[key]) for key in keys)
        except (KeyError, ValueError):
            return 0, 0, self.width_px, self.height_px
        return x, y, width, height

    def fits(self, center_xy_px: tuple[float, float], downsample: float, size_px: int) -> bool:
        """Whether the square of `read_square` lies wholly inside the slide."""
        half = size_px * downsample / 2
        x, y = center_xy_px
        return self._contains(x - half, y - half, x + half, y + half)

    def read_square(
        self, center_xy_px: tuple[float, float], downsample: float, size_px: int, pad: bool = False
    ) -> np.ndarray:
        """`size_px` pixels each way, each `downsample` level-0 pixels wide, around a level-0 centre.

        See `read_region`, of which this is one call. Returns uint8 RGB (size_px, size_px, 3).
        """
        x0, y0 = (value - size_px * downsample / 2 for value in center_xy_px)
        return self.read_region(x0, y0, downsample, size_px, size_px, pad)

    def read_region(
        self,
        x0_px: float,
        y0_px: float,
        downsample: float,
        width_px: int,
        height_px: int,
        pad: bool = False,
    ) -> np.ndarray:
        """A rectangle at any pixel size, placed to a fraction of a pixel.

        Read from the coarsest level whose downsample is not above the target, then averaged over areas;
        enlarged with Lanczos where the target is finer than level 0. Pixel (i, j) of the result is centred on
        (x0 + (j + 0.5) * downsample, y0 + (i + 0.5) * downsample), to within 1/16 pixel of that level.

        Args:
            x0_px: left edge, level-0 pixels.
            y0_px: upper edge, level-0 pixels.
            downsample: level-0 pixels per pixel of the result, > 0; below 1 enlarges.
            width_px: columns of the result.
            height_px: rows of the result.
            pad: fill what lies outside the slide with white instead of refusing.

        Returns:
            uint8 RGB (height_px, width_px, 3).

        Raises:
            InputError: outside the slide (without `pad`), an impossible size, or damaged pixel data.
        """
        self._check(x0_px, y0_px, downsample, width_px, height_px, pad)
        index = self._best_level(downsample)
        level = self.source.levels[index]
        block = max(1, int(MAX_BLOCK_PX * level.downsample / downsample))
        if width_px <= block and height_px <= block:
            return self._read_block(index, x0_px, y0_px, downsample, (width_px, height_px), pad)
        result = np.empty((height_px, width_px, 3), np.uint8)
        for i in range(0, height_px, block):
            for j in range(0, width_px, block):
                size = min(block, width_px - j), min(block, height_px - i)
                corner = x0_px + j * downsample, y0_px + i * downsample
                result[i : i + size[1], j : j + size[0]] = self._read_block(
                    index, *corner, downsample, size, pad
                )
        return result

    def thumbnail(self, max_px: int = 2048) -> tuple[np.ndarray, float]:
        """The whole slide, at most `max_px` long: uint8 RGB (h, w, 3), and its downsample (>= 1)."""
        downsample = max(1.0, max(self.width_px, self.height_px) / max_px)
        width, height = (max(1, int(n / downsample + 1e-6)) for n in (self.width_px, self.height_px))
        return self.read_region(0.0, 0.0, downsample, width, height, pad=True), downsample

    def fingerprint(self) -> str:
        """A hash that changes when the file changes: size, time and dimensions, not the content."""
        stat = slide_file(self.path).stat()
        facts = f"{self.name} {stat.st_size} {stat.st_mtime_ns} {self.width_px} {self.height_px}"
        return hashlib.sha256(facts.encode()).hexdigest()

    def close(self) -> None:
        self.source.close()

    def __enter__(self) -> Slide:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _contains(self, x0: float, y0: float, x1: float, y1: float) -> bool:
        slack = 1e-6 * max(self.width_px, self.height_px)
        return min(x0, y0) >= -slack and x1 <= self.width_px + slack and y1 <= self.height_px + slack

    def _check(self, x0: float, y0: float, downsample: float, width: int, height: int, pad: bool) -> None:
        if not (math.isfinite(downsample) and downsample > 0 and width > 0 and height > 0):
            raise InputError(
                f"{self.name}: expected a positive size and downsample, got {width}x{height} px at "
                f"{downsample:g}: check the scales and the patch size"
            )
        x1, y1 = x0 + width * downsample, y0 + height * downsample
        if not pad and not self._contains(x0, y0, x1, y1):
            raise InputError(
                f"{self.name}: expected a rectangle inside {self.width_px}x{self.height_px} px, got "
                f"x {x0:.1f} to {x1:.1f}, y {y0:.1f} to {y1:.1f}: move the point or read a smaller field"
            )

    def _best_level(self, downsample: float) -> int:
        limit = downsample * (1 + LEVEL_TOLERANCE)
        return max((i for i, value in enumerate(self.downsamples) if value <= limit), default=0)

    def _read_block(
        self, index: int, x0: float, y0: float, downsample: float, size: tuple[int, int], pad: bool
    ) -> np.ndarray:
        level = self.source.levels[index]
        scale = downsample / level.downsample
        offset_x, offset_y = x0 / level.downsample, y0 / level.downsample
        x, width = source_span_px(offset_x, scale, size[0])
        y, height = source_span_px(offset_y, scale, size[1])
        rectangle = (x, y, width + level.slack_px, height + level.slack_px)
        pixels, origin = self._read_level(index, level, rectangle, pad)
        return resample_window(pixels, (offset_x - origin[0], offset_y - origin[1]), scale, size)

    def _read_level(
        self, index: int, level: Level, rectangle: tuple[int, int, int, int], pad: bool
    ) -> tuple[np.ndarray, tuple[float, float]]:
        """A rectangle of a level; beyond it white (`pad`) or the edge repeated (under a pixel matters)."""
        x, y, width, height = rectangle
        x0, x1 = _clip(x, level.width_px), _clip(x + width, level.width_px)
        y0, y1 = _clip(y, level.height_px), _clip(y + height, level.height_px)
        if x1 == x0 or y1 == y0:
            return np.full((height, width, 3), 255, np.uint8), (float(x), float(y))
        pixels, origin = self.source.read(index, x0, y0, x1 - x0, y1 - y0)
        if (x1 - x0, y1 - y0) != (width, height):
            border = (y0 - y, y + height - y1, x0 - x, x + width - x1)
            kind = cv2.BORDER_CONSTANT if pad else cv2.BORDER_REPLICATE
            pixels = cv2.copyMakeBorder(pixels, *border, borderType=kind, value=_WHITE)
        return pixels, (origin[0] - (x0 - x), origin[1] - (y0 - y))


def open_slide(path: str | Path, mpp: float | None = None) -> Slide:
    """Open a slide: OpenSlide formats, DICOM WSI (a file of the series or its folder), plain TIFF, PNG, JPEG.

    Args:
        path: file, or a folder that holds one DICOM WSI series.
        mpp: the user's own statement of the pixel size at level 0, um/px in (0, 100]; it wins.

    Raises:
        InputError: missing, unreadable, not a slide, damaged, too large, or an impossible `mpp`.
    """
    path = Path(path)
    file = slide_file(path)
    source = open_source(file)
    try:
        resolution = reconcile(collect_statements(source.properties), mpp)
    except InputError:
        source.close()
        raise
    full = source.levels[0]
    downsamples = tuple(level.downsample for level in source.levels)
    properties = {key: value for key, value in source.properties.items() if _is_harmless(key)}
    return Slide(
        path, source.format, full.width_px, full.height_px, downsamples, resolution, properties, source
    )


def _is_harmless(key: str) -> bool:
    return key.startswith(("openslide.level", "openslide.bounds", "openslide.mpp")) or key in {
        "openslide.vendor",
        "openslide.objective-power",
        "openslide.background-color",
    }


def _clip(value: int, limit: int) -> int:
    return min(max(value, 0), limit)
