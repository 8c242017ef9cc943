"""A datalist: which mammograms and patients belong to training, validation and test.

    {"name": "...", "licence": "...", "history": "real" or "synthetic",
     "training": [{"image": path, "patient": id, "study": id, "laterality": "L" or "R", "view": "CC",
                   "malignant": 0 or 1, "boxes": [[x0, y0, x1, y1], ...] or null, "history": "..." or null,
                   "age": years or null, "density": "A".."D" or null, "vendor": "..." or null}, ...],
     "validation": [...], "test": [...]}

Paths are relative to the JSON. Boxes are lesions in pixels of the whole picture; [] says that there are none,
null that nobody drew any. The history is the patient's, the same for both breasts: what concerns a breast is
found by `laterality`, at training as at inference. `malignant` is of this breast.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from common.errors import ConfigError, InputError
from common.io.mammogram import VIEWS, Mammogram, read_mammogram
from common.training.datalist import PARTS, check_apart, check_keys, read_datalist_json

HISTORIES = ("real", "synthetic")
DENSITIES = ("A", "B", "C", "D")
_KEYS = ("name", "licence", "history", *PARTS)
_NEEDED = ("image", "patient", "study", "laterality", "view", "malignant")
_OPTIONAL = ("boxes", "history", "age", "density", "vendor")

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Header:
    """What all images of a datalist share.

    Attributes:
        name: of the data set.
        licence: as its publishers state it.
        history: "real" or "synthetic" (templated, or of a phantom).
    """

    name: str
    licence: str
    history: str


@dataclass(frozen=True)
class Entry:
    """One mammogram with its truth, not yet read.

    Attributes:
        header: what it shares with the other images.
        image: DICOM file or picture.
        patient, study: pseudonyms.
        laterality: "L" or "R".
        view: "CC", "MLO", "ML", ...
        malignant: of this breast, proven as the data set says.
        boxes: lesions, x0, y0, x1, y1 in pixels of the whole picture; None where nobody drew any.
        history: of the patient; None where there is none. Not shown by repr.
        age: years. density: "A" to "D". vendor: of the device. Each None where unknown.
    """

    header: Header
    image: Path
    patient: str = field(repr=False)
    study: str = field(repr=False)
    laterality: str
    view: str
    malignant: bool
    boxes: tuple[Box, ...] | None = None
    history: str | None = field(default=None, repr=False)
    age: float | None = None
    density: str | None = None
    vendor: str | None = None

    @property
    def key(self) -> str:
        """What tells this image from every other."""
        return str(self.image)

    def read(self) -> Mammogram:
        """Decode it, side and view as the datalist says; a view of no known name is left open.

        Raises:
            InputError: see `read_mammogram`.
        """
        return read_mammogram(self.image, self.laterality, self.view if self.view in VIEWS else None)

    def with_history(self, history: str | None) -> Entry:
        """The same mammogram with another text."""
        return replace(self, history=history)


def load_datalist(path: str | Path, part: str) -> list[Entry]:
    """The images of one part of a datalist; all parts are checked, no image is read.

    Args:
        path: JSON as in the module's docstring.
        part: "training", "validation" or "test".

    Raises:
        ConfigError: an unknown part.
        InputError: not a datalist, a value outside its range, a missing file, an image listed twice, a
            patient in two parts, or no image in the part.
    """
    if part not in PARTS:
        raise ConfigError(f"part: expected one of {', '.join(PARTS)}, got '{part}': choose one")
    path = Path(path)
    content = read_datalist_json(path, _KEYS)
    header = _read_header(content, path.name)
    entries = {name: _read_part(content.get(name, []), header, path, name) for name in PARTS}
    check_apart({name: [(e.key, e.patient) for e in entries[name]] for name in PARTS}, path.name)
    if not entries[part]:
        raise InputError(f"{path.name}: expected images under '{part}', got none: take another part")
    return entries[part]


def check_both_classes(entries: list[Entry], what: str) -> None:
    """Raises InputError: all of them malignant, or none."""
    malignant = sum(entry.malignant for entry in entries)
    if not 0 < malignant < len(entries):
        raise InputError(
            f"{what}: expected malignant and other images, got {malignant} malignant of {len(entries)}: "
            "split the patients anew"
        )


def _read_header(content: Mapping[str, Any], name: str) -> Header:
    for key in ("name", "licence"):
        if not isinstance(content.get(key), str) or not content[key]:
            raise InputError(f"{name}: expected a text under '{key}', got {content.get(key)!r}: complete it")
    if content.get("history") not in HISTORIES:
        raise InputError(
            f"{name}: expected history real or synthetic, got {content.get('history')!r}: templated texts "
            "are synthetic"
        )
    return Header(content["name"], content["licence"], content["history"])


def _read_part(entries: Any, header: Header, path: Path, part: str) -> list[Entry]:
    if not isinstance(entries, list):
        raise InputError(
            f"{path.name}: expected a list under '{part}', got {type(entries).__name__}: correct it"
        )
    return [_read_entry(entry, header, path, f"{part} {n}") for n, entry in enumerate(entries, 1)]


def _read_entry(entry: Any, header: Header, path: Path, place: str) -> Entry:
    missing = [key for key in _NEEDED if not isinstance(entry, dict) or entry.get(key) in (None, "")]
    if missing:
        raise InputError(
            f"{path.name}: expected {', '.join(_NEEDED)} of each image, got {place} without "
            f"{', '.join(missing)}: complete it"
        )
    check_keys(entry, (*_NEEDED, *_OPTIONAL), path.name)
    image = (path.parent / str(entry["image"])).resolve()
    if not image.is_file():
        raise InputError(f"{path.name}: expected the image of {place}, got no such file: correct the path")
    _check_values(entry, f"{path.name}, {place}")
    boxes = entry.get("boxes")
    return Entry(
        header,
        image,
        str(entry["patient"]),
        str(entry["study"]),
        entry["laterality"],
        str(entry["view"]).upper(),
        bool(entry["malignant"]),
        None if boxes is None else tuple((float(a), float(b), float(c), float(d)) for a, b, c, d in boxes),
        entry.get("history") or None,
        entry.get("age"),
        entry.get("density"),
        entry.get("vendor"),
    )


def _check_values(entry: Mapping[str, Any], place: str) -> None:
    """Raises InputError; the history itself never reaches a message."""
    if entry["laterality"] not in ("L", "R"):
        raise InputError(f"{place}: expected laterality L or R, got {entry['laterality']!r}: correct it")
    if entry["malignant"] not in (0, 1):
        raise InputError(f"{place}: expected malignant 0 or 1, got {entry['malignant']!r}: correct it")
    if not isinstance(entry.get("history"), (str, type(None))):
        raise InputError(f"{place}: expected history as a text or null, got another type: correct it")
    if entry.get("density") not in (*DENSITIES, None):
        raise InputError(f"{place}: expected density A to D or null, got {entry['density']!r}: correct it")
    if entry.get("age") is not None and not (_is_number(entry["age"]) and 0 < entry["age"] < 130):
        raise InputError(f"{place}: expected age in years or null, got {entry['age']!r}: correct it")
    boxes = entry.get("boxes")
    if boxes is not None and not (isinstance(boxes, list) and all(map(_is_box, boxes))):
        raise InputError(
            f"{place}: expected boxes as [x0, y0, x1, y1] with x0 < x1 and y0 < y1, or null, got others: "
            "correct them"
        )


def _is_box(box: Any) -> bool:
    if not (isinstance(box, (list, tuple)) and len(box) == 4 and all(map(_is_number, box))):
        return False
    return bool(box[0] < box[2] and box[1] < box[3])


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
