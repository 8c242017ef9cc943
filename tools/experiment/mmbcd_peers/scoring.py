"""Figures of a row: the functions that evaluate.json uses, on every mammogram of the part."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from common.io.files import write_text
from common.training.datalist import hash_patient
from mmbcd.case_scores import NO_REGION
from mmbcd.datalist import Entry
from mmbcd.evaluation_table import ARGMAX
from mmbcd.statistics import Interval, Scores, auc, bootstrap, calls

FIGURES = ("accuracy", "f1", "sensitivity", "specificity")
AUC = "auc"
_COLUMNS = ("image", "patient", "malignant", "score")


def to_cases(scores: np.ndarray, entries: Sequence[Entry]) -> Scores:
    """Scores as statistics take them; what has no answer is not called malignant: it is `NO_REGION`."""
    labels = np.array([entry.malignant for entry in entries])
    return Scores(np.nan_to_num(scores, nan=NO_REGION), labels, tuple(entry.patient for entry in entries))


def find_figures(cases: Scores, has_confidence: bool, draws: int, seed: int) -> dict[str, Interval]:
    """accuracy, f1, sensitivity, specificity at 0.5 and, where scores are more than yes and no, auc.

    Args:
        cases: of one row.
        has_confidence: see `Peer`.
        draws: of the bootstrap over patients.
        seed: same seed, same draws.
    """

    def measure(weights: np.ndarray) -> dict[str, np.ndarray]:
        found = calls(cases, ARGMAX, weights)
        own = {AUC: auc(cases, weights)} if has_confidence else {}
        return {name: found[name] for name in FIGURES} | own

    return bootstrap(cases.patients, measure, draws, seed)


def compare(ours: Scores, other: Scores, draws: int, seed: int) -> Interval:
    """How much greater our AUC is, patients drawn for both at once."""

    def measure(weights: np.ndarray) -> dict[str, np.ndarray]:
        return {AUC: auc(ours, weights) - auc(other, weights)}

    return bootstrap(ours.patients, measure, draws, seed)[AUC]


def write_scores(path: Path, scores: np.ndarray, entries: Sequence[Entry]) -> None:
    """One line for each mammogram, patients as hashes; no score where there is no answer.

    Raises:
        OutputError: the file cannot be written.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for score, entry in zip(scores.tolist(), entries, strict=True):
        shown = "" if np.isnan(score) else repr(score)
        writer.writerow([entry.image.name, hash_patient(entry.patient), int(entry.malignant), shown])
    write_text(path, stream.getvalue())


def read_scores(path: Path) -> np.ndarray:
    """(N,) of `write_scores`. Raises OSError, ValueError, KeyError: not there, or another file."""
    with path.open(newline="", encoding="utf-8") as file:
        return np.array([float(row["score"] or "nan") for row in csv.DictReader(file)])
