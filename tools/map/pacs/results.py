"""Results before they go into a patient's study: whether they belong there."""

from __future__ import annotations

import os
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from .errors import ParkError, StudyError


def read_header(path: Path) -> Dataset:
    """The data set of a file without its pixels.

    Raises:
        StudyError: it is no DICOM file.
    """
    try:
        return dcmread(path, stop_before_pixels=True)
    except (InvalidDicomError, EOFError):
        raise StudyError("expected DICOM files, got one that is none: try again") from None


def read_results(folder: Path, study_uid: str, source: Dataset, taken: set[str]) -> dict[str, Path]:
    """The DICOM files of an output folder, by SOPInstanceUID; what is not for this study is refused.

    Args:
        folder: `output/dicom`; where it is absent there are no results.
        study_uid: the study they were made from.
        source: header of a source file.
        taken: SOPInstanceUIDs of the source images.

    Raises:
        ParkError: a result of another study or patient, or one that would take the place of an image.
    """
    results: dict[str, Path] = {}
    for path in sorted(folder.glob("*.dcm")):
        header = read_header(path)
        if header.get("StudyInstanceUID") != study_uid:
            raise ParkError("expected results of the same study, got one of another: the command is wrong")
        if str(header.get("PatientID") or "") != str(source.get("PatientID") or ""):
            raise ParkError("expected results of the same patient, got one of another: the command is wrong")
        uid = str(header.get("SOPInstanceUID"))
        if uid in taken or uid in results:
            raise ParkError("expected results with UIDs of their own, got one twice: the command is wrong")
        results[uid] = path
    return results


def make_durable(files: list[Path]) -> None:
    """On the disk, not only on its way there: the state is about to say that they exist."""
    for path in [*files, *{file.parent for file in files}]:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
