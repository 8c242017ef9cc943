"""Which DICOM files are mammograms that can be read, by their headers."""

from __future__ import annotations

import re

import pydicom
from pydicom.dataset import Dataset

from ..errors import InputError
from .ct_types import StoredFile
from .dicom_files import open_file
from .dicom_header import damaged, hash_patient, values_of
from .mammo_types import StudyImage
from .mammo_views import SPECIMEN, read_cbis_name, read_laterality, read_modifiers, read_view

FOR_PRESENTATION = "1.2.840.10008.5.1.4.1.1.1.2"
FOR_PROCESSING = "1.2.840.10008.5.1.4.1.1.1.2.1"
TOMOSYNTHESIS = "1.2.840.10008.5.1.4.1.1.13.1.3"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"

PROCESSING_REASON = "FOR PROCESSING, values of the detector and not a picture"

_NO_ID = re.compile(r"|anon\w*|unknown|none|n/?a|0+|x+|removed|deidentified", re.IGNORECASE)
"""Patient ids that tell nobody apart."""

_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")

_IMAGE_TYPES = (
    ("TOMO_PROJ|PROJECTION", "a projection of a tomosynthesis"),
    ("SUBTRACTION|ADDITION", "computed from pictures with contrast agent"),
    ("HIGH_ENERGY", "the high-energy half of a contrast mammogram"),
    ("STEREO_.*|BIOPSY", "a picture of a biopsy"),
)


def read_image(file: StoredFile) -> StudyImage:
    """Read the header of a DICOM file.

    Raises:
        InputError: damaged.
    """
    try:
        with open_file(file) as stream:
            header = pydicom.dcmread(stream, force=True, stop_before_pixels=True)
            drop_unreadable(header)
            image = _image(file, flatten_groups(header))
    except InputError:
        raise
    except Exception as error:  # pydicom raises anything on damaged headers, some of it when values are read
        raise InputError(damaged(file.name)) from error
    if _sop_class(header) in (FOR_PRESENTATION, FOR_PROCESSING, TOMOSYNTHESIS) and not header.get("Rows"):
        raise InputError(damaged(file.name))  # ends within the header
    return image


def drop_unreadable(header: Dataset) -> None:
    """Remove elements whose bytes cannot be understood, so that nobody stumbles over them later."""
    for tag in list(header.keys()):
        try:
            element = header[tag]
            for item in element.value if element.VR == "SQ" else ():
                drop_unreadable(item)
        except Exception:  # pydicom raises anything when a value is read
            del header[tag]


def flatten_groups(header: Dataset) -> Dataset:
    """A multi-frame header whose first frame's functional groups also stand on its top level."""
    for groups in _GROUPS[::-1]:
        for group in (header.get(groups) or [])[:1]:
            for element in group:
                for part in element.value[:1] if element.VR == "SQ" else ():
                    header.update({one.tag: one for one in part if one.tag not in header})
    return header


def _image(file: StoredFile, header: Dataset) -> StudyImage:
    cbis = read_cbis_name(header)
    study = str(header.get("StudyInstanceUID") or file.folder)
    return StudyImage(
        file=file,
        header=header,
        patient=cbis.patient if cbis else _patient(header, study),
        study=cbis.patient if cbis else study,
        date=str(header.get("StudyDate") or header.get("AcquisitionDate") or ""),
        laterality=read_laterality(header),
        view=read_view(header),
        reason=find_reason(header),
        synthetic="GENERATED_2D" in _image_type(header) or _sop_class(header) == TOMOSYNTHESIS,
        partial=header.get("PartialView") == "YES",
        spacing_mm=read_spacing(header),
        age_years=read_age(header),
    )


def _patient(header: Dataset, study: str) -> str:
    """A hash. Mammograms without an id, or with one that anonymisers give to all, go by their study."""
    if not _NO_ID.fullmatch(str(header.get("PatientID") or "").strip()):
        return hash_patient(header)
    return f"patient of {study}" if header.get("Modality") == "MG" else ""


def find_reason(header: Dataset) -> str:
    """Why a file is not read; empty if it may be. The first of the rules that applies."""
    if header.get("Modality") != "MG":
        return f"not MG but {header.get('Modality') or 'without modality'}"
    if not header.get("Rows") or not header.get("Columns"):
        return "no picture in it"
    if _sop_class(header) == FOR_PROCESSING or header.get("PresentationIntentType") == "FOR PROCESSING":
        return PROCESSING_REASON
    return _frames_reason(header) or _content_reason(header) or _capture_reason(header)


def _frames_reason(header: Dataset) -> str:
    frames = int(header.get("NumberOfFrames") or 1)
    if frames > 1:
        what = "slices of a tomosynthesis" if _sop_class(header) == TOMOSYNTHESIS else "frames in one file"
        return f"{frames} {what}; the 2-D view is needed"
    if int(header.get("SamplesPerPixel") or 1) > 1:
        return "in colour, a picture of a screen"
    kinds = _image_type(header)
    found = (text for words, text in _IMAGE_TYPES if any(re.fullmatch(words, kind) for kind in kinds))
    return next(found, "")


def _content_reason(header: Dataset) -> str:
    modifiers = read_modifiers(header)
    if header.get("BurnedInAnnotation") == "YES":
        return "text is burned into the picture"
    if header.get("BreastImplantPresent") == "YES" and "implant displaced" not in modifiers:
        return "an implant is in the picture; the implant-displaced view is needed"
    for modifier in ("magnification", "spot compression"):
        if modifier in modifiers:
            return f"a {modifier} view, part of a breast"
    if read_laterality(header) == "B" or "cleavage" in modifiers:
        return "shows both breasts"
    return "a specimen" if read_view(header) == SPECIMEN else ""


def _capture_reason(header: Dataset) -> str:
    """Secondary captures: films that were scanned are read, pictures of screens and of findings are not."""
    cbis = read_cbis_name(header)
    if cbis and (cbis.is_part or "full" not in str(header.get("SeriesDescription") or "full").lower()):
        return "a crop or a mask of a finding"
    scanned = header.get("ViewPosition") or header.get("ViewCodeSequence") or cbis
    if _sop_class(header) == SECONDARY_CAPTURE and not scanned:
        return "a secondary capture without a view"
    return ""


def read_age(header: Dataset) -> int | None:
    """Whole years: (0010,1010) PatientAge, else from birth date to study date; None if neither is stated."""
    stated = re.fullmatch(r"(\d{3})([DWMY])", str(header.get("PatientAge") or ""))
    if stated:
        return int(int(stated[1]) / {"D": 365.25, "W": 52.18, "M": 12, "Y": 1}[stated[2]])
    birth, study = (str(header.get(keyword) or "") for keyword in ("PatientBirthDate", "StudyDate"))
    if not (re.fullmatch(r"\d{8}", birth) and re.fullmatch(r"\d{8}", study)):
        return None
    years = int(study[:4]) - int(birth[:4]) - (study[4:] < birth[4:])
    return years if 0 <= years <= 120 else None


def read_spacing(header: Dataset) -> tuple[float, float] | None:
    """Millimetres between rows and columns in the detector's plane, or what the header calls calibrated.

    (0018,1164) ImagerPixelSpacing, else (0028,0030) PixelSpacing, else (0018,2010) of a scanned film.
    """
    for keyword in ("ImagerPixelSpacing", "PixelSpacing", "NominalScannedPixelSpacing"):
        numbers = [float(value) for value in values_of(header.get(keyword))]
        if len(numbers) == 2 and min(numbers) > 0:
            return numbers[0], numbers[1]
    return None


def _sop_class(header: Dataset) -> str:
    return str(header.get("SOPClassUID") or header.file_meta.get("MediaStorageSOPClassUID") or "")


def _image_type(header: Dataset) -> tuple[str, ...]:
    return tuple(str(part).upper() for part in values_of(header.get("ImageType")))
