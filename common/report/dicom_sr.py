"""Measurements and regions of images as a Comprehensive SR by template TID 1500, with its evidence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import highdicom as hd
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from ..errors import InputError
from .dicom_object import SR, describe_object, save_object
from .provenance import (
    CODING_SCHEMES,
    MANUFACTURER,
    Algorithm,
    building,
    complete_header,
    content_uid,
    long_string,
)
from .sr_content import Amount, Finding, SegmentReference, Site, Statement, build_group, check_box

__all__ = ["Amount", "Finding", "SegmentReference", "Site", "Statement", "write_measurement_report"]

FORMAT_VERSION = "2"
"""Raised when the same findings would be written in another way, so that their UIDs change too."""


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
        headers: of all images that were read (without pixels), and of the SEG; the evidence. The first one
            gives patient and study; of the others only the UIDs count.
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
    save_object(report, evidence[0], path)
    return uids[1]


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
            *(one.references, one.segment and one.segment.number),
        )
        for one in findings
    ]
    place = (evidence[0].StudyInstanceUID, evidence[0].SeriesInstanceUID)
    series = content_uid("SR series", *place, MANUFACTURER, FORMAT_VERSION, algorithm)
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
        imaging_measurements=[build_group(finding, algorithm) for finding in findings],
    )
    for statement in statements:
        item = hd.sr.TextContentItem(statement.about, statement.text, hd.sr.RelationshipTypeValues.CONTAINS)
        report[0].ContentSequence.append(item)
    return report


def _report(
    content: hd.sr.MeasurementReport,
    evidence: Sequence[Dataset],
    algorithm: Algorithm,
    uids: tuple[str, str],
) -> hd.sr.ComprehensiveSR:
    return hd.sr.ComprehensiveSR(
        evidence=evidence,
        content=content,
        coding_schemes=CODING_SCHEMES,
        is_complete=True,
        is_verified=False,
        **describe_object(SR, algorithm, uids, f"Report: {algorithm.name}", "Automatic reading of images"),
    )
