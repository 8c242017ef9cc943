"""The paper's own form: CSV files with UHID, text, cancer, im_path, and pictures named by side and view."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from common.errors import InputError

from .mammo_entries import MammoEntry, MammoSet, need
from .mammo_tables import Row, read_rows
from .split import normal_part

COLUMNS = ("UHID", "text", "cancer", "im_path")
_NAME = re.compile(r"(?:^|[_\-.])(L|R)[_\-]?(CC|MLO|ML|LM|XCCL)(?:$|[_\-.])", re.IGNORECASE)


def collect_paper(source: Path) -> MammoSet:
    """*.csv in a folder; im_path is relative to it, such as UHID2/UHID2_L_CC.png.

    A CSV called train, val or test is that part. The folder of a picture is its study. The text is the
    patient's and stays with both breasts: the column all_views_cancer, with which the released code blanks it
    for the healthy breast of a malignant patient, is not read.

    Raises:
        InputError: no CSV, a missing column, a label other than 0 and 1, or a picture named otherwise.
    """
    entries: list[MammoEntry] = []
    left_out: Counter[str] = Counter()
    for table in sorted(source.glob("*.csv")):
        for row in read_rows(table, COLUMNS):
            image = source / row["im_path"]
            if not image.is_file():
                left_out["no such picture"] += 1
                continue
            entries.append(_read(row, image, normal_part(table.stem.split("_")[0]), table.name))
    need(entries, source, f"CSV files with {', '.join(COLUMNS)} and their pictures")
    return MammoSet(source.name, "not stated", entries, left_out)


def _read(row: Row, image: Path, part: str | None, name: str) -> MammoEntry:
    found = _NAME.search(image.stem)
    if found is None:
        raise InputError(
            f"{name}: expected pictures named by side and view as ID_L_CC.png, got another name: rename it"
        )
    if row["cancer"] not in ("0", "1", "0.0", "1.0"):
        raise InputError(f"{name}: expected cancer 0 or 1, got '{row['cancer']}': correct it")
    return MammoEntry(
        name=row["im_path"],
        image=image,
        patient=row["UHID"],
        study=str(Path(row["im_path"]).parent),
        laterality=found[1].upper(),
        view=found[2].upper(),
        malignant=row["cancer"].startswith("1"),
        history=row["text"] or None,
        part=part,
    )
