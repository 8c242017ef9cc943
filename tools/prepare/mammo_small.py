"""Two small sets: INbreast (full-field digital, outlines) and mini-MIAS (scanned film, circles)."""

from __future__ import annotations

import functools
import plistlib
import re
from collections import Counter
from pathlib import Path
from xml.parsers.expat import ExpatError

from PIL import Image

from common.errors import InputError
from common.io.files import atomic_path, write_json

from .mammo_entries import Box, Known, MammoEntry, MammoSet, need, to_density
from .mammo_tables import Row, find_table, read_rows

INBREAST = ("Laterality", "View", "File Name", "ACR", "Bi-Rads")
LESIONS = ("mass", "cluster", "distortion", "asymmetry", "assymetry", "spiculated region")
"""Outlines of INbreast that are lesions; single calcifications and the pectoral muscle are not."""
SUSPICIOUS = 4

MIAS_SIZE_PX, MIAS_SPACING_MM = 1024, 0.2
_MIAS = re.compile(
    r"(mdb(\d{3}))\S*[ \t]+([FGD])[ \t]+(\w+)(?:[ \t]+([BM]))?(?:[ \t]+(\d+)[ \t]+(\d+)[ \t]+(\d+))?"
)
_MIAS_DENSITY = {"F": "A", "G": "B", "D": "C"}
"""Fatty, fatty-glandular, dense-glandular: three classes on the scale of four (choice: the nearest)."""


def collect_inbreast(source: Path) -> MammoSet:
    """INbreast.csv, AllDICOMs/NUMBER_PATIENT_MG_SIDE_VIEW_ANON.dcm and AllXML/NUMBER.xml.

    A breast counts as malignant from BI-RADS 4 on (choice: the table has no pathology).

    Raises:
        InputError: no table, a missing column, outlines that cannot be read, or no picture.
    """
    files = {path.name.split("_")[0]: path for path in source.rglob("*_MG_*.dcm")}
    outlines = {path.stem: path for path in source.rglob("*.xml")}
    entries, left_out = [], Counter[str]()
    for row in read_rows(find_table(source, "INbreast.csv"), INBREAST, ";"):
        image = files.get(row["File Name"])
        if image is None:
            left_out["no such picture"] += 1
        else:
            entries.append(_read_inbreast(row, image, outlines.get(row["File Name"])))
    need(entries, source, "AllDICOMs/*_MG_*.dcm")
    return MammoSet("INbreast", "INbreast: research use on request", entries, left_out)


def _read_inbreast(row: Row, image: Path, outline: Path | None) -> MammoEntry:
    birads = re.match(r"\d", row["Bi-Rads"])
    patient = image.name.split("_")[1]
    return MammoEntry(
        name=row["File Name"],
        image=image,
        patient=patient,
        study=f"{patient}-{row.get('Acquisition date', '')}",
        laterality=row["Laterality"].upper(),
        view=row["View"].upper(),
        malignant=bool(birads) and int(row["Bi-Rads"][0]) >= SUSPICIOUS,
        boxes=read_outlines(outline) if outline else [],
        known=Known(density=to_density(row["ACR"])),
        vendor="Siemens",  # all of the set, by its publication
    )


def read_outlines(path: Path) -> list[Box]:
    """Boxes around the lesions that were outlined. Raises InputError: not such a file."""
    try:
        rois = plistlib.loads(path.read_bytes())["Images"][0]["ROIs"]
        shapes = [
            [tuple(float(n) for n in point.strip("() ").split(",")) for point in roi["Point_px"]]
            for roi in rois
            if str(roi.get("Name", "")).strip().lower() in LESIONS
        ]
    except (ExpatError, plistlib.InvalidFileException, LookupError, TypeError, ValueError) as error:
        raise InputError(
            f"{path.name}: expected outlines of INbreast, got other data: download it again"
        ) from error
    boxes = []
    for shape in shapes:
        x, y = zip(*shape, strict=True)
        if max(x) > min(x) and max(y) > min(y):
            boxes.append((min(x), min(y), max(x), max(y)))
    return boxes


def collect_mias(source: Path) -> MammoSet:
    """mini-MIAS: Info.txt and mdb001.pgm ...; even numbers are left breasts, pairs are patients, all are MLO.

    The table's centres count from the left and from the lower edge of 1024 x 1024 pixels of 0.2 mm. The
    pictures become PNG files with sidecars, in one folder for each patient, beside the datalist.

    Raises:
        InputError: no Info.txt, or no picture.
    """
    text = find_table(source, "Info.txt", "info.txt").read_text(encoding="latin-1")
    found: dict[str, list[re.Match[str]]] = {}
    for match in _MIAS.finditer(text):
        found.setdefault(match[1], []).append(match)
    entries, left_out = [], Counter[str]()
    for name, rows in sorted(found.items()):
        image = next(iter(sorted(source.rglob(f"{name}*.pgm"))), None)
        if image is None:
            left_out["no such picture"] += 1
        else:
            entries.append(_read_mias(name, image, rows))
    need(entries, source, "mdb001.pgm ...")
    return MammoSet("mini-MIAS", "MIAS: research use, see its licence agreement", entries, left_out)


def _read_mias(name: str, image: Path, rows: list[re.Match[str]]) -> MammoEntry:
    number = int(rows[0][2])
    patient, side = f"mias{(number + 1) // 2:03d}", "R" if number % 2 else "L"
    abnormal = [row for row in rows if row[4] != "NORM"]
    chosen = [row for row in abnormal if row[5] == "M"] or abnormal
    placed = all(row[6] for row in chosen)
    return MammoEntry(
        name=name,
        image=image,
        patient=patient,
        study=patient,
        laterality=side,
        view="MLO",
        malignant=any(row[5] == "M" for row in abnormal),
        boxes=[_circle(row) for row in chosen] if placed else None,
        known=Known(density=_MIAS_DENSITY[rows[0][3]]),
        make=functools.partial(_convert, image, name, side, patient),
    )


def _circle(row: re.Match[str]) -> Box:
    """The box around a circle, in pixels from the upper left corner."""
    x, y, radius = (float(row[group]) for group in (6, 7, 8))
    top = MIAS_SIZE_PX - y
    return x - radius, top - radius, x + radius, top + radius


def _convert(image: Path, name: str, side: str, patient: str, folder: Path) -> Path:
    """PGM -> PNG with the sidecar that reading wants. Raises InputError, OutputError."""
    grey = _read_pgm(image)
    target = folder / patient / f"{name}.png"
    with atomic_path(target) as temporary:
        grey.save(temporary)
    spacing = [MIAS_SPACING_MM, MIAS_SPACING_MM]
    stated = {"laterality": side, "view": "MLO", "spacing_mm": spacing, "patient": patient, "study": patient}
    write_json(target.with_suffix(".json"), stated)
    return target


def _read_pgm(image: Path) -> Image.Image:
    """Raises InputError: no picture, or not one of mini-MIAS, to which the table's numbers belong."""
    try:
        with Image.open(image) as opened:
            opened.load()
            mode, size = opened.mode, opened.size
            grey = opened.copy()
    except (OSError, ValueError) as error:
        raise InputError(
            f"{image.name}: expected a PGM picture, got other data: download it again"
        ) from error
    if mode != "L" or size != (MIAS_SIZE_PX, MIAS_SIZE_PX):
        raise InputError(
            f"{image.name}: expected {MIAS_SIZE_PX}x{MIAS_SIZE_PX} pixels of 8 bits, as mini-MIAS has, got "
            f"{size[0]}x{size[1]} of mode {mode}: take mini-MIAS, its table counts in these pixels"
        )
    return grey
