"""Mammograms as PNG, JPEG or TIFF, with what a header would say in a JSON file of the same name."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from ..errors import InputError
from .ct_types import StoredFile
from .dicom_files import open_file
from .mammo_pixels import check_picture_size
from .mammo_types import UNKNOWN_VIEW, VIEWS, StudyImage
from .pictures import PLAIN_SUFFIXES

KEYS = ("laterality", "view", "history", "spacing_mm", "age_years", "patient", "study")
"""What a sidecar may state; the first is required."""

_FULL_SCALES = (255, 1023, 4095, 16383, 65535)
"""Largest value of 8, 10, 12, 14 or 16 bits: the smallest that holds all values becomes 1."""


def is_picture(file: StoredFile) -> bool:
    """By its suffix."""
    return PurePath(file.name).suffix.lower() in PLAIN_SUFFIXES


def sidecar_name(file: StoredFile) -> str:
    """The JSON file that belongs to a picture."""
    return f"{PurePath(file.name).stem}.json"


def read_picture_image(file: StoredFile, sidecar: StoredFile) -> StudyImage:
    """What a sidecar says about its picture.

    Raises:
        InputError: not JSON, an unknown key, or a value that cannot be.
    """
    stated = read_json_object(sidecar)
    unknown = sorted(set(stated) - set(KEYS))
    if unknown:
        raise _refusal(sidecar, f"the keys {', '.join(KEYS)}", f"'{unknown[0]}'")
    patient = hashlib.sha256(str(stated["patient"]).encode()).hexdigest() if stated.get("patient") else ""
    study = str(stated.get("study") or file.folder)
    return StudyImage(
        file=file,
        header=None,
        patient=patient or f"patient of {study}",
        study=study,
        date="",
        laterality=_one_of(sidecar, stated, "laterality", ("R", "L")),
        view=_one_of(sidecar, stated, "view", VIEWS) or UNKNOWN_VIEW,
        spacing_mm=_spacing(sidecar, stated.get("spacing_mm")),
        age_years=_age(sidecar, stated.get("age_years")),
        history=_text(sidecar, stated.get("history")),
    )


def read_json_object(file: StoredFile) -> dict[str, Any]:
    """Raises InputError: not a JSON object."""
    try:
        with open_file(file) as stream:
            stated = json.loads(stream.read().decode("utf-8-sig"))
    except ValueError as error:
        raise InputError(f"{file.name}: expected JSON, got other text: correct it") from error
    if not isinstance(stated, dict):
        raise InputError(f"{file.name}: expected a JSON object, got another value: write it as {{...}}")
    return stated


def read_grey(file: StoredFile) -> np.ndarray:
    """A grey picture, or a colour one without colour: (H, W) float32 0..1.

    Raises:
        InputError: not a picture, damaged, too large or too small, several pages, or in colour.
    """
    try:
        with open_file(file) as stream:
            tiff = PLAIN_SUFFIXES[PurePath(file.name).suffix.lower()] == "TIFF"
            values = _read_tiff(stream, file.name) if tiff else _read_with_pillow(stream, file.name)
    except InputError:
        raise
    except Exception as error:  # decoders raise anything on damaged data
        raise InputError(
            f"{file.name}: expected an intact picture, got one that cannot be decoded: copy it again"
        ) from error
    if values.ndim == 3 and (values[..., :1] != values[..., :3]).any():
        raise InputError(f"{file.name}: expected a grey picture, got one in colour: export it in grey")
    grey = values[..., 0] if values.ndim == 3 else values
    high = int(grey.max())
    if int(grey.min()) == high:
        raise InputError(f"{file.name}: expected a picture, got one value everywhere: export the original")
    full = 255 if grey.dtype == np.uint8 else next(full for full in _FULL_SCALES if high <= full)
    return grey.astype(np.float32) / np.float32(full)


def _read_tiff(stream: Any, name: str) -> np.ndarray:
    with tifffile.TiffFile(stream) as tiff:
        page = tiff.pages.first
        check_picture_size(page.imagelength, page.imagewidth, name)
        if len(tiff.pages) > 1 or page.dtype not in (np.uint8, np.uint16) or page.samplesperpixel > 4:
            got = f"{len(tiff.pages)} of {page.dtype}"
            raise InputError(f"{name}: expected one page of 8 or 16 bits, got {got}: save it so")
        values = page.asarray()
        if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
            values = np.iinfo(values.dtype).max - values
        return np.moveaxis(values, 0, -1) if values.ndim == 3 and int(page.planarconfig) == 2 else values


def _read_with_pillow(stream: Any, name: str) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with Image.open(stream) as picture:
            check_picture_size(picture.height, picture.width, name)
            if picture.mode.startswith("I"):
                return np.asarray(picture).astype(np.uint16)
            return np.asarray(picture if picture.mode == "L" else picture.convert("RGB"))


def _one_of(file: StoredFile, stated: Mapping[str, Any], key: str, allowed: tuple[str, ...]) -> str:
    value = stated.get(key)
    if value not in (None, *allowed):
        raise _refusal(file, f"{key} as one of {', '.join(allowed)}", "another value")
    return value or ""


def _spacing(file: StoredFile, value: Any) -> tuple[float, float] | None:
    numbers = value if isinstance(value, list) else [value, value]
    if value is None:
        return None
    if len(numbers) != 2 or not all(type(n) in (int, float) and 0 < n < 1 for n in numbers):
        raise _refusal(file, "spacing_mm as one or two numbers between 0 and 1", "another value")
    return float(numbers[0]), float(numbers[1])


def _age(file: StoredFile, value: Any) -> int | None:
    if value is not None and not (type(value) is int and 0 <= value <= 120):
        raise _refusal(file, "age_years as a whole number to 120", "another value")
    return value


def _text(file: StoredFile, value: Any) -> str:
    if not isinstance(value, (str, type(None))):
        raise _refusal(file, "history as text", "another value")
    return value or ""


def _refusal(file: StoredFile, expected: str, got: str) -> InputError:
    return InputError(f"{file.name}: expected {expected}, got {got}: correct it")
