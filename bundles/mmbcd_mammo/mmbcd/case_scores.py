"""Scores of mammograms with their truth, and what they add up to for breasts and studies."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from .datalist import Entry
from .inferer import Prediction
from .scores import combine
from .statistics import Scores

NO_REGION = 0.0
"""Score of a mammogram in which no region was found: nothing there to call (choice)."""


class CaseScore(NamedTuple):
    """A mammogram, a breast or a study.

    Attributes:
        name: of the picture's file; of a breast or study made of `patient`, `study` and side.
        patient, study: pseudonyms of the datalist.
        laterality, view: "" where several were combined.
        malignant: the truth; of a study, of one of its breasts.
        score: raw, 0..1, with the history or what stands for a missing one.
        image_only: raw, 0..1, without the history.
        regions: how many were scored.
        has_history: the network was given a text for this breast.
        age, density, vendor: as the datalist says, None where unknown.
    """

    name: str
    patient: str
    study: str
    laterality: str
    view: str
    malignant: bool
    score: float
    image_only: float
    regions: int
    has_history: bool
    age: float | None
    density: str | None
    vendor: str | None


def to_case(entry: Entry, history: str, found: Prediction | None) -> CaseScore:
    """A mammogram with what the network says; without a region both scores are `NO_REGION`."""
    return CaseScore(
        entry.image.name,
        entry.patient,
        entry.study,
        entry.laterality,
        entry.view,
        entry.malignant,
        NO_REGION if found is None else found.score,
        NO_REGION if found is None else found.image_only_score,
        0 if found is None else len(found.attention),
        bool(history),
        entry.age,
        entry.density,
        entry.vendor,
    )


def combine_levels(
    images: Sequence[CaseScore], breast_rule: str, study_rule: str
) -> dict[str, list[CaseScore]]:
    """The cases of "image", "breast" and "study".

    A breast combines its images, a study its breasts, as in inference.

    Raises:
        ConfigError: an unknown rule.
    """
    breasts = _join(images, lambda case: (case.patient, case.study, case.laterality), breast_rule)
    studies = _join(breasts, lambda case: (case.patient, case.study), study_rule)
    return {"image": list(images), "breast": breasts, "study": studies}


def _join(cases: Sequence[CaseScore], key: Callable[[CaseScore], Hashable], rule: str) -> list[CaseScore]:
    groups: dict[Hashable, list[CaseScore]] = {}
    for case in cases:
        groups.setdefault(key(case), []).append(case)
    return [_join_group(group, rule) for group in groups.values()]


def _join_group(group: Sequence[CaseScore], rule: str) -> CaseScore:
    first = group[0]
    sides, views = ({getattr(case, name) for case in group} for name in ("laterality", "view"))
    counted = [case for case in group if case.regions]  # the others have no say, as in inference
    scores = combine([case.score for case in counted], rule)
    alone = combine([case.image_only for case in counted], rule)
    side = first.laterality if len(sides) == 1 else ""
    return first._replace(
        name=" ".join(filter(None, (first.patient, first.study, side))),
        laterality=side,
        view=first.view if len(views) == 1 else "",
        malignant=any(case.malignant for case in group),
        score=NO_REGION if scores is None else scores,
        image_only=NO_REGION if alone is None else alone,
        regions=sum(case.regions for case in group),
        has_history=any(case.has_history for case in group),
    )


def to_scores(cases: Sequence[CaseScore], values: np.ndarray | None = None) -> Scores:
    """As the statistics take them.

    Args:
        cases: of one level.
        values: (N,) in place of their raw scores.

    Raises:
        InputError: no case, or a score that is not a number.
    """
    scores = np.array([case.score for case in cases], dtype=float) if values is None else values
    labels = np.array([case.malignant for case in cases], dtype=bool)
    return Scores(scores, labels, tuple(case.patient for case in cases))


def format_csv(cases: Sequence[CaseScore], probabilities: Mapping[str, np.ndarray]) -> str:
    """One line per mammogram: what the datalist says of it, its scores and calibrated probability.

    Args:
        cases: mammograms.
        probabilities: columns by name, (N,) each.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*CaseScore._fields, *probabilities])
    for number, case in enumerate(cases):
        values = [f"{v:.6f}" if isinstance(v, float) else "" if v is None else v for v in case]
        writer.writerow([*map(_as_number, values), *(f"{col[number]:.6f}" for col in probabilities.values())])
    return stream.getvalue()


def _as_number(value: object) -> object:
    return int(value) if isinstance(value, bool) else value
