"""The datalist of mammograms that a layout found: split by patient, checked before it gets its name."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from common.errors import InputError
from common.io.ct_types import StoredFile
from common.io.dicom_files import is_dicom
from common.io.files import atomic_path
from common.io.mammo_header import read_image
from common.training.datalist import PARTS, relative_to
from mmbcd.datalist import load_datalist

from .mammo_entries import MammoEntry, MammoSet
from .mammo_histories import template_history
from .split import Split, draw_parts, read_fractions


def leave_out(found: MammoSet) -> MammoSet:
    """Without the images that reading refuses (implants, magnified views, FOR PROCESSING, damaged headers).

    Headers are read, not pixels.
    """
    kept, reasons = [], Counter[str](found.left_out)
    for entry in tqdm(found.entries, "reading headers", leave=False):
        reason = find_refusal_of(entry.image)
        if reason:
            reasons[reason] += 1
        else:
            kept.append(entry)
    return replace(found, entries=kept, left_out=reasons)


def find_refusal_of(image: Path) -> str:
    """Why a DICOM file is not read; "" where it is, and for pictures."""
    file = StoredFile(image.name, str(image.parent), lambda: image.open("rb"))
    try:
        return read_image(file).reason if is_dicom(file) else ""
    except InputError:
        return "a damaged header"


def write(found: MammoSet, split: Split, path: Path, histories: str, seed: int) -> str:
    """Write a datalist and the files it needs.

    Args:
        found: by a layout.
        split: by patient.
        path: of the datalist.
        histories: "templated" writes them for a data set without texts, "none" leaves it without.
        seed: of the wording.

    Returns:
        One line: images, patients and malignant images of each part, and what was left out.

    Raises:
        BundleError: a patient on two sides, or anything that a datalist refuses.
        OutputError: cannot be written.
    """
    entries = sorted(found.entries, key=lambda entry: entry.name)
    patients = split.patients(entries)
    parts = divide(entries, patients, split)
    content: dict[str, Any] = {"name": found.name, "licence": found.licence, "history": _kind(entries)}
    content |= {part: [] for part in PARTS}
    folder = path.parent / f"{path.stem}_files"
    templated = histories == "templated" and content["history"] == "synthetic"
    rows = zip(entries, patients, parts, strict=True)
    for entry, patient, part in tqdm(rows, "images", total=len(entries), leave=False):
        text = entry.history
        if templated:
            text = template_history(entry.known, patient, seed)
        content[part].append(_describe(entry, patient, text, folder, path))
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        for part in PARTS:
            if content[part]:
                load_datalist(temporary, part)
    return _sentence(content, found, path)


def divide(entries: Sequence[MammoEntry], patients: Sequence[str], split: Split) -> list[str]:
    """Part of each image.

    With "auto" and a data set that names its test images, these patients are the test part; those that stand
    in both of its halves (CBIS-DDSM has such) are training patients, so that no test patient was seen. What
    the data set has no part for, the validation, is drawn from the training patients.
    """
    official = [entry.part for entry in entries]
    if split.source != "auto" or "test" not in official:
        return split.parts(entries, list(patients))
    seen = {patient for patient, part in zip(patients, official, strict=True) if part != "test"}
    tested = set(patients) - seen
    given = {patient: part for patient, part in zip(patients, official, strict=True) if part == "validation"}
    rest = seen - given.keys()
    shares = read_fractions(split.fractions)
    validation = 0.0 if given else shares[1] / max(shares[0] + shares[1], 1e-9)
    drawn = draw_parts(rest, (1 - validation, validation, 0.0), split.seed)
    drawn |= dict.fromkeys(given, "validation") | dict.fromkeys(tested, "test")
    return [drawn[patient] for patient in patients]


def _kind(entries: Sequence[MammoEntry]) -> str:
    """Real where the data set has texts of its own: then nothing is templated."""
    return "real" if any(entry.history for entry in entries) else "synthetic"


def _describe(
    entry: MammoEntry, patient: str, history: str | None, folder: Path, path: Path
) -> dict[str, Any]:
    image = entry.image if entry.make is None else entry.make(folder)
    boxes = entry.boxes if entry.find_boxes is None else entry.find_boxes()
    return {
        "image": relative_to(image, path),
        "patient": patient,
        "study": entry.study,
        "laterality": entry.laterality,
        "view": entry.view,
        "malignant": int(entry.malignant),
        "boxes": None if boxes is None else [[round(float(value), 1) for value in box] for box in boxes],
        "history": history,
        "age": entry.known.age,
        "density": entry.known.density,
        "vendor": entry.vendor,
    }


def _sentence(content: dict[str, Any], found: MammoSet, path: Path) -> str:
    counts = []
    for part in PARTS:
        rows = content[part]
        people = len({row["patient"] for row in rows})
        malignant = sum(row["malignant"] for row in rows)
        counts.append(f"{part} {len(rows)} images ({people} patients, {malignant} malignant)")
    texts = Counter(bool(row["history"]) for part in PARTS for row in content[part])
    counts.append(f"{texts[True]} with a {content['history']} history")
    counts += [f"{number} left out: {reason}" for reason, number in found.left_out.items() if number]
    return f"{path}: {', '.join(counts)}"
