"""Where a slide's pixels come from: OpenSlide for pyramids, memory for plain pictures."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import openslide

from ..errors import InputError
from .jpeg_tiles import VENDORS, DoubtfulTileError, open_jpeg_tiles
from .pictures import PLAIN_SUFFIXES, composite, damaged, not_a_slide, read_picture

CACHE_BYTES = 256 * 2**20
"""OpenSlide's cache of decoded tiles: two rows of 256 px tiles, 100 000 px wide (its default is 32 MB)."""


@dataclass(frozen=True)
class Level:
    """One level of a pyramid.

    Attributes:
        width_px: columns of the level.
        height_px: rows of the level.
        downsample: level-0 pixels per pixel of this level.
        address_step: the same as OpenSlide reckons it: it divides level-0 addresses by this.
    """

    width_px: int
    height_px: int
    downsample: float
    address_step: float

    @property
    def slack_px(self) -> int:
        """Spare pixels to ask for, because only whole level-0 coordinates can be addressed."""
        return 0 if self.address_step.is_integer() else 1


class PixelSource(Protocol):
    """What `Slide` needs of a reader. `read` may be called from several threads at once."""

    levels: tuple[Level, ...]
    format: str
    properties: Mapping[str, str]

    def read(
        self, level: int, x_px: int, y_px: int, width_px: int, height_px: int
    ) -> tuple[np.ndarray, tuple[float, float]]:
        """RGB uint8 (h, w, 3) of a rectangle inside a level, and its true corner in pixels of the level."""
        ...

    def close(self) -> None: ...


class OpenSlideSource:
    """A pyramid read by OpenSlide, its JPEG tiles directly where that is possible (`jpeg_tiles`).

    The ICC profile is not applied: pixels are as they were stored.
    """

    def __init__(self, path: Path) -> None:
        """Open a slide.

        Raises:
            InputError: OpenSlide does not know the format, or the file is damaged.
        """
        self._name = path.name
        try:
            self._handle = openslide.OpenSlide(path)
        except openslide.OpenSlideUnsupportedFormatError as error:
            raise InputError(not_a_slide(path.name)) from error
        except (openslide.OpenSlideError, OSError) as error:
            raise InputError(_unopened(path.name, str(error))) from error
        self._handle.set_cache(openslide.OpenSlideCache(CACHE_BYTES))
        self.properties: Mapping[str, str] = dict(self._handle.properties)
        self.format = self.properties.get("openslide.vendor", "openslide")
        self.levels = tuple(_levels(self._handle.level_dimensions, self._handle.level_downsamples))
        self._background = _background_rgb(self.properties.get("openslide.background-color", ""))
        sizes = self._handle.level_dimensions
        self._tiles = open_jpeg_tiles(path, sizes) if self.format in VENDORS else None

    def read(
        self, level: int, x_px: int, y_px: int, width_px: int, height_px: int
    ) -> tuple[np.ndarray, tuple[float, float]]:
        """See `PixelSource.read`. Transparent (unscanned) places get the slide's background colour.

        Raises:
            InputError: the file is damaged there. The handle is dead afterwards: later reads fail too.
        """
        if self._tiles is not None and level in self._tiles:
            with suppress(DoubtfulTileError):
                pixels = self._tiles.read(level, x_px, y_px, width_px, height_px)
                return pixels, (float(x_px), float(y_px))
        step = self.levels[level].address_step
        x0, y0 = (math.floor(value * step + 1e-6) for value in (x_px, y_px))
        try:
            rgba = np.asarray(self._handle.read_region((x0, y0), level, (width_px, height_px)))
        except (openslide.OpenSlideError, OSError) as error:
            raise InputError(damaged(self._name, "cannot be decoded")) from error
        except ctypes.ArgumentError as error:  # openslide-python's answer to a closed handle
            raise InputError(
                f"{self._name}: expected an open slide, got a closed one: open it again"
            ) from error
        return composite(rgba, self._background), (x0 / step, y0 / step)

    def close(self) -> None:
        self._handle.close()
        if self._tiles is not None:
            self._tiles.close()


class PlainSource:
    """One picture held in memory: TIFF without tiles, PNG or JPEG."""

    def __init__(self, path: Path) -> None:
        """Read a picture.

        Raises:
            InputError: not a picture, damaged, larger than `MAX_PLAIN_PX`, or not 8-bit grey or colour.
        """
        self.properties: Mapping[str, str]
        self._rgb, self.properties = read_picture(path)
        height, width = self._rgb.shape[:2]
        self.levels: tuple[Level, ...] = (Level(width, height, 1.0, 1.0),)
        self.format = f"plain {PLAIN_SUFFIXES[path.suffix.lower()]}"

    def read(
        self, level: int, x_px: int, y_px: int, width_px: int, height_px: int
    ) -> tuple[np.ndarray, tuple[float, float]]:
        """See `PixelSource.read`; the array is a view."""
        return self._rgb[y_px : y_px + height_px, x_px : x_px + width_px], (float(x_px), float(y_px))

    def close(self) -> None:
        """Nothing to close."""


def open_source(path: Path) -> PixelSource:
    """OpenSlide where it knows the format, otherwise a plain picture.

    Raises:
        InputError: neither can read the file.
    """
    try:
        vendor = openslide.OpenSlide.detect_format(path)
    except OSError:
        vendor = None
    if vendor is None and path.suffix.lower() in PLAIN_SUFFIXES:
        return PlainSource(path)
    return OpenSlideSource(path)


def _levels(sizes: tuple[tuple[int, int], ...], steps: tuple[float, ...]) -> list[Level]:
    return [
        Level(width, height, _true_downsample(sizes[0], (width, height), step), step)
        for (width, height), step in zip(sizes, steps, strict=True)
    ]


def _true_downsample(full: tuple[int, int], level: tuple[int, int], step: float) -> float:
    """The whole number behind a level's downsample, where the level's size is that of a truncated division.

    OpenSlide reports the mean of two ratios of sizes, such as 4.00012: vendors divide by 4 and drop the rest.
    """
    whole = round(step)
    return float(whole) if all(abs(f / whole - n) < 1 for f, n in zip(full, level, strict=True)) else step


def _background_rgb(hex_rgb: str) -> tuple[int, ...]:
    try:
        return tuple(bytes.fromhex(hex_rgb))[:3] if len(hex_rgb) == 6 else (255, 255, 255)
    except ValueError:
        return 255, 255, 255


def _unopened(name: str, reason: str) -> str:
    if reason.startswith("Unsupported TIFF compression"):
        return f"{name}: expected JPEG, JPEG 2000, LZW or deflate tiles, got other ones: convert the slide"
    if "Unsupported transfer syntax" in reason:
        return f"{name}: expected DICOM in Explicit VR, JPEG or JPEG 2000, got another one: convert the slide"
    return damaged(name, "cannot be opened")
