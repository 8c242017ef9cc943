"""Which files and folders are slides."""

from __future__ import annotations

import os
from pathlib import Path

import openslide
import pydicom
from pydicom.errors import InvalidDicomError

from ..errors import InputError, NoEligibleError
from .pictures import PLAIN_SUFFIXES

WSI_SOP_CLASS = "1.2.840.10008.5.1.4.1.1.77.1.6"
"""VL Whole Slide Microscopy Image Storage."""

_HEADER_TAGS = ["SOPClassUID", "SeriesInstanceUID", "ImageType", "TotalPixelMatrixColumns"]


def is_slide_file(path: str | Path) -> bool:
    """Whether a file looks like a slide: OpenSlide knows it, or its suffix is that of a plain picture."""
    path = Path(path)
    if path.name.startswith(".") or not path.is_file():
        return False
    return path.suffix.lower() in PLAIN_SUFFIXES or _detect(path) is not None


def find_slides(folder: str | Path) -> list[Path]:
    """Slides directly in a folder, by name; a DICOM WSI series counts as one slide.

    A sub-folder (or the folder itself) that holds exactly one DICOM WSI series stands for it; where several
    series share a folder, each is named by its largest file. Hidden files are skipped.

    Raises:
        InputError: no such folder, not readable, or without any slide.
    """
    folder = Path(folder)
    if folder.is_file():
        return [folder]
    entries = _list_folder(folder)
    slides = [p for p in entries if is_slide_file(p) and not _has_dicom_mark(p)]
    series = dicom_wsi_series(folder)
    slides += [folder] if len(series) == 1 and not slides else series
    slides += [p for p in entries if p.is_dir() and len(_series_or_none(p)) == 1]
    if not slides:
        raise NoEligibleError(f"{folder.name}: expected a folder with slides, got none: check the path")
    return sorted(slides)


def slide_file(path: Path) -> Path:
    """The file to open for a path: the file itself, or the largest level of a folder's only DICOM WSI series.

    Raises:
        InputError: missing, unreadable, or a folder that is not one DICOM WSI series.
    """
    if path.is_dir():
        series = dicom_wsi_series(path)
        if len(series) != 1:
            raise InputError(
                f"{path.name}: expected a folder with one DICOM WSI series, got {len(series)}: name one file"
            )
        return series[0]
    if not path.exists():
        raise InputError(f"{path.name}: expected a slide, got no such file: check the path")
    if not os.access(path, os.R_OK):
        raise InputError(
            f"{path.name}: expected a readable file, got 'permission denied': check its permissions"
        )
    return path


def dicom_wsi_series(folder: Path) -> list[Path]:
    """The largest VOLUME instance of every DICOM WSI series directly in a folder. Raises InputError."""
    largest: dict[str, tuple[int, Path]] = {}
    for path in _list_folder(folder):
        header = _wsi_header(path)
        if header is not None:
            size, series = int(header.get("TotalPixelMatrixColumns", 0)), str(header.SeriesInstanceUID)
            largest[series] = max(largest.get(series, (-1, path)), (size, path))
    return sorted(path for _, path in largest.values())


def _wsi_header(path: Path) -> pydicom.Dataset | None:
    """The few header elements of a VOLUME instance, None for everything else."""
    try:
        if not path.is_file() or not _has_dicom_mark(path):
            return None
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=_HEADER_TAGS)
    except (OSError, InvalidDicomError):
        return None
    is_wsi = header.get("SOPClassUID") == WSI_SOP_CLASS and "SeriesInstanceUID" in header
    return header if is_wsi and "VOLUME" in header.get("ImageType", []) else None


def _has_dicom_mark(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def _series_or_none(folder: Path) -> list[Path]:
    try:
        return dicom_wsi_series(folder)
    except InputError:
        return []


def _detect(path: Path) -> str | None:
    try:
        return openslide.OpenSlide.detect_format(path)
    except (OSError, openslide.OpenSlideError):
        return None


def _list_folder(folder: Path) -> list[Path]:
    try:
        return sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputError(
            f"{folder.name}: expected a slide or a readable folder, got '{reason.lower()}': check the path"
        ) from error
