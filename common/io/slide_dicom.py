"""The header of a DICOM slide's largest level: what DICOM objects about the slide are built upon."""

from __future__ import annotations

from pathlib import Path

import pydicom
from pydicom.dataset import Dataset

from .slide_files import dicom_wsi_series, slide_file

_GEOMETRY = (
    "FrameOfReferenceUID",
    "ImageOrientationSlide",
    "TotalPixelMatrixOriginSequence",
    "SharedFunctionalGroupsSequence",
)


def read_slide_header(path: Path) -> Dataset:
    """Without pixels.

    Args:
        path: folder with one DICOM WSI series, or any level's file, as `open_slide` takes it.

    Raises:
        InputError: the files are gone.
    """
    file = slide_file(path)
    header = pydicom.dcmread(file, stop_before_pixels=True)
    for largest in dicom_wsi_series(file.parent):
        candidate = pydicom.dcmread(largest, stop_before_pixels=True)
        if candidate.SeriesInstanceUID == header.SeriesInstanceUID:
            return candidate
    return header


def lies_on_slide(header: Dataset) -> bool:
    """Whether the header says where its pixels lie on the glass; without that no SEG can be laid upon it."""
    if not all(header.get(keyword) for keyword in _GEOMETRY):
        return False
    measures = header.SharedFunctionalGroupsSequence[0].get("PixelMeasuresSequence")
    return bool(measures and measures[0].get("PixelSpacing")) and len(header.ImageOrientationSlide) == 6
