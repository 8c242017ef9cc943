"""A slide's result as DICOM: Segmentation of the class map, and a Comprehensive SR with the verdict."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from common.io.slide_dicom import lies_on_slide
from common.report.dicom_object import DICOM_FOLDER
from common.report.dicom_sr import Amount, Finding, SegmentReference, Statement, write_measurement_report
from common.report.label_grid import LabelGrid
from common.report.provenance import CODING_SCHEME, Algorithm, read_version
from common.report.slide_seg import SlideClass, build_slide_class, write_slide_seg
from common.report.wording import capitalise, weights_note

from .classifier import Label
from .verdict import DECIDED, EQUIVALENT, NO_FIT, WIDEN
from .wording import ADVICE, MAP_WARNING, headline, name_scale

MICROMETER = Code("um", "UCUM", "micrometer")
VERDICT = Code("scale_verdict", CODING_SCHEME, "Verdict on the scale for this classifier")
DECISION = Code("decision", CODING_SCHEME, "Decision")
DECISIONS = {
    DECIDED: Code("decided", CODING_SCHEME, "Decided"),
    WIDEN: Code("widen", CODING_SCHEME, "Widen the search"),
    EQUIVALENT: Code("equivalent", CODING_SCHEME, "Scales equivalent"),
    NO_FIT: Code("no_fit", CODING_SCHEME, "Classifier does not fit this slide"),
}
PIXEL_SIZE = Code("pixel_size", CODING_SCHEME, "Pixel size to read the slide at")
MAGNIFICATION = Code("magnification", CODING_SCHEME, "Nominal magnification, 10 um by the pixel size")
DOWNSAMPLE = Code("downsample", CODING_SCHEME, "Pixels of the full resolution by one pixel read")
LOW = Code("interval_low", CODING_SCHEME, "Magnification, lower end of the 95% interval")
HIGH = Code("interval_high", CODING_SCHEME, "Magnification, upper end of the 95% interval")
POINTS = Code("points", CODING_SCHEME, "Points that voted")
VOTE = Code("vote_share", CODING_SCHEME, "Share of the points for the scale with most votes")
SHARE = Code("class_share", CODING_SCHEME, "Share of the area that was read")
NOTE = "The slide does not say where its pixels lie on the glass: no DICOM Segmentation was written."
logger = logging.getLogger(__name__)


def write_dicom(
    scale: Mapping[str, Any],
    grid: LabelGrid | None,
    labels: Sequence[Label],
    header: Dataset | None,
    output_dir: Path,
) -> list[Path]:
    """class_map_seg.dcm (with a map) and scale_sr.dcm, into `dicom/`; nothing for a slide that is not DICOM.

    Args:
        scale: content of scale.json.
        grid: the class map, None without one.
        labels: its classes.
        header: of the slide's largest level, None if it is not DICOM.
        output_dir: folder of the slide's results.

    Raises:
        InputError: headers that DICOM objects cannot follow.
        OutputError: a file cannot be written.
    """
    if header is None:
        return []
    algorithm, folder = describe_algorithm(scale["weights"], scale["classifier"]), output_dir / DICOM_FOLDER
    files, seg = [], None
    if grid is not None and lies_on_slide(header):
        files.append(folder / "class_map_seg.dcm")
        classes = [_to_class(label) for label in labels]
        write_slide_seg(grid.labels, classes, header, grid.cell_px, algorithm, files[0])
        seg = pydicom.dcmread(files[0], stop_before_pixels=True)
    findings = [describe_verdict(scale, header)]
    findings += [] if grid is None else list_classes(scale, grid, labels, header, seg)
    statements = list(list_statements(scale, grid is not None and seg is None))
    evidence = [header, *([seg] if seg else [])]
    report = folder / "scale_sr.dcm"
    procedure = codes.SCT.HistopathologyTest
    write_measurement_report(findings, statements, evidence, procedure, algorithm, report)
    return [*files, report]


def describe_algorithm(weights: Mapping[str, Any], classifier: Mapping[str, Any]) -> Algorithm:
    """What made it, with what its weights are for in its name: it stands in every list of a PACS."""
    name = f"WSI scale selector, {weights_note(weights)}".rstrip(", ")
    known = f"{weights['name']} {classifier['version']}"
    return Algorithm(name, read_version(__file__), weights["sha256"], known)


def _to_class(label: Label) -> SlideClass:
    code = label.code and (label.code["scheme"], label.code["value"], label.code["meaning"])
    return build_slide_class(label.name, label.color, code or None)


def describe_verdict(scale: Mapping[str, Any], header: Dataset) -> Finding:
    """The decision, the scale where there is one, its interval and the vote."""
    verdict, search, ends = scale["verdict"], scale["search"], scale["bootstrap"]
    amounts = _scale_amounts(verdict)
    for name, place in ((LOW, ends["low"]), (HIGH, ends["high"])):
        found = None if place is None else search["scales"][place]["magnification"]
        if found is not None:
            amounts.append(Amount(name, round(found, 4), codes.UCUM.NoUnits))
    amounts.append(Amount(POINTS, search["points_used"], codes.UCUM.NoUnits))
    amounts.append(Amount(VOTE, round(100 * scale["vote"]["share"], 2), codes.UCUM.Percent))
    answer = (DECISION, DECISIONS[verdict["decision"]])
    return Finding("scale", VERDICT, [header], None, None, amounts, [answer])


def _scale_amounts(verdict: Mapping[str, Any]) -> list[Amount]:
    """Pixel size, magnification, downsample: those that are known; none where no scale was decided."""
    rows = (
        (PIXEL_SIZE, verdict["mpp"], MICROMETER),
        (MAGNIFICATION, verdict["magnification"], codes.UCUM.NoUnits),
        (DOWNSAMPLE, verdict["downsample"], codes.UCUM.NoUnits),
    )
    return [Amount(name, round(value, 4), unit) for name, value, unit in rows if value is not None]


def list_classes(
    scale: Mapping[str, Any],
    grid: LabelGrid,
    labels: Sequence[Label],
    header: Dataset,
    seg: Dataset | None,
) -> Iterator[Finding]:
    """Share and area of every class, with its segment where there is something in it."""
    areas_px = grid.areas_px(len(labels))
    frames = {} if seg is None else find_frames(seg)
    for number, label in enumerate(labels, 1):
        amounts = [Amount(SHARE, _percent(areas_px, number - 1), codes.UCUM.Percent)]
        area_mm2 = scale["class_map"]["areas_mm2"][label.name]
        if area_mm2 is not None:
            amounts.append(Amount(codes.SCT.Area, round(area_mm2, 6), codes.UCUM.SquareMillimeter))
        kind = _to_class(label).code
        if seg is not None and areas_px[number - 1]:
            segment = SegmentReference(seg, number, header, frames[number])
            yield Finding(label.name, kind, (), None, None, amounts, (), segment)
        else:
            yield Finding(label.name, kind, [header], None, None, amounts)


def _percent(areas_px: np.ndarray, place: int) -> float:
    return round(100 * float(areas_px[place] / max(areas_px.sum(), 1)), 3)


def find_frames(seg: Dataset) -> dict[int, tuple[int, ...]]:
    """Numbers of the frames, from 1, by segment number."""
    found: defaultdict[int, tuple[int, ...]] = defaultdict(tuple)
    for frame, group in enumerate(seg.PerFrameFunctionalGroupsSequence, 1):
        found[int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber)] += (frame,)
    return found


def list_statements(scale: Mapping[str, Any], without_place: bool) -> Iterator[Statement]:
    """The verdict in words, its evidence, and what to think of the map."""
    note, decision = weights_note(scale["weights"]), scale["verdict"]["decision"]
    if note:
        yield Statement(codes.DCM.Comment, f"{capitalise(note)}.")
    yield Statement(codes.DCM.Summary, _ascii(f"{headline(scale['verdict'])}. {ADVICE[decision]}"))
    for sentence in scale["verdict"]["evidence"]:
        yield Statement(codes.DCM.Comment, sentence)
    if scale["class_map"] is None:
        return
    found = scale["class_map"]
    reason = f"The class map was read {name_scale(found)}; this scale is {found['reason']}."
    yield Statement(codes.DCM.Comment, _ascii(f"{reason} {MAP_WARNING[decision]}").rstrip())
    if without_place:
        logger.warning("%s", NOTE)
        yield Statement(codes.DCM.Comment, NOTE)


def _ascii(text: str) -> str:
    """Micrometres as every character set of a slide can write them."""
    return text.replace("\N{MICRO SIGN}", "u")
