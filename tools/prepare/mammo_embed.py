"""EMBED's open part: a table of images, a table of findings, DICOM files in cohort folders."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from .mammo_entries import Box, Known, MammoEntry, MammoSet, need, to_age, to_density
from .mammo_tables import Row, find_table, read_rows

IMAGES = (
    "empi_anon",
    "acc_anon",
    "anon_dicom_path",
    "FinalImageType",
    "ImageLateralityFinal",
    "ViewPosition",
)
FINDINGS = ("empi_anon", "acc_anon", "side", "asses", "path_severity")
CANCER = (0, 1)
"""path_severity: 0 invasive cancer, 1 non-invasive cancer."""
NOT_CANCER = (2, 3, 4, 5)
"""High-risk lesion, borderline, benign, negative; 6 is a cancer that is not of the breast."""


def collect_embed(source: Path) -> MammoSet:
    """EMBED_OpenData_metadata*.csv and EMBED_OpenData_clinical*.csv, anywhere below; 2-D pictures only.

    A breast is malignant where a biopsy of it found cancer. It is not where a biopsy found none, or without a
    biopsy where all its assessments are negative or benign; others are left out, their truth is unknown.

    Raises:
        InputError: a missing table or column, or no picture.
    """
    findings = defaultdict(list)
    for row in read_rows(find_table(source, "EMBED_OpenData_clinical*.csv"), FINDINGS):
        findings[row["acc_anon"]].append(row)
    entries, left_out = [], Counter[str]()
    for row in read_rows(find_table(source, "EMBED_OpenData_metadata*.csv"), IMAGES):
        image = _find_image(source, row["anon_dicom_path"])
        own = _of_side(findings[row["acc_anon"]], row["ImageLateralityFinal"])
        truth = find_truth(own)
        reason = _find_reason(row, image, truth)
        if reason or image is None or truth is None:
            left_out[reason] += 1
        else:
            entries.append(_read(row, image, own, truth))
    need(entries, source, "the DICOM files that EMBED_OpenData_metadata.csv names")
    return MammoSet("EMBED", "EMBED open data: see its licence", entries, left_out)


def find_truth(findings: Sequence[Row]) -> bool | None:
    """Whether a breast is malignant by its findings; None where nobody knows."""
    severities = [int(float(row["path_severity"])) for row in findings if row["path_severity"]]
    if any(value in CANCER for value in severities):
        return True
    if severities:
        return False if all(value in NOT_CANCER for value in severities) else None
    assessed = {row["asses"].upper() for row in findings}
    return False if assessed and assessed <= {"N", "B"} else None


def _find_reason(row: Row, image: Path | None, truth: bool | None) -> str:
    if row["FinalImageType"] != "2D" or row.get("spot_mag") in ("1", "1.0"):
        return "not a plain 2-D view"
    if row["ImageLateralityFinal"] not in ("L", "R") or not row["ViewPosition"]:
        return "side or view not stated"
    if truth is None:
        return "truth unknown"
    return "no such picture" if image is None else ""


def _of_side(findings: Sequence[Row], side: str) -> list[Row]:
    """Findings of a breast: `bside` is that of a biopsy; an empty side concerns both."""
    return [row for row in findings if (row.get("bside") or row["side"]) in (side, "B", "")]


def _find_image(source: Path, stored: str) -> Path | None:
    """The stored path belongs to another machine; its end from cohort_1 or cohort_2 on is the same here."""
    found = re.search(r"cohort_\d.*", stored)
    tail = found[0] if found else stored.lstrip("/")
    places = (source / tail, source / "images" / tail)
    return next((path for path in places if path.is_file()), None)


def _read(row: Row, image: Path, findings: Sequence[Row], malignant: bool) -> MammoEntry:
    first = findings[0]
    return MammoEntry(
        name=image.stem,
        image=image,
        patient=row["empi_anon"],
        study=row["acc_anon"],
        laterality=row["ImageLateralityFinal"],
        view=row["ViewPosition"],
        malignant=malignant,
        boxes=_boxes(row.get("ROI_coords", "")) or None,
        known=Known(
            age=to_age(first.get("age_at_study")),
            density=to_density(first.get("tissueden")),
            visit=_visit(first.get("desc", "")),
        ),
        vendor=row.get("Manufacturer") or None,
    )


def _visit(description: str) -> str | None:
    lower = description.lower()
    found = [visit for visit, word in (("screening", "screen"), ("diagnostic", "diag")) if word in lower]
    return found[0] if found else None


def _boxes(text: str) -> list[Box]:
    """((y0, x0, y1, x1), ...) as x0, y0, x1, y1; pictures without any say nothing about lesions."""
    numbers = [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", text)]
    rows = zip(*[iter(numbers)] * 4, strict=False)
    return [(x0, y0, x1, y1) for y0, x0, y1, x1 in rows if x1 > x0 and y1 > y0]
