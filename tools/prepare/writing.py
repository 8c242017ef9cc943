"""The datalist of what a layout found: split by patient, checked before it gets its name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.errors import InputError
from common.io.files import atomic_path
from common.training.datalist import check_apart, relative_to
from ksam.datalist import load_datalist

from .entries import Collected, Entry
from .split import PARTS, Split


def write(collected: Collected, split: Split, path: Path) -> str:
    """Write a datalist and the files it needs.

    Returns:
        One line: cases and patients of each part.

    Raises:
        BundleError: a patient on two sides, or anything that a datalist refuses.
        OutputError: cannot be written.
    """
    entries = sorted(collected.entries, key=lambda entry: entry.name)
    patients = split.patients(entries)
    parts = split.parts(entries, patients)
    sides: dict[str, list[tuple[str, str]]] = {part: [] for part in PARTS}
    for entry, patient, part in zip(entries, patients, parts, strict=True):
        sides[part].append((f"{entry.image}#{entry.series}", patient))
    check_apart(sides, path.name)
    content, left_out = _content(collected, entries, patients, parts, path)
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        for part in PARTS:
            if content[part]:
                load_datalist(temporary, part)
    people = {part: len({case["patient"] for case in content[part]}) for part in PARTS}
    counts = (f"{part} {len(content[part])} ({people[part]} patients)" for part in PARTS)
    empty = f"; {left_out} left out: none of the structures in them" if left_out else ""
    return f"{path}: {', '.join(counts)}{empty}"


def _content(
    collected: Collected, entries: list[Entry], patients: list[str], parts: list[str], path: Path
) -> tuple[dict[str, Any], int]:
    """The datalist, and how many cases were left out."""
    content: dict[str, Any] = {
        "name": collected.name,
        "modality": collected.modality,
        "licence": collected.licence,
        "structures": list(collected.structures),
        "background": list(collected.background),
        "window": collected.window,
        "crop": "none",
        **{part: [] for part in PARTS},
    }
    folder, left_out = path.parent / f"{path.stem}_files", 0
    for entry, patient, part in zip(entries, patients, parts, strict=True):
        files = (entry.image, entry.label) if entry.make is None else entry.make(folder)
        if files is None or files[1] is None:
            left_out += 1
            continue
        case = {
            "image": relative_to(files[0], path),
            "label": relative_to(files[1], path),
            "patient": patient,
        }
        content[part].append(case if entry.series is None else {**case, "series": entry.series})
    if not any(content[part] for part in PARTS):
        raise InputError(
            f"{path.name}: expected cases with {', '.join(s['name'] for s in collected.structures)}, got "
            "none: correct --structures, --labels or --rename"
        )
    return content, left_out


def check_cases(path: Path) -> str:
    """Read every case; one line with the pixels of each structure. Raises InputError: see `ksam.datalist`."""
    content: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    counts = {structure["name"]: 0 for structure in content["structures"]}
    slices = 0
    for part in PARTS:
        for case in load_datalist(path, part) if content[part] else []:
            for labelled in case.slices():
                slices += 1
                for name, mask in labelled.masks.items():
                    counts[name] += int(mask.sum())
    found = ", ".join(f"{name} {count} px" for name, count in counts.items())
    return f"{path.name}: {slices} slices read; {found}"
