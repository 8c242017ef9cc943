"""Headers of the slices that a DICOM SEG refers to, completed where an anonymiser blanked them."""

from __future__ import annotations

import hashlib

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pydicom.valuerep import DA, TM

from ..errors import InputError
from ..io.ct_types import CtVolume, SliceSource

_REQUIRED = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID"),
    *("StudyDate", "StudyTime", "ReferringPhysicianName"),
)
_CHECKED = {"PatientBirthDate": DA, "StudyDate": DA, "StudyTime": TM}


def content_uid(*parts: object) -> UID:
    """A UID (2.25 and 128 bits of SHA-256) that is the same for the same parts."""
    digest = hashlib.sha256("\x1f".join(str(part) for part in parts).encode()).digest()
    return UID(f"2.25.{int.from_bytes(digest[:16], 'big')}")


def source_headers(volume: CtVolume, first: int, last: int) -> list[Dataset]:
    """Headers without pixels of the instances of slices K from `first` to `last`; one for a multi-frame file.

    Raises:
        InputError: a source file is gone, or several multi-frame files make up the volume.
    """
    slices = volume.source.slices[first : last + 1]
    if slices[0].frame is None:
        return [_completed(_read(one), one, volume) for one in slices]
    if len({one.sop_instance_uid for one in volume.source.slices}) > 1:
        raise InputError(
            f"{volume.source.name}: expected one multi-frame file for a DICOM SEG, got several: use NIfTI"
        )
    return [_completed(_read(slices[0]), slices[0], volume)]


def _read(one: SliceSource) -> Dataset:
    try:
        with one.file.open() as stream:
            return pydicom.dcmread(stream, force=True, stop_before_pixels=True)
    except Exception as error:  # whatever happened to the file since it was read as a CT
        raise InputError(
            f"{one.file.name}: expected the CT's file to be still there, got none: keep it until the end"
        ) from error


def _completed(header: Dataset, one: SliceSource, volume: CtVolume) -> Dataset:
    """UIDs as the volume's source states them; required elements empty where missing or impossible."""
    source = volume.source
    header.SOPClassUID, header.SOPInstanceUID = one.sop_class_uid, one.sop_instance_uid
    header.StudyInstanceUID, header.SeriesInstanceUID = source.study_uid, source.series_uid
    if not header.get("FrameOfReferenceUID"):
        header.FrameOfReferenceUID = content_uid("frame of reference", source.series_uid)
    for keyword in _REQUIRED:
        value = header.get(keyword)
        if value is None or not _is_possible(keyword, str(value)):
            setattr(header, keyword, "")
    return header


def _is_possible(keyword: str, text: str) -> bool:
    """Dates and times that can be read, a sex of the defined ones, everything else."""
    if keyword == "PatientSex":
        return text in ("", "M", "F", "O")
    try:
        return keyword not in _CHECKED or not text or _CHECKED[keyword](text) is not None
    except ValueError:
        return False
