"""A colour picture for viewers that show neither SR nor presentation states: Secondary Capture."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import highdicom as hd
import numpy as np
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from ..errors import InputError, OutputError
from .dicom_object import SC, add_references, describe_object, save_object
from .provenance import MANUFACTURER, Algorithm, building, complete_header, content_uid

FORMAT_VERSION = "2"
"""Raised when the same picture would be written in another way, so that its UIDs change too."""


@dataclass(frozen=True)
class Capture:
    """A picture and what it was made of.

    Attributes:
        pixels: (H, W, 3) uint8 RGB.
        sources: headers of the images that it shows, at least one; the first one's study gets it.
        number: of the instance in its series, from 1.
        description: what it shows; no patient data.
    """

    pixels: np.ndarray
    sources: Sequence[Dataset]
    number: int
    description: str


def write_secondary_capture(capture: Capture, algorithm: Algorithm, path: str | Path) -> str:
    """Write one picture, uncompressed, in the study of its first source, with references to all sources.

    SOPInstanceUID follows from pixels, sources and algorithm: the same again is the same instance.

    Returns:
        The SOPInstanceUID.

    Raises:
        InputError: not an RGB picture, or headers that cannot be built upon.
        OutputError: cannot be written, or not written whole.
    """
    pixels = np.ascontiguousarray(capture.pixels)
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
        raise InputError(
            f"picture: expected (H, W, 3) uint8, got {pixels.shape} {pixels.dtype}: convert it first"
        )
    sources = [complete_header(header) for header in capture.sources]
    uids = _uids(capture, sources, algorithm)
    with building("picture", "a Secondary Capture", "use the PNG"):
        image = _image(capture, sources[0], algorithm, uids)
    _add_origin(image, sources, capture.description)
    if bytes(image.PixelData)[: pixels.nbytes] != pixels.tobytes():
        raise OutputError("picture: expected its pixels in the Secondary Capture, got others: report this")
    save_object(image, sources[0], path)
    return uids[1]


def _uids(capture: Capture, sources: Sequence[Dataset], algorithm: Algorithm) -> tuple[str, str]:
    """UIDs of series and instance, from the content."""
    study = sources[0].StudyInstanceUID
    series = content_uid("SC series", study, MANUFACTURER, FORMAT_VERSION, algorithm)
    digest = hashlib.sha256(capture.pixels.tobytes()).hexdigest()
    shown = [header.SOPInstanceUID for header in sources]
    return series, content_uid("SC", series, capture.number, digest, capture.pixels.shape, shown)


def _image(capture: Capture, header: Dataset, algorithm: Algorithm, uids: tuple[str, str]) -> hd.sc.SCImage:
    contribution = "Picture of an automatic reading"
    image = hd.sc.SCImage.from_ref_dataset(
        ref_dataset=header,
        pixel_array=capture.pixels,
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system=hd.CoordinateSystemNames.PATIENT,
        patient_orientation=("L", "F"),  # replaced below: a picture of several views has none
        **describe_object(SC, algorithm, uids, f"Pictures: {algorithm.name}", contribution, capture.number),
    )
    image.copy_patient_and_study_information(header)
    image.PatientOrientation = []
    image.Laterality = ""  # one series for both sides
    image.ConversionType = "WSD"  # made on a workstation; no video, film or scanned paper
    return image


def _add_origin(image: Dataset, sources: Sequence[Dataset], description: str) -> None:
    """References to the sources; nothing burned in tells who the patient is."""
    image.BurnedInAnnotation = "NO"
    image.DerivationDescription = description
    image.SourceImageSequence = [_reference(header) for header in sources]
    add_references(image, sources)


def _reference(header: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = header.SOPClassUID
    item.ReferencedSOPInstanceUID = header.SOPInstanceUID
    purpose = hd.sr.CodedConcept.from_code(codes.DCM.SourceImageForImageProcessingOperation)
    item.PurposeOfReferenceCodeSequence = [purpose]
    return item
