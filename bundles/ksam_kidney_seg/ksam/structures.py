"""What is segmented: names, label values, coded concepts, colours, and which structure lies in which."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import ConfigError

BACKGROUND = "background"
MAX_VALUE = 255
_CODE_KEYS = {"scheme", "value", "meaning"}

# Okabe and Ito's colours, best on grey first: for structures without a colour of their own
PALETTE = (
    (240, 228, 66),
    (86, 180, 233),
    (213, 94, 0),
    (0, 158, 115),
    (204, 121, 167),
    (0, 114, 178),
    (230, 159, 0),
)


@dataclass(frozen=True)
class Structure:
    """One structure of a label map.

    Attributes:
        name: as written everywhere.
        value: in the label map, 1..255; 0 is the background.
        code: coded concept {"scheme", "value", "meaning"} (SNOMED CT: scheme "SCT"), None if none is known.
        color: RGB 0..255.
        parent: name of the structure that it is part of (the cup: the disc), which includes it.
    """

    name: str
    value: int
    code: Mapping[str, str] | None
    color: tuple[int, int, int]
    parent: str | None = None

    def to_row(self) -> dict[str, Any]:
        """The row of a labels.json or task.json."""
        code = None if self.code is None else dict(self.code)
        row = {"value": self.value, "name": self.name, "code": code, "color": list(self.color)}
        return {**row, "parent": self.parent}


def read_structures(path: str | Path) -> tuple[Structure, ...]:
    """The structures of a labels.json, in order of value, without the background row.

    Raises:
        ConfigError: not readable, or rows that contradict each other.
    """
    path = Path(path)
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{path.name}: expected a readable JSON list of structures, got '{type(error).__name__}': "
            "correct the path or the file"
        ) from error
    return parse_structures(rows, path.name)


def parse_structures(rows: Any, source: str) -> tuple[Structure, ...]:
    """Rows {"value", "name", "code", "color", "parent"} as structures in order of value.

    Args:
        rows: `value` and `name` are required; a row named "background" or with value 0 is left out.
        source: file that they stand in, for the error.

    Raises:
        ConfigError: a row is incomplete, a value or name is taken twice, a parent is missing or circular.
    """
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise _wrong(source, "a list of structures", type(rows).__name__)
    kept = [row for row in rows if row.get("name") != BACKGROUND and row.get("value") != 0]
    structures = tuple(_parse_row(row, place, source) for place, row in enumerate(kept))
    _check_together(structures, source)
    return tuple(sorted(structures, key=lambda structure: structure.value))


def _parse_row(row: Mapping[str, Any], place: int, source: str) -> Structure:
    name, value = row.get("name"), row.get("value")
    if not isinstance(name, str) or not name.strip():
        raise _wrong(source, "a name for every structure", repr(name))
    if type(value) is not int or not 1 <= value <= MAX_VALUE:
        raise _wrong(source, f"a whole value from 1 to {MAX_VALUE} for {name}", repr(value))
    code = row.get("code")
    if code is not None and (not isinstance(code, Mapping) or set(code) != _CODE_KEYS):
        raise _wrong(source, f"null or scheme, value and meaning as the code of {name}", repr(code))
    color = row.get("color") or PALETTE[place % len(PALETTE)]
    if len(color) != 3 or not all(type(part) is int and 0 <= part <= 255 for part in color):
        raise _wrong(source, f"three numbers from 0 to 255 as the color of {name}", repr(color))
    return Structure(name, value, code, (color[0], color[1], color[2]), row.get("parent"))


def _check_together(structures: Sequence[Structure], source: str) -> None:
    if not structures:
        raise _wrong(source, "at least one structure", "none")
    names = [structure.name for structure in structures]
    for kind, found in (("name", names), ("value", [structure.value for structure in structures])):
        if len(set(found)) != len(found):
            raise _wrong(source, f"a {kind} of its own for every structure", f"{found}")
    for structure in structures:
        if structure.parent is not None and structure.parent not in names:
            raise _wrong(source, f"a structure as the parent of {structure.name}", f"'{structure.parent}'")
        find_depth(structure, structures)


def _wrong(source: str, expected: str, got: str) -> ConfigError:
    return ConfigError(f"{source}: expected {expected}, got {got}: correct the file")


def find_depth(structure: Structure, structures: Sequence[Structure]) -> int:
    """0 for a structure without parent, 1 for its children, ...

    Raises:
        ConfigError: a structure is its own ancestor.
    """
    parents = {row.name: row.parent for row in structures}
    depth, above = 0, structure.parent
    while above is not None:
        depth, above = depth + 1, parents[above]
        if depth > len(structures):
            raise _wrong("structures", f"a tree of parents above {structure.name}", "a circle")
    return depth


def find_children(parent: str | None, structures: Sequence[Structure]) -> tuple[int, ...]:
    """Positions of the structures directly under `parent`; None: those without a parent."""
    return tuple(place for place, structure in enumerate(structures) if structure.parent == parent)


def resolve_logits(logits: np.ndarray, structures: Sequence[Structure]) -> np.ndarray:
    """Logits -> one value per pixel: the deepest structure that it belongs to.

    Siblings exclude each other: the largest logit wins, and only if it is above the background's zero. A
    child is looked for inside its parent only.

    Args:
        logits: (n, ...) in the order of `structures`.
        structures: n of them.

    Returns:
        uint8 (...), label values.

    Raises:
        ConfigError: another number of logits than of structures.
    """
    if len(logits) != len(structures):
        raise ConfigError(
            f"expected logits of {len(structures)} structures, got {len(logits)}: "
            "use the task that the logits were made with"
        )
    labels = np.zeros(logits.shape[1:], dtype=np.uint8)
    _resolve_level(logits, structures, None, np.ones(labels.shape, dtype=bool), labels)
    return labels


def _resolve_level(
    logits: np.ndarray,
    structures: Sequence[Structure],
    parent: str | None,
    where: np.ndarray,
    labels: np.ndarray,
) -> None:
    places = find_children(parent, structures)
    if not places:
        return
    group = logits[list(places)]
    winner, inside = group.argmax(axis=0), where & (group.max(axis=0) > 0)
    for order, place in enumerate(places):
        mine = inside & (winner == order)
        labels[mine] = structures[place].value
        _resolve_level(logits, structures, structures[place].name, mine, labels)


def mask_of(labels: np.ndarray, structure: Structure, structures: Sequence[Structure]) -> np.ndarray:
    """Mask (...) bool of a structure in a label map, its children included."""
    return np.isin(labels, values_of(structure, structures))


def values_of(structure: Structure, structures: Sequence[Structure]) -> list[int]:
    """Label values that belong to a structure: its own and its descendants'."""
    below = [values_of(structures[place], structures) for place in find_children(structure.name, structures)]
    return [structure.value, *(value for values in below for value in values)]


def compose_labels(masks: Mapping[str, np.ndarray], structures: Sequence[Structure]) -> np.ndarray:
    """Masks of the structures -> uint8 label map with the deepest structure of each pixel.

    Args:
        masks: name -> bool (...), all of one shape, at least one.
        structures: those that may be in `masks`; where masks of one depth overlap, the later value stands.
    """
    shape = next(iter(masks.values())).shape
    labels = np.zeros(shape, dtype=np.uint8)
    for structure in sorted(structures, key=lambda row: (find_depth(row, structures), row.value)):
        if structure.name in masks:
            labels[masks[structure.name]] = structure.value
    return labels
