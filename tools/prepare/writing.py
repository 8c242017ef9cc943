"""The datalist of what a layout found: split by patient, checked before it gets its name."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.errors import ConfigError, InputError
from common.io.files import atomic_path
from common.training.datalist import check_apart
from ksam.datalist import load_datalist

from .entries import Collected, Entry
from .split import PARTS, draw_parts, read_fractions, read_parts


@dataclass(frozen=True)
class Split:
    """How patients are divided.

    Attributes:
        source: "auto" (as the data set says, else random), "random", or the path of a CSV.
        fractions: shares of a random split, as text.
        seed: of a random split.
        patient: regular expression whose first group in a case's name is the patient; None: the layout's.
    """

    source: str
    fractions: str
    seed: int
    patient: str | None

    def patients(self, entries: list[Entry]) -> list[str]:
        """Patient of each case. Raises ConfigError: no expression, or one that does not fit a name."""
        if self.patient is None:
            return [entry.patient for entry in entries]
        try:
            found = [re.search(self.patient, entry.name) for entry in entries]
            return [match[1] for match in found if match] if all(found) else []
        except (re.error, IndexError) as error:
            raise ConfigError(
                f"patient: expected a regular expression with one group, got '{self.patient}': try '^(.+?)_'"
            ) from error

    def parts(self, entries: list[Entry], patients: list[str]) -> list[str]:
        """Part of each case. Raises BundleError."""
        if self.source not in ("auto", "random"):
            given = read_parts(Path(self.source))
            return [
                _given_part(given, entry, patient) for entry, patient in zip(entries, patients, strict=True)
            ]
        own = [entry.part for entry in entries]
        if self.source == "auto" and all(own):
            return [str(part) for part in own]
        drawn = draw_parts(patients, read_fractions(self.fractions), self.seed)
        return [drawn[patient] for patient in patients]


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
    if len(patients) < len(entries):
        raise ConfigError(f"patient: expected a match in every name, got '{split.patient}': correct it")
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


def _given_part(given: Mapping[str, str], entry: Entry, patient: str) -> str:
    part = given.get(entry.name, given.get(patient))
    if part is None:
        raise InputError(f"split: expected a part for {entry.name}, got none: add a line to the CSV")
    return part


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
        case = {"image": _relative(files[0], path), "label": _relative(files[1], path), "patient": patient}
        content[part].append(case if entry.series is None else {**case, "series": entry.series})
    if not any(content[part] for part in PARTS):
        raise InputError(
            f"{path.name}: expected cases with {', '.join(s['name'] for s in collected.structures)}, got "
            "none: correct --structures, --labels or --rename"
        )
    return content, left_out


def _relative(file: Path, datalist: Path) -> str:
    return Path(os.path.relpath(file.resolve(), datalist.parent.resolve())).as_posix()


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
