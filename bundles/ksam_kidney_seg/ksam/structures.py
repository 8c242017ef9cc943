"""What is segmented: names, label values, coded concepts, colours, and which structure lies in which."""

from __future__ import annotations

import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import ConfigError

BACKGROUND = "background"
MAX_VALUE = 255
_CODE_KEYS = ("scheme", "value", "meaning")

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
class Code:
    """A coded concept; scheme "SCT" is SNOMED CT."""

    scheme: str
    value: str
    meaning: str


@dataclass(frozen=True)
class Structure:
    """One structure of a label map.

    Attributes:
        name: as written everywhere.
        value: in the label map, 1..255; 0 is the background.
        code: coded concept, None if none is known.
        color: RGB 0..255.
        parent: name of the structure that it is part of (the cup: the disc), which includes it.
    """

    name: str
    value: int
    code: Code | None
    color: tuple[int, int, int]
    parent: str | None = None


def structure_to_dict(structure: Structure) -> dict[str, Any]:
    """The row of a labels.json or task.json."""
    return {**asdict(structure), "color": list(structure.color)}


def structure_from_dict(row: Mapping[str, Any], source: str = "structures", place: int = 0) -> Structure:
    """A row {"name", "value", "code", "color", "parent"}; name and value are required.

    Args:
        row: as `structure_to_dict` writes it.
        source: file that it stands in, for the error.
        place: which colour of the palette it gets if it names none.

    Raises:
        ConfigError: a field is missing or of the wrong kind.
    """
    name, value, color = row.get("name"), row.get("value"), row.get("color")
    if not isinstance(name, str) or not name.strip():
        raise _wrong(source, "a name for every structure", repr(name))
    if type(value) is not int or not 1 <= value <= MAX_VALUE:
        raise _wrong(source, f"a whole value from 1 to {MAX_VALUE} for {name}", repr(value))
    color = PALETTE[place % len(PALETTE)] if color is None else color
    if not isinstance(color, (list, tuple)) or len(color) != 3 or not all(map(_is_byte, color)):
        raise _wrong(source, f"three numbers from 0 to 255 as the color of {name}", repr(color))
    code = _parse_code(row.get("code"), name, source)
    return Structure(name, value, code, (color[0], color[1], color[2]), row.get("parent"))


def _parse_code(code: Any, name: str, source: str) -> Code | None:
    if code is None:
        return None
    if not isinstance(code, Mapping) or set(code) != set(_CODE_KEYS) or not all(map(_is_text, code.values())):
        raise _wrong(source, f"null or scheme, value and meaning as the code of {name}", repr(code))
    return Code(**code)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_byte(value: Any) -> bool:
    return type(value) is int and 0 <= value <= 255


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
    """Rows of a labels.json as structures in order of value.

    Args:
        rows: as in `structure_from_dict`; a row named "background" or with value 0 is left out.
        source: file that they stand in, for the error.

    Raises:
        ConfigError: a row is incomplete, or `check_structures` refuses them.
    """
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise _wrong(source, "a list of structures", type(rows).__name__)
    kept = [row for row in rows if row.get("name") != BACKGROUND and row.get("value") != 0]
    structures = [structure_from_dict(row, source, place) for place, row in enumerate(kept)]
    check_structures(structures, source)
    return tuple(sorted(structures, key=lambda structure: structure.value))


def check_structures(structures: Sequence[Structure], source: str = "structures") -> None:
    """Structures that can stand in one label map.

    Raises:
        ConfigError: none, a value or name is taken twice, a parent is missing or circular.
    """
    if not structures:
        raise _wrong(source, "at least one structure", "none")
    names = [structure.name for structure in structures]
    values = [structure.value for structure in structures]
    if len(set(names)) != len(names):
        raise _wrong(source, "a name of its own for every structure", ", ".join(names))
    if len(set(values)) != len(values):
        raise _wrong(source, "a value of its own for every structure", ", ".join(map(str, values)))
    for structure in structures:
        if structure.parent is not None and structure.parent not in names:
            raise _wrong(source, f"a structure as the parent of {structure.name}", f"'{structure.parent}'")
    for structure in structures:
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


def keep_structures(known: Sequence[Structure], names: Container[str]) -> tuple[Structure, ...]:
    """Some of the structures; a parent that is not among them is forgotten."""
    kept = [structure for structure in known if structure.name in names]
    return tuple(replace(row, parent=row.parent if row.parent in names else None) for row in kept)


def mask_of(labels: np.ndarray, structure: Structure, structures: Sequence[Structure]) -> np.ndarray:
    """Mask (...) bool of a structure in a label map, its children included."""
    return np.isin(labels, values_of(structure, structures))


def values_of(structure: Structure, structures: Sequence[Structure]) -> list[int]:
    """Label values that belong to a structure: its own and its descendants'."""
    below = [values_of(structures[place], structures) for place in find_children(structure.name, structures)]
    return [structure.value, *(value for values in below for value in values)]
