"""The door for CT: whatever was given becomes a `CtVolume` or a refusal in one line."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import InputError
from .cases import Case, find_cases
from .ct_types import AxialView, CtVolume, SliceSource, Source, StoredFile
from .dicom_ct import read_dicom_ct
from .nifti import is_nifti, read_nifti
from .nrrd_volume import is_nrrd, read_nrrd

__all__ = ["AxialView", "Case", "CtVolume", "SliceSource", "Source", "StoredFile", "find_cases", "read_ct"]


def read_ct(path: str | Path, series: str | int | None = None) -> CtVolume:
    """Read a CT.

    Args:
        path: a DICOM folder (nested, several series), one DICOM file, a zip of DICOM files, NIfTI or NRRD.
        series: SeriesInstanceUID or series number; None chooses by the rules of `dicom_series`. DICOM only.

    Raises:
        InputError: not there, not readable, not a CT, or a geometry that a volume cannot have.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path.name}: expected a CT, got no such file or folder: check the path")
    if not os.access(path, os.R_OK):
        raise InputError(
            f"{path.name}: expected a readable CT, got 'permission denied': check its permissions"
        )
    wanted = None if series is None or not str(series).strip() else str(series).strip()
    if not is_nifti(path) and not is_nrrd(path):
        return read_dicom_ct(path, wanted)
    if wanted is not None:
        raise InputError(f"{path.name}: expected no series for this format, got '{wanted}': leave it away")
    return read_nifti(path) if is_nifti(path) else read_nrrd(path)
