"""What all cases of a datalist share: structures, modality, window. The keys are shown in `datalist`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import InputError

from .frame import CROPS

MODALITIES = ("CT", "picture")
_CODE_KEYS = {"scheme", "value", "meaning"}


@dataclass(frozen=True)
class LabelledStructure:
    """A structure as the label maps name it.

    Attributes:
        name: as in labels.json or the task.
        values: values of the label map inside it, its children's included.
        parent: name of the structure that contains it, None at the top.
        code: coded concept {"scheme", "value", "meaning"}, None where it has none.
        color: (r, g, b) 0..255, None where none is given.
    """

    name: str
    values: tuple[int, ...]
    parent: str | None
    code: Mapping[str, str] | None
    color: tuple[int, int, int] | None


@dataclass(frozen=True)
class Header:
    """What all cases of a datalist share.

    Attributes:
        name: of the data set.
        modality: "CT" or "picture".
        licence: of the images and labels.
        structures: parents before or after their children.
        background: values of the label map that belong to no structure.
        window_hu: (centre, width) in HU, None for pictures.
        crop: see `frame.build_frame`.
    """

    name: str
    modality: str
    licence: str
    structures: tuple[LabelledStructure, ...]
    background: tuple[int, ...]
    window_hu: tuple[float, float] | None
    crop: str


def read_header(content: Mapping[str, Any], name: str) -> Header:
    """The header of a datalist.

    Args:
        content: the JSON object.
        name: file name, for messages.

    Raises:
        InputError: an unknown modality or crop, no window for CT, or structures that contradict each other.
    """
    modality, crop = content.get("modality"), content.get("crop", "none")
    if modality not in MODALITIES:
        raise InputError(f"{name}: expected modality CT or picture, got '{modality}': correct it")
    if crop not in CROPS:
        raise InputError(f"{name}: expected crop {', '.join(CROPS)}, got '{crop}': correct it")
    structures = _read_structures(content.get("structures"), name)
    background = content.get("background", [0])
    used = {value for structure in structures for value in structure.values}
    if not _are_values(background) or used.intersection(background):
        raise InputError(
            f"{name}: expected as background a list of values of no structure, got {background}: correct it"
        )
    return Header(
        name=str(content.get("name", Path(name).stem)),
        modality=modality,
        licence=str(content.get("licence", "not stated")),
        structures=structures,
        background=tuple(background),
        window_hu=_read_window(content.get("window"), modality, name),
        crop=crop,
    )


def _read_window(window: Any, modality: str, name: str) -> tuple[float, float] | None:
    if modality == "picture" and window is None:
        return None
    try:
        centre_hu, width_hu = float(window["center_hu"]), float(window["width_hu"])
    except (TypeError, KeyError, ValueError):
        centre_hu, width_hu = 0.0, 0.0
    if modality == "picture" or not width_hu > 0 or not np.isfinite([centre_hu, width_hu]).all():
        raise InputError(
            f"{name}: expected a window with center_hu and width_hu > 0 for CT and null for pictures, got "
            f"{window}: center_hu 40, width_hu 400 is usual for the abdomen"
        )
    return centre_hu, width_hu


def _read_structures(entries: Any, name: str) -> tuple[LabelledStructure, ...]:
    if not isinstance(entries, list) or not entries:
        raise InputError(f"{name}: expected a list of structures, got {entries}: name at least one")
    structures = tuple(_read_structure(entry, name) for entry in entries)
    by_name = {structure.name: structure for structure in structures}
    if len(by_name) < len(structures):
        raise InputError(f"{name}: expected every structure once, got a name twice: rename one")
    for structure in structures:
        _check_parent(structure, by_name, name)
    for a, b in combinations(structures, 2):
        shared = sorted(set(a.values) & set(b.values))
        if shared and a.name not in _ancestors(b, by_name) and b.name not in _ancestors(a, by_name):
            raise InputError(
                f"{name}: expected values of one structure, got {shared} in {a.name} and {b.name}: name one "
                "of them as parent of the other"
            )
    return structures


def _read_structure(entry: Any, name: str) -> LabelledStructure:
    values = entry.get("values") if isinstance(entry, dict) else None
    if not isinstance(entry, dict) or not entry.get("name") or not values or not _are_values(values):
        raise InputError(
            f"{name}: expected structures with a name and a list of label values, got {entry}: for example "
            '{"name": "disc", "values": [1, 2]}'
        )
    color = entry.get("color")
    if color is not None and (len(color) != 3 or not _are_values(color) or max(color) > 255):
        raise InputError(f"{name}: expected a colour as three numbers 0..255, got {color}: correct it")
    code = entry.get("code")
    if code is not None and (not isinstance(code, dict) or set(code) != _CODE_KEYS):
        raise InputError(f"{name}: expected a code with scheme, value and meaning, got {code}: correct it")
    return LabelledStructure(
        name=str(entry["name"]),
        values=tuple(values),
        parent=entry.get("parent"),
        code=code,
        color=None if color is None else (color[0], color[1], color[2]),
    )


def _check_parent(structure: LabelledStructure, by_name: dict[str, LabelledStructure], name: str) -> None:
    if structure.parent is None:
        return
    parent = by_name.get(structure.parent)
    if parent is None:
        raise InputError(
            f"{name}: expected a known parent, got '{structure.parent}': correct {structure.name}"
        )
    if structure.name in _ancestors(structure, by_name):
        raise InputError(f"{name}: expected a hierarchy, got {structure.name} inside itself: correct parent")
    if not set(structure.values) < set(parent.values):
        raise InputError(
            f"{name}: expected the values of {structure.name} among those of its parent {parent.name}, got "
            f"{list(structure.values)} and {list(parent.values)}: the parent's mask includes its children"
        )


def _ancestors(structure: LabelledStructure, by_name: dict[str, LabelledStructure]) -> set[str]:
    found: set[str] = set()
    parent = structure.parent
    while parent is not None and parent in by_name and parent not in found:
        found.add(parent)
        parent = by_name[parent].parent
    return found


def _are_values(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int and value >= 0 for value in values)
