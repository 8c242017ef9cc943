"""Headers of the slices that a DICOM SEG refers to, completed where an anonymiser blanked them."""

from __future__ import annotations

import pydicom
from pydicom.dataset import Dataset

from ..errors import InputError
from ..io.ct_types import CtVolume, SliceSource
from .provenance import complete_header, content_uid


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


def evidence_headers(volume: CtVolume) -> list[Dataset]:
    """Of all instances that the volume was read from: the first one's header, of the others the UIDs.

    Raises:
        InputError: the source file is gone.
    """
    first, source = volume.source.slices[0], volume.source
    headers = {first.sop_instance_uid: _completed(_read(first), first, volume)}
    for one in source.slices[1:]:
        header = Dataset()
        header.SOPClassUID, header.SOPInstanceUID = one.sop_class_uid, one.sop_instance_uid
        header.StudyInstanceUID, header.SeriesInstanceUID = source.study_uid, source.series_uid
        headers.setdefault(one.sop_instance_uid, header)
    return list(headers.values())


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
    return complete_header(header)
