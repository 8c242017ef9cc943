"""VinDr-Mammo as PhysioNet gives it: images/STUDY/IMAGE.dicom, tables of breasts and findings."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from pathlib import Path

from .mammo_entries import Box, Known, MammoEntry, MammoSet, need, to_age, to_density
from .mammo_tables import Row, find_table, read_rows
from .split import normal_part

BREASTS = (
    "study_id",
    "image_id",
    "laterality",
    "view_position",
    "breast_birads",
    "breast_density",
    "split",
)
CORNERS = ("xmin", "ymin", "xmax", "ymax")
SUSPICIOUS = 4


def collect_vindr(source: Path) -> MammoSet:
    """breast-level_annotations.csv, finding_annotations.csv and, where it is there, metadata.csv.

    The set has no pathology: a breast counts as malignant from BI-RADS 4 on (choice; results on it are about
    the readers' suspicion). A study is taken as a patient, as no patient is named. Boxes are findings of
    BI-RADS 4 and 5 in such breasts, all findings in others.

    Raises:
        InputError: a missing table or column, or no picture.
    """
    breasts = read_rows(find_table(source, "breast-level_annotations.csv"), BREASTS)
    findings = defaultdict(list)
    table = find_table(source, "finding_annotations.csv")
    for row in read_rows(table, ("image_id", "finding_birads", *CORNERS)):
        findings[row["image_id"]].append(row)
    about = _read_metadata(source)
    entries, left_out = [], Counter[str]()
    for row in breasts:
        image = source / "images" / row["study_id"] / f"{row['image_id']}.dicom"
        if not image.is_file():
            left_out["no such picture"] += 1
            continue
        entries.append(_read(row, image, findings[row["image_id"]], about.get(row["image_id"], {})))
    need(entries, source, "images/STUDY/IMAGE.dicom")
    return MammoSet("VinDr-Mammo", "PhysioNet Restricted Health Data License 1.5.0", entries, left_out)


def _read(row: Row, image: Path, findings: list[Row], about: Row) -> MammoEntry:
    malignant = _birads(row["breast_birads"]) >= SUSPICIOUS
    kept = [f for f in findings if not malignant or _birads(f["finding_birads"]) >= SUSPICIOUS]
    return MammoEntry(
        name=f"{row['study_id']}/{row['image_id']}",
        image=image,
        patient=row["study_id"],
        study=row["study_id"],
        laterality=row["laterality"],
        view=row["view_position"],
        malignant=malignant,
        boxes=[box for finding in kept for box in _box(finding)],
        known=Known(age=to_age(about.get("Patient's Age")), density=to_density(row["breast_density"])),
        vendor=about.get("Manufacturer") or about.get("Manufacturer's Model Name") or None,
        part=normal_part(row["split"]),
    )


def _birads(text: str) -> int:
    found = re.search(r"(\d)", text)
    return int(found[1]) if found else 0


def _box(finding: Row) -> list[Box]:
    """Empty for rows without a place ("No Finding")."""
    if not all(finding[corner] for corner in CORNERS):
        return []
    x0, y0, x1, y1 = (float(finding[corner]) for corner in CORNERS)
    return [(x0, y0, x1, y1)] if x1 > x0 and y1 > y0 else []


def _read_metadata(source: Path) -> dict[str, Row]:
    """Rows by SOP Instance UID, which is the image's name; empty where the table is not there."""
    path = source / "metadata.csv"
    rows = read_rows(path, ("SOP Instance UID",)) if path.is_file() else []
    return {row["SOP Instance UID"]: row for row in rows}
