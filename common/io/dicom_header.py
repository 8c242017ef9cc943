"""The few header elements of a DICOM image that decide what it is and where its frames lie."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pydicom
from pydicom import config
from pydicom.dataset import Dataset

from ..errors import InputError
from .ct_types import StoredFile
from .dicom_files import open_file

config.settings.reading_validation_mode = config.IGNORE
# pydicom's warnings about values quote them, names and birth dates among them; what is used is checked here

CT_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.2": "CT",
    "1.2.840.10008.5.1.4.1.1.2.1": "enhanced CT",
    "1.2.840.10008.5.1.4.1.1.2.2": "legacy converted enhanced CT",
}

PHOTOGRAPH_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.77.1.4",
    "1.2.840.10008.5.1.4.1.1.77.1.5.1",
    "1.2.840.10008.5.1.4.1.1.7",
    "1.2.840.10008.5.1.4.1.1.7.4",
)
"""VL Photographic, Ophthalmic Photography 8 Bit, Secondary Capture and its Multi-frame True Color."""

_GROUPS = ["SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"]
_TAGS = [
    *("SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"),
    *("FrameOfReferenceUID", "SeriesNumber", "SeriesDescription", "InstanceNumber", "Modality", "ImageType"),
    *("PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate", "ConvolutionKernel"),
    *(
        "ContrastBolusAgent",
        "ContrastBolusAgentSequence",
        "Rows",
        "Columns",
        "NumberOfFrames",
        "SliceThickness",
    ),
    *("SpacingBetweenSlices", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"),
    *("RescaleSlope", "RescaleIntercept", "RescaleType", "PhotometricInterpretation", "SamplesPerPixel"),
    *_GROUPS,
]


@dataclass(frozen=True)
class Frame:
    """One picture of an instance; None where the header does not say.

    Attributes:
        index: from 0, None in a single-frame instance.
        position_mm: lps_mm of the centre of the first pixel.
        orientation: direction cosines (6,) along a row, then along a column.
        spacing_mm: between rows, between columns.
    """

    index: int | None
    rows: int
    columns: int
    position_mm: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    spacing_mm: tuple[float, ...] | None
    thickness_mm: float | None
    slope: float | None
    intercept: float | None
    rescale_type: str


@dataclass(frozen=True)
class Instance:
    """One DICOM file. `patient` is a hash: it tells patients apart and names none.

    Attributes:
        series_key: what groups files: SeriesInstanceUID, or folder and frame of reference without one.
        meta_differs: the file meta names another instance than the data set, or the data set none.
    """

    file: StoredFile
    sop_class_uid: str
    sop_instance_uid: str
    study_uid: str
    series_uid: str
    series_key: str
    series_number: int | None
    instance_number: int | None
    modality: str
    image_type: tuple[str, ...]
    patient: str
    kernel: str
    contrast: bool
    transfer_syntax: str
    is_colour: bool
    meta_differs: bool
    frames: tuple[Frame, ...]


def read_instance(file: StoredFile) -> Instance:
    """Read the header of a DICOM file.

    Raises:
        InputError: damaged.
    """
    try:
        with open_file(file) as stream:
            header = pydicom.dcmread(stream, force=True, stop_before_pixels=True, specific_tags=_TAGS)
            instance = _instance(file, header)
    except InputError:
        raise
    except Exception as error:  # pydicom raises anything on damaged headers, some of it when values are read
        raise InputError(damaged(file.name)) from error
    if instance.sop_class_uid in CT_CLASSES and not instance.frames[0].rows:
        raise InputError(damaged(file.name))  # ends within the header
    return instance


def damaged(name: str) -> str:
    return f"{name}: expected an intact DICOM file, got a damaged one (truncated?): copy it again"


def _instance(file: StoredFile, header: Dataset) -> Instance:
    meta = header.file_meta
    stated = str(header.get("SOPInstanceUID") or "")
    in_meta = str(meta.get("MediaStorageSOPInstanceUID") or "")
    sop_class = str(header.get("SOPClassUID") or meta.get("MediaStorageSOPClassUID") or "")
    series_uid = str(header.get("SeriesInstanceUID") or "")
    return Instance(
        file=file,
        sop_class_uid=sop_class,
        sop_instance_uid=stated or in_meta,
        study_uid=str(header.get("StudyInstanceUID") or ""),
        series_uid=series_uid,
        series_key=series_uid or f"{file.folder}|{header.get('FrameOfReferenceUID', '')}|{sop_class}",
        series_number=_whole(header.get("SeriesNumber")),
        instance_number=_whole(header.get("InstanceNumber")),
        modality=str(header.get("Modality") or ""),
        image_type=tuple(str(part).upper() for part in values_of(header.get("ImageType"))),
        patient=hash_patient(header),
        kernel=str(next(iter(values_of(header.get("ConvolutionKernel"))), "")).upper(),
        contrast=bool(header.get("ContrastBolusAgent") or header.get("ContrastBolusAgentSequence")),
        transfer_syntax=str(meta.get("TransferSyntaxUID") or ""),
        is_colour=int(header.get("SamplesPerPixel") or 1) > 1 or _is_palette(header),
        meta_differs=bool(in_meta and in_meta != stated),
        frames=tuple(_frames(header)),
    )


def _is_palette(header: Dataset) -> bool:
    return str(header.get("PhotometricInterpretation") or "").startswith("PALETTE")


def hash_patient(header: Dataset) -> str:
    """A hash of the patient's id, or of name and birth date without one; empty in anonymous files."""
    parts = [str(header.get(key) or "") for key in ("PatientID", "IssuerOfPatientID")]
    if not parts[0]:
        parts = [str(header.get(key) or "") for key in ("PatientName", "PatientBirthDate")]
    return hashlib.sha256("|".join(parts).encode()).hexdigest() if any(parts) else ""


def _frames(header: Dataset) -> list[Frame]:
    """A frame per picture: from the functional groups of a multi-frame instance, else the header's own."""
    count = int(header.get("NumberOfFrames") or 1)
    groups = header.get("PerFrameFunctionalGroupsSequence")
    if not groups:
        return [_frame(header, (header,), index) for index in ([None] if count == 1 else range(count))]
    shared = list(header.get("SharedFunctionalGroupsSequence") or [])[:1]
    return [_frame(header, (group, *shared, header), index) for index, group in enumerate(groups)]


def _frame(header: Dataset, places: Iterable[Dataset], index: int | None) -> Frame:
    places = tuple(places)
    orientation = _find(places, "PlaneOrientationSequence", "ImageOrientationPatient")
    slope, intercept, kind = (
        _find(places, "PixelValueTransformationSequence", f"Rescale{part}")
        for part in ("Slope", "Intercept", "Type")
    )
    thickness = _find(places, "PixelMeasuresSequence", "SpacingBetweenSlices")
    thickness = thickness or _find(places, "PixelMeasuresSequence", "SliceThickness")
    return Frame(
        index=index,
        rows=int(header.get("Rows") or 0),
        columns=int(header.get("Columns") or 0),
        position_mm=_numbers(_find(places, "PlanePositionSequence", "ImagePositionPatient"), 3),
        orientation=_numbers(orientation, 6),
        spacing_mm=_numbers(_find(places, "PixelMeasuresSequence", "PixelSpacing"), 2),
        thickness_mm=abs(float(thickness)) if thickness else None,
        slope=None if slope in (None, "") else float(slope),
        intercept=None if intercept in (None, "") else float(intercept),
        rescale_type=str(kind or "").upper(),
    )


def _find(places: tuple[Dataset, ...], sequence: str, keyword: str) -> Any:
    """An element from the first place that has it: the frame's group, the shared one, the header itself."""
    for place in places:
        items = place.get(sequence)
        value = items[0].get(keyword) if items else place.get(keyword)
        if value is not None:
            return value
    return None


def _numbers(value: Any, count: int) -> tuple[float, ...] | None:
    numbers = tuple(float(part) for part in values_of(value))
    return numbers if len(numbers) == count else None


def values_of(value: Any) -> list[Any]:
    if value is None or value == "":
        return []
    return [value] if isinstance(value, (str, float, int)) else list(value)


def _whole(value: Any) -> int | None:
    return None if value in (None, "") else int(value)
