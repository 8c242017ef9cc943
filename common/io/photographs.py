"""Photographs and scans as RGB 0..255: PNG, JPEG, TIFF of 8 or 16 bits, and DICOM photographs."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pydicom
import tifffile
from PIL import Image, ImageOps, UnidentifiedImageError
from pydicom.dataset import Dataset
from pydicom.pixels import apply_color_lut, pixel_array

from ..errors import InputError
from .ct_types import StoredFile
from .dicom_files import is_dicom
from .pictures import MAX_PLAIN_PX, PLAIN_SUFFIXES, composite

_BLACK = (0, 0, 0)  # transparent places: around a fundus photograph it is dark (choice)


def read_rgb(path: str | Path) -> np.ndarray:
    """A picture as it is meant to be seen, uint8 (H, W, 3).

    Grey becomes three equal channels, EXIF orientation is applied, transparent places become black. 16-bit
    values are divided by 257; where none needs more than 12 bits (or 8), by what makes 12 (or 8) bits 0..255.

    Raises:
        InputError: missing, not a picture, damaged, too large, several pages, or of another depth.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path.name}: expected a picture, got no such file: check the path")
    try:
        if is_dicom(StoredFile(path.name, "", lambda: path.open("rb"))):
            return _read_dicom(path)
        if path.suffix.lower() not in PLAIN_SUFFIXES:
            raise InputError(_other(path.name))
        deep = path.suffix.lower() in (".tif", ".tiff") and _is_deep(path)
        return _read_deep(path) if deep else _read_plain(path)
    except (UnidentifiedImageError, tifffile.TiffFileError) as error:
        raise InputError(_other(path.name)) from error
    except Image.DecompressionBombError as error:
        raise InputError(_too_large(path.name)) from error
    except InputError:
        raise
    except Exception as error:  # decoders raise anything on damaged data
        raise InputError(
            f"{path.name}: expected an intact picture, got one that cannot be decoded: copy it again"
        ) from error


def to_8_bit(values: np.ndarray) -> np.ndarray:
    """uint16 (or a boolean mask) as uint8 by the number of bits in use: 8, 12 or 16."""
    if values.dtype == np.uint8:
        return values
    high = int(values.max(initial=0))
    full = next(full for full in (255, 4095, 65535) if high <= full)
    return np.rint(values * (255 / full)).astype(np.uint8)


def _read_plain(path: Path) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with Image.open(path) as stored:
            _check_size(stored.width, stored.height, path.name)
            pages = int(getattr(stored, "n_frames", 1)) if stored.format == "TIFF" else 1
            if pages > 1:
                raise InputError(f"{path.name}: expected one picture, got {pages} pages: save one")
            if stored.mode in ("I", "F"):
                raise InputError(
                    f"{path.name}: expected 8 or 16 bits per channel, got 32: save it with fewer"
                )
            image = ImageOps.exif_transpose(stored)
            if image.mode.startswith("I;16"):
                return _as_rgb(to_8_bit(np.array(image).astype(np.uint16)))
            if "A" in image.mode or "transparency" in image.info:
                return composite(np.array(image.convert("RGBA")), _BLACK)
            return np.array(image.convert("RGB"))


def _is_deep(path: Path) -> bool:
    """A colour TIFF of 16 bits, which Pillow does not know."""
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages.first
        return bool(page.dtype == np.uint16 and page.samplesperpixel in (3, 4))


def _read_deep(path: Path) -> np.ndarray:
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages.first
        _check_size(page.imagewidth, page.imagelength, path.name)
        pixels = page.asarray()
    pixels = np.moveaxis(pixels, 0, -1) if int(page.planarconfig) == 2 else pixels
    eight = to_8_bit(pixels)
    return (
        composite(np.ascontiguousarray(eight), _BLACK) if eight.shape[2] == 4 else np.ascontiguousarray(eight)
    )


def _read_dicom(path: Path) -> np.ndarray:
    dataset = pydicom.dcmread(path, force=True)
    if dataset.get("Modality") in ("CT", "MR", "PT", "SEG") or "PixelData" not in dataset:
        raise InputError(_other(path.name))
    if int(dataset.get("NumberOfFrames") or 1) != 1:
        raise InputError(f"{path.name}: expected one picture, got {dataset.NumberOfFrames} frames: save one")
    _check_size(int(dataset.Columns), int(dataset.Rows), path.name)
    return _as_rgb(_displayed(dataset))


def _displayed(dataset: Dataset) -> np.ndarray:
    """Pixels of a DICOM picture in RGB or grey, uint8: palettes applied, inverted grey turned round."""
    pixels = pixel_array(dataset)  # turns YBR into RGB
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        return to_8_bit(apply_color_lut(pixels, dataset))
    if pixels.dtype == np.uint16:
        pixels = np.rint(pixels * (255 / (2 ** int(dataset.BitsStored) - 1))).astype(np.uint8)
    return 255 - pixels if dataset.PhotometricInterpretation == "MONOCHROME1" else pixels


def _as_rgb(pixels: np.ndarray) -> np.ndarray:
    """(H, W) or (H, W, 3) -> (H, W, 3), writable."""
    return np.repeat(pixels[:, :, None], 3, axis=2) if pixels.ndim == 2 else np.ascontiguousarray(pixels)


def _check_size(width: int, height: int, name: str) -> None:
    if width * height > MAX_PLAIN_PX:
        raise InputError(_too_large(name))


def _too_large(name: str) -> str:
    return f"{name}: expected a picture of at most {MAX_PLAIN_PX} px, got a larger one: make it smaller"


def _other(name: str) -> str:
    return (
        f"{name}: expected a picture (PNG, JPEG, TIFF, DICOM photograph), got something else: check the file"
    )
