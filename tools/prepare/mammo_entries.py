"""What a layout of mammograms finds: images with their truth and what is known before they are read."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.errors import InputError

Box = tuple[float, float, float, float]

DENSITIES = {"1": "A", "2": "B", "3": "C", "4": "D", "A": "A", "B": "B", "C": "C", "D": "D"}


@dataclass(frozen=True)
class Known:
    """What is known of a patient before the mammogram is read; nothing of what the reading found.

    Attributes:
        age: years.
        density: "A" to "D", as an earlier mammogram would have told.
        visit: "screening" or "diagnostic".
        symptoms: of the visit, as the data set states them.
        surgery: earlier surgery of the breasts, as the data set states it.
    """

    age: float | None = None
    density: str | None = None
    visit: str | None = None
    symptoms: str | None = None
    surgery: str | None = None


@dataclass(frozen=True)
class MammoEntry:
    """One mammogram.

    Attributes:
        name: unique among the images; files made for it are called so.
        image: DICOM file or picture.
        patient, study: pseudonyms.
        laterality: "L" or "R".
        view: "CC", "MLO", ...
        malignant: of this breast.
        boxes: lesions in pixels of the picture; None where nobody drew any.
        known: before reading.
        history: real text of the data set, None where it has none.
        vendor: of the device.
        part: "training" or "test" where the data set says so.
        make: writes a picture that the project reads into a folder and returns it, for formats that it does
            not read.
        find_boxes: reads the boxes where that means opening files; in place of `boxes`.
    """

    name: str
    image: Path
    patient: str
    study: str
    laterality: str
    view: str
    malignant: bool
    boxes: Sequence[Box] | None = None
    known: Known = field(default_factory=Known)
    history: str | None = field(default=None, repr=False)
    vendor: str | None = None
    part: str | None = None
    make: Callable[[Path], Path] | None = None
    find_boxes: Callable[[], Sequence[Box] | None] | None = None


@dataclass(frozen=True)
class MammoSet:
    """A data set.

    Attributes:
        name: of the data set.
        licence: as its publishers state it.
        entries: its images.
        left_out: why images were not taken -> how many.
    """

    name: str
    licence: str
    entries: Sequence[MammoEntry]
    left_out: Mapping[str, int] = field(default_factory=dict)


def need(entries: Sequence[MammoEntry], source: Path, wanted: str) -> None:
    """Refuse a folder in which a layout found nothing. Raises InputError."""
    if not entries:
        raise InputError(f"{source.name}: expected {wanted}, got none: is SOURCE the right folder?")


def to_density(text: Any) -> str | None:
    """ "DENSITY C", "3", "c" or 3.0 -> "C"; None for anything else."""
    found = re.search(r"([1-4A-D])(?:\.0)?\s*$", str(text or "").strip().upper())
    return DENSITIES[found[1]] if found else None


def to_age(text: Any) -> float | None:
    """ "053Y", "53", 53.0 -> 53.0; None where there is no sensible number."""
    found = re.match(r"\s*(\d{1,3}(?:\.\d+)?)", str(text or ""))
    age = float(found[1]) if found else 0.0
    return age if 0 < age < 120 else None
