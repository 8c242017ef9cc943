"""A CT's result as DICOM: Segmentation, and a Comprehensive SR with the volumes that refers to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from common.io.ct_volume import CtVolume
from common.report.dicom_object import DICOM_FOLDER
from common.report.dicom_seg import write_dicom_seg
from common.report.dicom_sr import (
    Amount,
    Finding,
    SegmentReference,
    Site,
    Statement,
    write_measurement_report,
)
from common.report.provenance import CODING_SCHEME, Algorithm, read_version
from common.report.seg_sources import evidence_headers
from common.report.segments import to_code
from common.report.wording import capitalise, weights_note

from .structures import Structure, mask_of
from .wording import (
    describe_carried,
    describe_families,
    describe_found,
    describe_sureness,
    headline,
    list_doubts,
)

MILLILITER = Code("mL", "UCUM", "milliliter")
SLICES = Code("slices", CODING_SCHEME, "Slices that show the structure")
AGREEMENT = Code("agreement", CODING_SCHEME, "Agreement of the templates, as a Dice coefficient")
FOUND = Code("found", CODING_SCHEME, "Anything was found")
TEMPLATE = Code("template", CODING_SCHEME, "Templates that said what to segment")
WARNING = Code("warning", CODING_SCHEME, "Look at this before the numbers are used")
YES, NO = Code("373066001", "SCT", "Yes"), Code("373067005", "SCT", "No")
SIDES = {"right": codes.SCT.Right, "left": codes.SCT.Left}


def write_dicom(
    case: str,
    record: Mapping[str, Any],
    labels: np.ndarray,
    structures: Sequence[Structure],
    volume: CtVolume,
    output_dir: Path,
) -> list[Path]:
    """CASE_seg.dcm and CASE_sr.dcm, into `dicom/`; nothing for a volume that is not from DICOM.

    Args:
        case: name of the files.
        record: content of volumes.json.
        labels: (I, J, K) label map on the grid of `volume`.
        structures: of the label map.
        volume: the CT.
        output_dir: folder of the case's results.

    Raises:
        InputError: headers that DICOM objects cannot follow.
        OutputError: a file cannot be written.
    """
    if volume.source.format != "DICOM":
        return []
    algorithm = describe_algorithm(record)
    seg, report = (output_dir / DICOM_FOLDER / f"{case}_{kind}.dcm" for kind in ("seg", "sr"))
    masks = {row.name: mask_of(labels, row, structures) for row in structures}
    write_dicom_seg(masks, structures, volume, algorithm, seg)
    images = evidence_headers(volume)
    header = pydicom.dcmread(seg, stop_before_pixels=True)
    findings = [
        _measure(row, structure, SegmentReference(header, number, images[0]))
        for number, (row, structure) in enumerate(zip(record["structures"], structures, strict=True), 1)
    ]
    statements = list(list_statements(record))
    procedure = codes.SCT.ComputedTomography
    write_measurement_report(findings, statements, [*images, header], procedure, algorithm, report)
    return [seg, report]


def describe_algorithm(record: Mapping[str, Any]) -> Algorithm:
    """What outlined it, with what its weights are for in its name: it stands in every list of a PACS."""
    weights = record["weights"]
    name = f"KSAM, {weights_note(weights)}".rstrip(", ")
    return Algorithm(name, read_version(__file__), weights["sha256"], str(weights["name"]))


def _measure(row: Mapping[str, Any], structure: Structure, segment: SegmentReference) -> Finding:
    """Volume of the whole and of each side, slices, agreement."""
    place = to_code(structure.code)
    amounts = [Amount(codes.SCT.Volume, row["volume_ml"], MILLILITER)]
    amounts += [
        Amount(codes.SCT.Volume, row[side]["volume_ml"], MILLILITER, Site(place, code))
        for side, code in SIDES.items()
        if row[side] is not None
    ]
    amounts.append(Amount(SLICES, row["slices"], codes.UCUM.NoUnits))
    if row["expected_dice"] is not None:
        amounts.append(Amount(AGREEMENT, row["expected_dice"], codes.UCUM.NoUnits))
    answer = (FOUND, YES if row["voxels"] else NO)
    return Finding(row["name"], place, (), None, None, amounts, [answer], segment)


def list_statements(record: Mapping[str, Any]) -> Iterator[Statement]:
    """The result in words, the warnings, the templates, and how the volumes are meant."""
    note = weights_note(record["weights"])
    if note:
        yield Statement(codes.DCM.Comment, f"{capitalise(note)}.")
    yield Statement(codes.DCM.Summary, " ".join([f"{headline(record)}.", *describe_found(record)]))
    for doubt in list_doubts(record):
        yield Statement(WARNING, doubt)
    yield Statement(TEMPLATE, name_templates(record["prompts"]))
    rules = [*describe_carried(record["carried"]), describe_sureness(record), record["sides"]["rule"]]
    yield Statement(codes.DCM.Comment, " ".join([*rules, *describe_families(record["structures"])]))
    for choice in record["source"]["notes"]:
        yield Statement(codes.DCM.Comment, choice)


def name_templates(prompts: Mapping[str, Any]) -> str:
    """Task and templates with the number of slices that each answered for."""
    used = [
        f"{row['id']} ({', '.join(f'{name} {count}' for name, count in row['used'].items())})"
        for row in prompts["templates"]
        if row["used"]
    ]
    return f"Task {prompts['task']}; slices by template: {', '.join(used) or 'none'}."
