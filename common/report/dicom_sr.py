"""Measurements and regions of images as a Comprehensive SR by template TID 1500, with its evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import ExplicitVRLittleEndian

from ..errors import InputError
from ..io.files import atomic_path
from .provenance import (
    CODING_SCHEME,
    MANUFACTURER,
    Algorithm,
    building,
    complete_header,
    content_uid,
    describe_equipment,
    long_string,
)

FORMAT_VERSION = "1"
"""Raised when the same findings would be written in another way, so that their UIDs change too."""

SERIES_NUMBER = 9100
"""Of the report (choice: above any scanner's)."""


@dataclass(frozen=True)
class Site:
    """A place in the body: its concept and its side, None where it has none."""

    place: Code
    side: Code | None = None


@dataclass(frozen=True)
class Amount:
    """A measured value.

    Attributes:
        name: what was measured.
        value: in `unit`.
        unit: of UCUM.
    """

    name: Code
    value: float
    unit: Code


@dataclass(frozen=True)
class Finding:
    """One measurement group of TID 1500: a region of an image, or something said of whole images.

    Attributes:
        label: tracking identifier, unique in the report, e.g. "R CC region 1".
        kind: finding type.
        images: headers that it refers to; one for a region.
        site: place in the body; None for a whole study.
        box_px: (x0, y0, x1, y1) in pixels of the image, edges of pixels, end exclusive; None: not a region.
        amounts: measured values.
        evaluations: (question, answer), coded.
    """

    label: str
    kind: Code
    images: Sequence[Dataset]
    site: Site | None
    box_px: tuple[float, float, float, float] | None = None
    amounts: Sequence[Amount] = ()
    evaluations: Sequence[tuple[Code, Code]] = ()


@dataclass(frozen=True)
class Statement:
    """A sentence for the reader, with what it is about."""

    about: Code
    text: str


def write_measurement_report(
    findings: Sequence[Finding],
    statements: Sequence[Statement],
    headers: Sequence[Dataset],
    procedure: Code,
    algorithm: Algorithm,
    path: str | Path,
) -> str:
    """Write an unverified, complete report in the study of the first image.

    SOPInstanceUID follows from content, images and algorithm: the same again is the same instance.

    Args:
        findings: at least one.
        statements: shown after the measurements.
        headers: of all images that were read (without pixels); the evidence.
        procedure: what was reported, e.g. SCT 71651007 "Mammography".
        algorithm: the observer.
        path: file to write.

    Returns:
        The SOPInstanceUID.

    Raises:
        InputError: no finding, a box outside its image, or headers that a report cannot follow.
        OutputError: cannot be written.
    """
    _check(findings)
    evidence = [complete_header(header) for header in headers]
    uids = _uids(findings, statements, evidence, algorithm)
    with building("report", "a DICOM SR", "use the JSON"):
        content = _content(findings, statements, procedure, algorithm)
        report = _report(content, evidence, algorithm, uids)
    with atomic_path(path) as temporary:
        report.save_as(temporary, enforce_file_format=True)
    return uids[1]


def check_box(box_px: Sequence[float], header: Dataset, name: str) -> None:
    """Raises InputError: the box is empty or leaves the image."""
    x0, y0, x1, y1 = box_px
    if not (0 <= x0 < x1 <= header.Columns and 0 <= y0 < y1 <= header.Rows):
        raise InputError(
            f"{name}: expected a box inside the image of {header.Columns} x {header.Rows} px, got "
            f"{', '.join(f'{value:g}' for value in box_px)}: clip it"
        )


def first_frame(header: Dataset) -> list[int] | None:
    """The frame that is referred to: the first of an image that has frames (2-D views of a tomosynthesis)."""
    return [1] if "NumberOfFrames" in header else None


def closed_outline(box_px: Sequence[float]) -> np.ndarray:
    """(5, 2) corners (column, row) of a box, the first one repeated."""
    x0, y0, x1, y1 = box_px
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]], float)


def _check(findings: Sequence[Finding]) -> None:
    if not findings:
        raise InputError("report: expected at least one finding for a DICOM SR, got none: write no report")
    for finding in findings:
        if finding.box_px is not None:
            check_box(finding.box_px, finding.images[0], finding.label)


def _uids(
    findings: Sequence[Finding],
    statements: Sequence[Statement],
    evidence: Sequence[Dataset],
    algorithm: Algorithm,
) -> tuple[str, str]:
    """UIDs of series and instance, from the content."""
    images = [header.SOPInstanceUID for header in evidence]
    said = [
        (
            *(one.label, one.kind, one.site, one.box_px, tuple(one.amounts), tuple(one.evaluations)),
            *(header.SOPInstanceUID for header in one.images),
        )
        for one in findings
    ]
    series = content_uid("SR series", evidence[0].StudyInstanceUID, MANUFACTURER, FORMAT_VERSION, algorithm)
    return series, content_uid("SR", series, images, said, list(statements))


def _content(
    findings: Sequence[Finding], statements: Sequence[Statement], procedure: Code, algorithm: Algorithm
) -> hd.sr.MeasurementReport:
    device = hd.sr.ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=hd.sr.DeviceObserverIdentifyingAttributes(
            uid=content_uid("device", algorithm),
            name=long_string(algorithm.name),
            manufacturer_name=MANUFACTURER,
            model_name=long_string(algorithm.name),
            serial_number=algorithm.serial_number,
        ),
    )
    report = hd.sr.MeasurementReport(
        observation_context=hd.sr.ObservationContext(observer_device_context=device),
        procedure_reported=procedure,
        imaging_measurements=[_group(finding, algorithm) for finding in findings],
    )
    for statement in statements:
        item = hd.sr.TextContentItem(statement.about, statement.text, hd.sr.RelationshipTypeValues.CONTAINS)
        report[0].ContentSequence.append(item)
    return report


def _group(
    finding: Finding, algorithm: Algorithm
) -> hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations | hd.sr.MeasurementsAndQualitativeEvaluations:
    site = finding.site
    common: dict[str, Any] = {
        "tracking_identifier": hd.sr.TrackingIdentifier(
            uid=content_uid("tracking", finding.label, *(one.SOPInstanceUID for one in finding.images)),
            identifier=finding.label,
        ),
        "finding_type": finding.kind,
        "algorithm_id": hd.sr.AlgorithmIdentification(
            name=long_string(algorithm.name),
            version=long_string(algorithm.version),
            parameters=[f"weights_sha256={algorithm.weights_sha256}"] if algorithm.weights_sha256 else None,
        ),
        "finding_sites": None if site is None else [hd.sr.FindingSite(site.place, site.side)],
        "measurements": [hd.sr.Measurement(one.name, one.value, one.unit) for one in finding.amounts],
        "qualitative_evaluations": [hd.sr.QualitativeEvaluation(*pair) for pair in finding.evaluations],
    }
    if finding.box_px is None:
        sources = [
            hd.sr.SourceImageForMeasurementGroup.from_source_image(one, first_frame(one))
            for one in finding.images
        ]
        return hd.sr.MeasurementsAndQualitativeEvaluations(source_images=sources, **common)
    region = hd.sr.ImageRegion(
        graphic_type=hd.sr.GraphicTypeValues.POLYLINE,
        graphic_data=closed_outline(finding.box_px),
        source_image=hd.sr.SourceImageForRegion.from_source_image(
            finding.images[0], first_frame(finding.images[0])
        ),
    )
    return hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations(referenced_region=region, **common)


def _report(
    content: hd.sr.MeasurementReport,
    evidence: Sequence[Dataset],
    algorithm: Algorithm,
    uids: tuple[str, str],
) -> hd.sr.ComprehensiveSR:
    return hd.sr.ComprehensiveSR(
        evidence=evidence,
        content=content,
        series_instance_uid=uids[0],
        series_number=SERIES_NUMBER,
        sop_instance_uid=uids[1],
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=long_string(algorithm.name),
        software_versions=long_string(algorithm.version),
        device_serial_number=algorithm.serial_number,
        series_description=long_string(f"Report: {algorithm.name}"),
        coding_schemes=[hd.coding_schemes.CodingSchemeIdentificationItem(CODING_SCHEME, name=MANUFACTURER)],
        is_complete=True,
        is_verified=False,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        contributing_equipment=[describe_equipment(algorithm, "Automatic reading of images")],
        specific_character_set="ISO_IR 192",
    )
