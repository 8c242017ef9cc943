"""Figures of an evaluation: by level, by subgroup, and as the tables that people read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .calibration import Calibration
from .case_scores import CaseScore, to_scores
from .statistics import (
    Interval,
    Scores,
    auc,
    bootstrap,
    brier,
    calibration_curve,
    calls,
    compare_aucs,
    delong_interval,
    expected_calibration_error,
    sensitivity_at,
)

ARGMAX = 0.5
"""Threshold of the raw score for accuracy and F1: the larger of the two logits (as the released code)."""

AGES = ((0, 40), (40, 50), (50, 60), (60, 70), (70, 200))

Groups = dict[str, Callable[[CaseScore], str]]
GROUPS: Groups = {
    "age": lambda case: _age_band(case.age),
    "density": lambda case: case.density or "unknown",
    "vendor": lambda case: case.vendor or "unknown",
    "view": lambda case: case.view or "several",
    "history": lambda case: "present" if case.has_history else "missing",
}


def summarize_level(
    cases: Sequence[CaseScore],
    level: str,
    calibration: Calibration,
    specificity: float,
    times: int,
    seed: int,
) -> dict[str, Any]:
    """Every figure of one level.

    Args:
        cases: of the level.
        level: "image", "breast" or "study".
        calibration: fitted on other patients; a level that it lacks has no calibrated figures.
        specificity: at which the sensitivity is wanted.
        times, seed: of the bootstrap over patients.

    Returns:
        Counts; figures as [value, low, high]; AUC with DeLong's interval besides; what the history changes.
    """
    scores, alone = to_scores(cases), to_scores(cases, np.array([case.image_only for case in cases]))
    fitted = calibration.levels.get(level)
    calibrated = None if fitted is None else to_scores(cases, fitted(scores.scores))
    threshold = fitted.operating_point.threshold if fitted and fitted.operating_point else ARGMAX

    def measure(weights: np.ndarray) -> dict[str, np.ndarray]:
        at_half = calls(scores, ARGMAX, weights)
        found = {"auc": auc(scores, weights), "auc_image_only": auc(alone, weights)}
        found |= {name: at_half[name] for name in ("accuracy", "f1")}
        found["sensitivity_at_specificity"] = sensitivity_at(scores, specificity, weights)
        called = calls(scores, threshold, weights)
        found |= {f"operating_{name}": called[name] for name in ("sensitivity", "specificity", "ppv", "npv")}
        found["brier"] = brier(scores, weights)
        return found if calibrated is None else found | {"brier_calibrated": brier(calibrated, weights)}

    figures = bootstrap(scores.patients, measure, times, seed)
    return {
        "cases": len(cases),
        "patients": len(set(scores.patients)),
        "malignant": int(scores.labels.sum()),
        "without_region": sum(case.regions == 0 for case in cases),
        **{name: list(interval) for name, interval in figures.items()},
        "auc_delong": list(delong_interval(scores)),
        "ece": expected_calibration_error(scores),
        "ece_calibrated": None if calibrated is None else expected_calibration_error(calibrated),
        "calibration_curve": calibration_curve(calibrated or scores),
        "operating_threshold": threshold,
        "history_effect": _compare(scores, alone),
    }


def _compare(scores: Scores, alone: Scores) -> dict[str, float | None]:
    """AUC with minus AUC without the history, its p (DeLong), and the mean change of the score."""
    few = min(scores.labels.sum(), (~scores.labels).sum()) < 2
    difference, p = (None, None) if few else compare_aucs(scores.scores, alone.scores, scores.labels)
    change = float(np.abs(scores.scores - alone.scores).mean())
    return {"auc_difference": difference, "p": p, "mean_absolute_change": change}


def summarize_groups(
    cases: Sequence[CaseScore], calibration: Calibration, times: int, seed: int
) -> list[dict[str, Any]]:
    """One row for each value of each attribute, over mammograms; rare values are shown, with wide intervals.

    Args:
        cases: mammograms.
        calibration: brings the operating point.
        times, seed: of the bootstrap over patients.
    """
    whole, rows = to_scores(cases), []
    fitted = calibration.levels.get("image")
    threshold = fitted.operating_point.threshold if fitted and fitted.operating_point else ARGMAX
    for attribute, name_of in GROUPS.items():
        names = np.array([name_of(case) for case in cases])
        for value in sorted(set(names.tolist())):
            rows.append(_summarize_group(whole.select(names == value), threshold, times, seed))
            rows[-1] = {"attribute": attribute, "value": value, **rows[-1]}
    return rows


def _summarize_group(scores: Scores, threshold: float, times: int, seed: int) -> dict[str, Any]:
    def measure(weights: np.ndarray) -> dict[str, np.ndarray]:
        called = calls(scores, threshold, weights)
        return {"auc": auc(scores, weights)} | {n: called[n] for n in ("sensitivity", "specificity")}

    figures = bootstrap(scores.patients, measure, times, seed)
    counts = {"cases": len(scores.labels), "malignant": int(scores.labels.sum())}
    return counts | {name: list(interval) for name, interval in figures.items()}


def _age_band(age: float | None) -> str:
    if age is None:
        return "unknown"
    low, high = next(band for band in AGES if band[0] <= age < band[1])
    if not low:
        return f"under {high}"
    return f"{low} and over" if high == AGES[-1][1] else f"{low} to {high - 1}"


def format_levels(levels: Mapping[str, Mapping[str, Any]], specificity: float) -> str:
    """The table of the levels, Markdown."""
    head = ["level", "cases", "malignant", "accuracy", "F1", "AUC", "AUC image only"]
    head += [f"sensitivity at specificity {specificity:g}", "Brier", "ECE"]
    names = ("accuracy", "f1", "auc", "auc_image_only", "sensitivity_at_specificity")
    lines = []
    for level, row in levels.items():
        fitted = row["ece_calibrated"] is not None
        cells = [level, str(row["cases"]), str(row["malignant"]), *(_interval(row[name]) for name in names)]
        cells.append(_number(row["brier_calibrated" if fitted else "brier"][0]))
        lines.append([*cells, _number(row["ece_calibrated" if fitted else "ece"])])
    return _table(head, lines)


def format_groups(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table of the subgroups, Markdown."""
    head = ["attribute", "value", "images", "malignant", "AUC", "sensitivity", "specificity"]
    return _table(
        head,
        [
            [row["attribute"], row["value"], str(row["cases"]), str(row["malignant"])]
            + [_interval(row[name]) for name in ("auc", "sensitivity", "specificity")]
            for row in rows
        ],
    )


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def _interval(values: Sequence[float]) -> str:
    interval = Interval(*values)
    if np.isnan(interval.low):
        return _number(interval.value)
    return f"{_number(interval.value)} ({_number(interval.low)} to {_number(interval.high)})"


def _number(value: float | None) -> str:
    return "-" if value is None or np.isnan(value) else f"{value:.3f}"
