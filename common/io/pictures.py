"""Plain pictures (PNG, JPEG, TIFF without tiles) as RGB arrays, with what they say about their pixel size."""

from __future__ import annotations

import warnings
from pathlib import Path

import cv2
import numpy as np
import tifffile
from PIL import Image, UnidentifiedImageError

from ..errors import InputError

MAX_PLAIN_PX = 178_956_970
"""Pixels of the largest picture read into memory (Pillow's own safety limit; 0.5 GB as RGB)."""

PLAIN_SUFFIXES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".tif": "TIFF", ".tiff": "TIFF"}

_WHITE = (255, 255, 255)

_DEEP_MODES = {"I", "F", "I;16", "I;16B", "I;16L", "I;16N"}


def read_picture(path: Path) -> tuple[np.ndarray, dict[str, str]]:
    """Pixels uint8 (h, w, 3), and the statements about their size, named as in `resolution_statements`.

    Raises:
        InputError: not a picture, damaged, larger than `MAX_PLAIN_PX`, or not 8-bit grey or colour.
    """
    try:
        is_tiff = PLAIN_SUFFIXES[path.suffix.lower()] == "TIFF"
        return _read_tiff(path) if is_tiff else _read_with_pillow(path)
    except (UnidentifiedImageError, tifffile.TiffFileError) as error:
        raise InputError(not_a_slide(path.name)) from error
    except Image.DecompressionBombError as error:
        raise InputError(_too_large(path.name)) from error
    except InputError:
        raise
    except Exception as error:  # decoders raise anything on damaged data
        raise InputError(damaged(path.name, "cannot be decoded")) from error


def _read_with_pillow(path: Path) -> tuple[np.ndarray, dict[str, str]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with Image.open(path) as image:
            if image.width * image.height > MAX_PLAIN_PX:
                raise InputError(_too_large(path.name))
            if image.mode in _DEEP_MODES:
                raise InputError(_not_8_bit(path.name, image.mode))
            rgba = image.convert("RGBA") if "A" in image.mode or "transparency" in image.info else None
            rgb = np.array(image.convert("RGB") if rgba is None else rgba)
            properties = _density(image)
    return (rgb if rgba is None else composite(rgb, _WHITE)), properties


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
        return composite(np.ascontiguousarray(pixels), _WHITE)
    return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))


def composite(rgba: np.ndarray, background: tuple[int, ...]) -> np.ndarray:
    """RGBA (not premultiplied) over a colour. uint8 (h, w, 4) -> uint8 (h, w, 3)."""
    rgb = cv2.cvtColor(rgba, cv2.COLOR_RGBA2RGB)
    alpha = rgba[..., 3]
    if alpha.size == 0 or alpha.min() == 255:
        return rgb
    part = (alpha != 255).nonzero()
    weight = alpha[part][:, None] / 255.0
    rgb[part] = np.rint(rgb[part] * weight + np.array(background) * (1 - weight))
    return rgb


def not_a_slide(name: str) -> str:
    return (
        f"{name}: expected a slide (OpenSlide format, DICOM, TIFF, PNG, JPEG), got something else or part "
        "of a file: check it or copy it again"
    )


def damaged(name: str, what: str) -> str:
    return f"{name}: expected an intact slide, got data that {what} (truncated?): copy the file again"


def _too_large(name: str) -> str:
    return (
        f"{name}: expected a plain picture of at most {MAX_PLAIN_PX} px, got a larger one: "
        "convert it to a tiled pyramid TIFF"
    )


def _not_8_bit(name: str, got: str) -> str:
    return f"{name}: expected an 8-bit grey or RGB picture, got {got}: convert it to 8-bit RGB"
