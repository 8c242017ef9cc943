"""Patients to training, validation and test: drawn from a seed, or as a file says."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from common.errors import ConfigError, InputError
from common.training.datalist import PARTS

_ALIASES = {"train": "training", "val": "validation", "valid": "validation"}


class Named(Protocol):
    """What is divided: cases with a name, a patient, and the part that the data set itself gives them."""

    @property
    def name(self) -> str: ...

    @property
    def patient(self) -> str: ...

    @property
    def part(self) -> str | None: ...


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

    def patients(self, entries: Sequence[Named]) -> list[str]:
        """Patient of each case. Raises ConfigError: no expression, or one that does not fit a name."""
        if self.patient is None:
            return [entry.patient for entry in entries]
        try:
            found = [re.search(self.patient, entry.name) for entry in entries]
            patients = [match[1] for match in found if match]
        except (re.error, IndexError) as error:
            raise ConfigError(
                f"patient: expected a regular expression with one group, got '{self.patient}': try '^(.+?)_'"
            ) from error
        if len(patients) < len(entries):
            raise ConfigError(f"patient: expected a match in every name, got '{self.patient}': correct it")
        return patients

    def parts(self, entries: Sequence[Named], patients: list[str]) -> list[str]:
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


def _given_part(given: Mapping[str, str], entry: Named, patient: str) -> str:
    part = given.get(entry.name, given.get(patient))
    if part is None:
        raise InputError(f"split: expected a part for {entry.name}, got none: add a line to the CSV")
    return part
