"""CBIS-DDSM as TCIA gives it: DICOM folders by series name, and four tables of findings."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pydicom

from common.errors import InputError

from .mammo_entries import Box, Known, MammoEntry, MammoSet, need, to_density
from .mammo_tables import Row, read_rows

COLUMNS = ("patient_id", "left or right breast", "image view", "pathology", "image file path")
MASK = "ROI mask file path"


def collect_cbis_ddsm(source: Path) -> MammoSet:
    """*_case_description_{train,test}_set.csv and folders such as Mass-Training_P_00001_LEFT_CC.

    A picture is malignant where one of its findings is. Boxes are those of the masks of its malignant
    findings, of all findings where none is malignant. The official halves share patients, see `divide`.

    Raises:
        InputError: no table, or no picture of one.
    """
    folders = {path.name: path for path in source.rglob("*_P_*") if path.is_dir()}
    pictures: dict[str, list[Row]] = {}
    for table in sorted(source.rglob("*_case_description_*_set.csv")):
        part = "test" if "_test_" in table.name else "training"
        for row in read_rows(table, COLUMNS):
            key = row["image file path"].split("/")[0]
            pictures.setdefault(key, []).append({**row, "part": part})
    entries, left_out = [], Counter[str]()
    for name, rows in sorted(pictures.items()):
        image = _largest(folders.get(name))
        if image is None:
            left_out["no such picture"] += 1
        else:
            entries.append(_read(name, image, rows, folders))
    need(entries, source, "*_case_description_*_set.csv and its series folders")
    return MammoSet("CBIS-DDSM", "CC BY 3.0", entries, left_out)


def _read(name: str, image: Path, rows: Sequence[Row], folders: Mapping[str, Path]) -> MammoEntry:
    first = rows[0]
    malignant = [row for row in rows if row["pathology"].upper() == "MALIGNANT"]
    masks = [folders.get(row.get(MASK, "").split("/")[0]) for row in malignant or rows]
    return MammoEntry(
        name=name,
        image=image,
        patient=first["patient_id"],
        study=first["patient_id"],
        laterality=first["left or right breast"][:1].upper(),
        view=first["image view"].upper(),
        malignant=bool(malignant),
        known=Known(density=to_density(first.get("breast_density") or first.get("breast density"))),
        part=first["part"],
        find_boxes=functools.partial(_find_boxes, image, masks),
    )


def _largest(folder: Path | None) -> Path | None:
    """The file with the most pixels below a folder: the mask lies beside a crop, under changing names."""
    files = sorted(folder.rglob("*.dcm")) if folder else []
    return max(files, key=_pixels, default=None)


@functools.cache
def _size(path: Path) -> tuple[int, int]:
    header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["Rows", "Columns"], force=True)
    return int(header.get("Rows") or 0), int(header.get("Columns") or 0)


def _pixels(path: Path) -> int:
    rows, columns = _size(path)
    return rows * columns


def _find_boxes(image: Path, folders: Sequence[Path | None]) -> list[Box] | None:
    """Boxes of masks in pixels of the picture (some masks are a few pixels larger); None if one is missing.

    Raises:
        InputError: a mask cannot be read.
    """
    masks = [_largest(folder) for folder in folders]
    if any(mask is None for mask in masks):
        return None
    return [box for mask in masks if mask is not None for box in _box_of(mask, _size(image))]


def _box_of(mask: Path, size: tuple[int, int]) -> list[Box]:
    try:
        shown = pydicom.dcmread(mask).pixel_array > 0
    except Exception as error:  # decoders raise anything on damaged data
        raise InputError(f"{mask.name}: expected a mask, got unreadable data: download it again") from error
    rows, columns = (np.flatnonzero(shown.any(axis)) for axis in (1, 0))
    if not len(rows):
        return []
    y, x = size[0] / shown.shape[0], size[1] / shown.shape[1]
    return [(columns[0] * x, rows[0] * y, (columns[-1] + 1) * x, (rows[-1] + 1) * y)]
