"""CMMD as TCIA gives it: DICOM folders by patient and one table of biopsies."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pydicom
from pydicom.errors import InvalidDicomError

from common.errors import InputError
from common.io.mammo_types import UNKNOWN_VIEW
from common.io.mammo_views import read_laterality, read_view

from .mammo_entries import Known, MammoEntry, MammoSet, need, to_age
from .mammo_tables import find_table, read_rows

COLUMNS = ("ID1", "LeftRight", "Age", "classification")


def collect_cmmd(source: Path) -> MammoSet:
    """CMMD_clinicaldata_revision.xlsx (or .csv) and folders such as D1-0001 with DICOM files, anywhere below.

    Side and view stand in the headers only. Breasts without a row of their own have no biopsy and no
    follow-up: they are left out, not called benign (choice). Nobody drew boxes.

    Raises:
        InputError: no table, a missing column, a file that is no DICOM, or no picture.
    """
    table = find_table(source, "CMMD_clinicaldata*.csv", "CMMD_clinicaldata*.xlsx")
    rows = {(row["ID1"], row["LeftRight"].upper()): row for row in read_rows(table, COLUMNS)}
    folders = {path.name: path for path in source.rglob("D[12]-*") if path.is_dir()}
    entries, left_out = [], Counter[str]()
    for patient in sorted({patient for patient, _ in rows}):
        for file in sorted(folders[patient].rglob("*.dcm")) if patient in folders else []:
            header = _read_header(file)
            side, view = read_laterality(header), read_view(header)
            row = rows.get((patient, side))
            if row is None or view == UNKNOWN_VIEW:
                left_out["side without a biopsy, or view not stated"] += 1
                continue
            entries.append(
                MammoEntry(
                    name=file.relative_to(source).as_posix(),
                    image=file,
                    patient=patient,
                    study=f"{patient}-{header.get('StudyDate') or ''}",
                    laterality=side,
                    view=view,
                    malignant=row["classification"].lower() == "malignant",
                    known=Known(age=to_age(row["Age"])),
                    vendor=str(header.get("Manufacturer") or "") or None,
                )
            )
    need(entries, source, "folders such as D1-0001 with DICOM files")
    return MammoSet("CMMD", "CC BY 4.0", entries, left_out)


def _read_header(file: Path) -> pydicom.Dataset:
    try:
        return pydicom.dcmread(file, stop_before_pixels=True)
    except (InvalidDicomError, OSError) as error:
        raise InputError(f"{file.name}: expected a DICOM file, got other data: download it again") from error
