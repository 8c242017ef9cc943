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
from pydicom.uid import ExplicitVRLittleEndian

from ..errors import InputError, OutputError
from ..io.files import atomic_path
from .provenance import (
    MANUFACTURER,
    Algorithm,
    building,
    complete_header,
    content_uid,
    describe_equipment,
    long_string,
)

FORMAT_VERSION = "1"
"""Raised when the same picture would be written in another way, so that its UIDs change too."""

SERIES_NUMBER = 9200
"""Of the pictures (choice: above any scanner's)."""


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
    series, instance = _uids(capture, sources, algorithm)
    with building("picture", "a Secondary Capture", "use the PNG"):
        image = _image(capture, sources[0], algorithm, series, instance)
    _add_origin(image, sources, capture.description)
    if bytes(image.PixelData)[: pixels.nbytes] != pixels.tobytes():
        raise OutputError("picture: expected its pixels in the Secondary Capture, got others: report this")
    with atomic_path(path) as temporary:
        image.save_as(temporary, enforce_file_format=True)
    return instance


def _uids(capture: Capture, sources: Sequence[Dataset], algorithm: Algorithm) -> tuple[str, str]:
    """UIDs of series and instance, from the content."""
    study = sources[0].StudyInstanceUID
    series = content_uid("SC series", study, MANUFACTURER, FORMAT_VERSION, algorithm)
    digest = hashlib.sha256(capture.pixels.tobytes()).hexdigest()
    shown = [header.SOPInstanceUID for header in sources]
    return series, content_uid("SC", series, capture.number, digest, capture.pixels.shape, shown)


def _image(
    capture: Capture, header: Dataset, algorithm: Algorithm, series: str, instance: str
) -> hd.sc.SCImage:
    image = hd.sc.SCImage.from_ref_dataset(
        ref_dataset=header,
        pixel_array=capture.pixels,
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system=hd.CoordinateSystemNames.PATIENT,
        patient_orientation=("L", "F"),  # replaced below: a picture of several views has none
        series_instance_uid=series,
        series_number=SERIES_NUMBER,
        sop_instance_uid=instance,
        instance_number=capture.number,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=long_string(algorithm.name),
        software_versions=long_string(algorithm.version),
        device_serial_number=algorithm.serial_number,
        series_description=long_string(f"Pictures: {algorithm.name}"),
        transfer_syntax_uid=ExplicitVRLittleEndian,
        contributing_equipment=[describe_equipment(algorithm, "Picture of an automatic reading")],
        specific_character_set="ISO_IR 192",
    )
    image.PatientOrientation = []
    image.Laterality = ""  # one series for both sides
    image.ConversionType = "WSD"  # made on a workstation; no video, film or scanned paper
    return image


def _add_origin(image: Dataset, sources: Sequence[Dataset], description: str) -> None:
    """References to the sources; nothing burned in tells who the patient is."""
    image.BurnedInAnnotation = "NO"
    image.DerivationDescription = description
    image.SourceImageSequence = [_reference(header) for header in sources]


def _reference(header: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = header.SOPClassUID
    item.ReferencedSOPInstanceUID = header.SOPInstanceUID
    purpose = hd.sr.CodedConcept.from_code(codes.DCM.SourceImageForImageProcessingOperation)
    item.PurposeOfReferenceCodeSequence = [purpose]
    return item
