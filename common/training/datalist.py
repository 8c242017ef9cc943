"""What every datalist has in common: three parts, each patient in one of them, patients known by a hash."""

from __future__ import annotations

import difflib
import hashlib
import json
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from ..errors import InputError

PARTS = ("training", "validation", "test")


def read_datalist_json(path: str | Path, keys: Collection[str]) -> dict[str, Any]:
    """The content of a datalist, not yet understood.

    Args:
        path: JSON.
        keys: that may stand at its top, the three parts among them.

    Raises:
        InputError: no such file, not a JSON object, or an unknown key.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path.name}: expected a datalist, got no such file: correct the path")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(
            f"{path.name}: expected a datalist in JSON, got other text: write it again"
        ) from error
    if not isinstance(content, dict):
        raise InputError(f"{path.name}: expected a JSON object, got {type(content).__name__}: see the README")
    check_keys(content, keys, path.name)
    return content


def check_keys(content: Mapping[str, Any], keys: Collection[str], name: str) -> None:
    """Refuse what no reader of this object knows.

    Raises:
        InputError: naming the nearest known key.
    """
    for key in content:
        if key not in keys:
            near = (difflib.get_close_matches(key, keys, 1) or ["one of " + ", ".join(keys)])[0]
            raise InputError(f"{name}: expected known keys, got '{key}': did you mean {near}?")


def check_apart(parts: Mapping[str, Collection[tuple[str, str]]], name: str) -> None:
    """Refuse parts that share an image or a patient.

    Args:
        parts: part -> (key of the image, patient) of its cases.
        name: of the datalist, for messages.

    Raises:
        InputError: how many images stand twice, or patients on two sides (no ids).
    """
    images = [image for entries in parts.values() for image, _ in entries]
    twice = len(images) - len(set(images))
    if twice:
        raise InputError(f"{name}: expected every image once, got {twice} listed again: remove them")
    sides: dict[str, set[str]] = {}
    for part, entries in parts.items():
        for _, patient in entries:
            sides.setdefault(patient, set()).add(part)
    mixed = sum(len(side) > 1 for side in sides.values())
    if mixed:
        raise InputError(
            f"{name}: expected every patient in one part, got {mixed} in several: move all images of a "
            "patient to one of training, validation, test"
        )


def hash_patient(patient: str) -> str:
    """A name that can be compared but not read: the first 16 hex digits of SHA-256."""
    return hashlib.sha256(patient.encode()).hexdigest()[:16]


def hash_file_text(path: str | Path) -> str:
    """The first 16 hex digits of a file's SHA-256; "missing" where there is none."""
    path = Path(path)
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path.is_file() else "missing"


def relative_to(file: Path, datalist: Path) -> str:
    """A path as a datalist names it: from the datalist's folder, with slashes."""
    return Path(os.path.relpath(file.resolve(), datalist.parent.resolve())).as_posix()
