"""Patients to training, validation and test: drawn from a seed, or as a file says."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from common.errors import ConfigError, InputError

PARTS = ("training", "validation", "test")
_ALIASES = {"train": "training", "val": "validation", "valid": "validation"}


def read_fractions(text: str) -> tuple[float, float, float]:
    """ "0.7,0.15,0.15" as shares of training, validation and test. Raises ConfigError."""
    try:
        shares = [float(part) for part in text.split(",")]
    except ValueError:
        shares = []
    if len(shares) != 3 or min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
        raise ConfigError(f"fractions: expected three shares with sum 1, got '{text}': try 0.7,0.15,0.15")
    return shares[0], shares[1], shares[2]


def draw_parts(patients: Iterable[str], fractions: Sequence[float], seed: int) -> dict[str, str]:
    """Patient -> part; the same seed and patients give the same parts, whatever their order.

    No part with a share stays empty while another has two patients.
    """
    ordered = sorted(set(patients))
    sizes = np.diff(np.rint(np.cumsum((0, *fractions)) * len(ordered)).astype(int))
    for part in np.flatnonzero((sizes == 0) & (np.array(fractions) > 0)):
        if sizes.max() > 1:
            sizes[sizes.argmax()] -= 1
            sizes[part] += 1
    parts = np.random.default_rng([seed, 5]).permutation(np.repeat(PARTS, sizes))
    return {patient: str(part) for patient, part in zip(ordered, parts, strict=True)}


def read_parts(path: Path) -> dict[str, str]:
    """Name -> part of a CSV with the columns `name` (case or patient) and `part`.

    Raises:
        InputError: not such a file, an unknown part, or a name with two.
    """
    if not path.is_file():
        raise InputError(f"{path.name}: expected a CSV of the split, got no such file: correct --split")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows or not {"name", "part"} <= set(rows[0]):
        raise InputError(f"{path.name}: expected the columns name and part, got others: add the header line")
    parts: dict[str, str] = {}
    for row in rows:
        part = normal_part(row["part"])
        if part is None:
            raise InputError(f"{path.name}: expected {', '.join(PARTS)}, got '{row['part']}': correct it")
        if parts.setdefault(row["name"], part) != part:
            raise InputError(
                f"{path.name}: expected one part for each name, got two for one: remove one line"
            )
    return parts


def normal_part(text: str) -> str | None:
    """ "train" -> "training"; None for what is no part."""
    lower = text.strip().lower()
    lower = _ALIASES.get(lower, lower)
    return lower if lower in PARTS else None
