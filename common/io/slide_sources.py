"""Where a slide's pixels come from: OpenSlide for pyramids, memory for plain pictures."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import openslide
import tifffile
from PIL import Image, UnidentifiedImageError

from ..errors import InputError

CACHE_BYTES = 256 * 2**20
"""OpenSlide's cache of decoded tiles: two rows of 256 px tiles, 100 000 px wide (its default is 32 MB)."""

MAX_PLAIN_PX = 178_956_970
"""Pixels of the largest picture read into memory (Pillow's own safety limit; 0.5 GB as RGB)."""

PLAIN_SUFFIXES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".tif": "TIFF", ".tiff": "TIFF"}

_SIXTEEN_BIT_MODES = {"I", "F", "I;16", "I;16B", "I;16L", "I;16N"}


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
    """A pyramid read by OpenSlide. The ICC profile is not applied: pixels are as they were stored."""

    def __init__(self, path: Path) -> None:
        """Open a slide.

        Raises:
            InputError: OpenSlide does not know the format, or the file is damaged.
        """
        self._name = path.name
        try:
            self._handle = openslide.OpenSlide(path)
        except openslide.OpenSlideUnsupportedFormatError as error:
            raise InputError(_not_a_slide(path.name)) from error
        except (openslide.OpenSlideError, OSError) as error:
            raise InputError(_damaged(path.name, "cannot be opened")) from error
        self._handle.set_cache(openslide.OpenSlideCache(CACHE_BYTES))
        self.properties: Mapping[str, str] = dict(self._handle.properties)
        self.format = self.properties.get("openslide.vendor", "openslide")
        self.levels = tuple(_levels(self._handle.level_dimensions, self._handle.level_downsamples))
        self._background = _background_rgb(self.properties.get("openslide.background-color", ""))

    def read(
        self, level: int, x_px: int, y_px: int, width_px: int, height_px: int
    ) -> tuple[np.ndarray, tuple[float, float]]:
        """See `PixelSource.read`. Transparent (unscanned) places get the slide's background colour.

        Raises:
            InputError: the file is damaged there. The handle is dead afterwards: later reads fail too.
        """
        step = self.levels[level].address_step
        x0, y0 = (math.floor(value * step + 1e-6) for value in (x_px, y_px))
        try:
            rgba = np.asarray(self._handle.read_region((x0, y0), level, (width_px, height_px)))
        except (openslide.OpenSlideError, OSError) as error:
            raise InputError(_damaged(self._name, "cannot be decoded")) from error
        except ValueError as error:  # ctypes: the handle was closed
            raise InputError(
                f"{self._name}: expected an open slide, got a closed one: open it again"
            ) from error
        return _composite(rgba, self._background), (x0 / step, y0 / step)

    def close(self) -> None:
        self._handle.close()


class PlainSource:
    """One picture held in memory: TIFF without tiles, PNG or JPEG."""

    def __init__(self, path: Path) -> None:
        """Read a picture.

        Raises:
            InputError: not a picture, damaged, larger than `MAX_PLAIN_PX`, or not 8-bit grey or colour.
        """
        self.properties: Mapping[str, str]
        self._rgb, self.properties = _read_picture(path)
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


def _composite(rgba: np.ndarray, background: tuple[int, ...]) -> np.ndarray:
    """RGBA (not premultiplied) over a colour. uint8 (h, w, 4) -> uint8 (h, w, 3)."""
    rgb = cv2.cvtColor(rgba, cv2.COLOR_RGBA2RGB)
    alpha = rgba[..., 3]
    if alpha.size == 0 or alpha.min() == 255:
        return rgb
    part = (alpha != 255).nonzero()
    weight = alpha[part][:, None] / 255.0
    rgb[part] = np.rint(rgb[part] * weight + np.array(background) * (1 - weight))
    return rgb


def _read_picture(path: Path) -> tuple[np.ndarray, dict[str, str]]:
    """Pixels, and what the file says about their size, under the names of `resolution_statements`."""
    try:
        is_tiff = PLAIN_SUFFIXES[path.suffix.lower()] == "TIFF"
        return _read_tiff(path) if is_tiff else _read_with_pillow(path)
    except (UnidentifiedImageError, tifffile.TiffFileError) as error:
        raise InputError(_not_a_slide(path.name)) from error
    except Image.DecompressionBombError as error:
        raise InputError(_too_large(path.name)) from error
    except InputError:
        raise
    except Exception as error:  # decoders raise anything on damaged data
        raise InputError(_damaged(path.name, "cannot be decoded")) from error


def _read_with_pillow(path: Path) -> tuple[np.ndarray, dict[str, str]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with Image.open(path) as image:
            if image.mode in _SIXTEEN_BIT_MODES:
                raise InputError(_not_8_bit(path.name, image.mode))
            rgba = image.convert("RGBA") if "A" in image.mode or "transparency" in image.info else None
            rgb = np.array(image.convert("RGB") if rgba is None else rgba)
            properties = _density(image)
    return (rgb if rgba is None else _composite(rgb, (255, 255, 255))), properties


def _density(image: Image.Image) -> dict[str, str]:
    source = {"PNG": "png.pHYs", "JPEG": "jpeg.density"}.get(image.format or "")
    dpi = image.info.get("dpi")
    if source is None or dpi is None:
        return {}
    return {f"{source}.{axis}-dpi": f"{float(value):.6g}" for axis, value in zip("xy", dpi, strict=True)}


def _read_tiff(path: Path) -> tuple[np.ndarray, dict[str, str]]:
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages.first
        if page.imagewidth * page.imagelength > MAX_PLAIN_PX:
            raise InputError(_too_large(path.name))
        if page.dtype != np.uint8 or page.samplesperpixel not in (1, 3, 4):
            raise InputError(_not_8_bit(path.name, f"{page.samplesperpixel} channels of {page.dtype}"))
        if page.photometric in (tifffile.PHOTOMETRIC.MINISBLACK, tifffile.PHOTOMETRIC.RGB):
            planar = int(page.planarconfig) == 2 and page.samplesperpixel > 1
            return _as_rgb(page.asarray(), planar), _tiff_properties(page)
        properties = _tiff_properties(page)
    return _read_with_pillow(path)[0], properties


def _tiff_properties(page: tifffile.TiffPage) -> dict[str, str]:
    """The resolution tags under OpenSlide's names."""
    properties = {"tiff.ImageDescription": page.description} if page.description else {}
    for name in ("XResolution", "YResolution"):
        tag = page.tags.get(name)
        if tag is not None and tag.value[1]:
            properties[f"tiff.{name}"] = f"{tag.value[0] / tag.value[1]:.9g}"
    unit = page.tags.get("ResolutionUnit")
    names = {1: "none", 2: "inch", 3: "centimeter"}
    properties["tiff.ResolutionUnit"] = names.get(2 if unit is None else int(unit.value), "none")
    return properties


def _as_rgb(pixels: np.ndarray, planar: bool) -> np.ndarray:
    pixels = np.moveaxis(pixels, 0, -1) if planar else pixels
    pixels = np.atleast_3d(pixels)
    if pixels.shape[2] == 4:
        return _composite(np.ascontiguousarray(pixels), (255, 255, 255))
    return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))


def _not_a_slide(name: str) -> str:
    return (
        f"{name}: expected a slide (OpenSlide format, DICOM, TIFF, PNG, JPEG), got something else: check it"
    )


def _damaged(name: str, what: str) -> str:
    return f"{name}: expected an intact slide, got data that {what} (truncated?): copy the file again"


def _too_large(name: str) -> str:
    return (
        f"{name}: expected a plain picture of at most {MAX_PLAIN_PX} px, got a larger one: "
        "convert it to a tiled pyramid TIFF"
    )


def _not_8_bit(name: str, got: str) -> str:
    return f"{name}: expected an 8-bit grey or RGB picture, got {got}: convert it to 8-bit RGB"
