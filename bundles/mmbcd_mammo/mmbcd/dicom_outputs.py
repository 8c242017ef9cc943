"""A study's result as DICOM: Comprehensive SR, Secondary Capture of the overview, presentation states."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset

from common.io.mammogram import MammoSource
from common.report.dicom_object import DICOM_FOLDER
from common.report.dicom_sr import Amount, Finding, Site, Statement, write_measurement_report
from common.report.gsps import Annotations, Mark, write_presentation_state
from common.report.provenance import Algorithm, read_version
from common.report.secondary_capture import Capture, write_secondary_capture

from . import concepts
from .pictures import HIGHEST, OTHERS
from .wording import (
    describe_result,
    describe_rules,
    describe_shares,
    file_name,
    headline,
    name_region,
    purpose_note,
    title_view,
)

LAYERS = {"REGIONS": OTHERS, "HIGHEST": HIGHEST}


def write_dicom(
    record: Mapping[str, Any], sources: Sequence[MammoSource], overview: Path, output_dir: Path
) -> list[Path]:
    """Report, overview and a presentation state for each view, into `dicom/`; nothing for PNG and TIFF.

    Args:
        record: content of result.json.
        sources: of the record's images, in their order.
        overview: the PNG that becomes the Secondary Capture.
        output_dir: folder of the study's results.

    Raises:
        InputError: headers that DICOM objects cannot follow.
        OutputError: a file cannot be written.
    """
    headers = [source.header for source in sources if source.header is not None]
    if len(headers) < len(sources):
        return []
    algorithm, folder = describe_algorithm(record), output_dir / DICOM_FOLDER
    report, capture = folder / "result_sr.dcm", folder / "overview_sc.dcm"
    findings, statements = list(list_findings(record, headers)), list(list_statements(record))
    write_measurement_report(findings, statements, headers, concepts.MAMMOGRAPHY, algorithm, report)
    pixels = np.asarray(Image.open(overview).convert("RGB"))
    write_secondary_capture(Capture(pixels, headers, 1, headline(record)), algorithm, capture)
    states = []
    for number, (row, header) in enumerate(zip(record["images"], headers, strict=True), 1):
        states.append(folder / f"{file_name(row['name'])}_gsps.dcm")
        annotations = describe_annotations(row, number, purpose_note(record))
        write_presentation_state(annotations, header, algorithm, states[-1])
    return [report, capture, *states]


def describe_algorithm(record: Mapping[str, Any]) -> Algorithm:
    """The observer, with what its weights are for in its name: it stands in every list of a PACS."""
    weights = record["weights"]
    name = f"MMBCD, {purpose_note(record)}".rstrip(", ")
    return Algorithm(name, read_version(__file__), weights["sha256"], str(weights["name"]))


def list_findings(record: Mapping[str, Any], headers: Sequence[Dataset]) -> Iterator[Finding]:
    """Study, breasts, views, regions."""
    images = list(zip(record["images"], headers, strict=True))
    yield _assess("study", record["study"], headers, None)
    for row in record["breasts"]:
        own = [header for image, header in images if image["laterality"] == row["laterality"]]
        site = concepts.BREASTS[row["laterality"]]
        yield _assess(f"{row['laterality']} breast", row, own, site)
    for row, header in images:
        site = concepts.BREASTS[row["laterality"]]
        yield _assess(row["name"], row, [header], site)
        yield from (_locate(row, region, header, site) for region in row["regions"])


def _assess(label: str, row: Mapping[str, Any], headers: Sequence[Dataset], site: Site | None) -> Finding:
    amounts = [
        Amount(name, round(factor * row[key], 4), unit)
        for name, key, factor, unit in (
            (concepts.PROBABILITY, "probability", 100, concepts.PERCENT),
            (concepts.SCORE, "score", 1, concepts.NO_UNITS),
            (concepts.IMAGE_ONLY, "image_only_score", 1, concepts.NO_UNITS),
        )
        if row[key] is not None
    ]
    answers = [(concepts.HISTORY_USE, concepts.HISTORY_USES[row["history"]])]
    if row["suspicious"] is not None:
        answers.append((concepts.SUSPICIOUS, concepts.YES if row["suspicious"] else concepts.NO))
    return Finding(label, concepts.ASSESSMENT, headers, site, None, amounts, answers)


def _locate(row: Mapping[str, Any], region: Mapping[str, Any], header: Dataset, site: Site) -> Finding:
    amounts = [
        Amount(concepts.ATTENTION, round(100 * region["attention"], 2), concepts.PERCENT),
        Amount(concepts.DETECTOR, round(region["detector_score"], 4), concepts.NO_UNITS),
    ]
    label = f"{row['name']} region {region['rank']}"
    return Finding(label, concepts.REGION, [header], site, tuple(region["box_px"]), amounts)


def list_statements(record: Mapping[str, Any]) -> Iterator[Statement]:
    """The result in words; the history's text only where the record has it."""
    note = purpose_note(record)
    if note:
        yield Statement(concepts.COMMENT, f"{note[:1].upper()}{note[1:]}.")
    yield Statement(concepts.SUMMARY, " ".join([f"{headline(record)}.", *describe_result(record)]))
    if record["history"].get("text"):
        yield Statement(concepts.HISTORY, record["history"]["text"])
    rules = [*describe_rules(record), describe_shares(record["settings"]["attention"])]
    yield Statement(concepts.COMMENT, " ".join(rules))


def describe_annotations(row: Mapping[str, Any], number: int, note: str) -> Annotations:
    """What the presentation state of one view shows; its words stand on the side of the air."""
    marks = [
        Mark(tuple(region["box_px"]), name_region(region), "HIGHEST" if region["rank"] == 1 else "REGIONS")
        for region in row["regions"]
    ]
    corner = "left" if row["laterality"] == "R" else "right"
    lines = [f"MMBCD {title_view(row)}", *([note] if note else [])]
    return Annotations(marks, LAYERS, lines, corner, "MMBCD_REGIONS", number)
