"""Dice and HD95 per structure: mean and spread over templates, confidence over patients, as tables."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .scores import Score

INTERVAL = (2.5, 97.5)
ENSEMBLE = "ensemble"
MEAN = "mean"


def arrange(
    scores: Sequence[Score], structure: str, measure: str, ensemble: bool = False
) -> tuple[np.ndarray, list[str], list[str]]:
    """The values of one structure by patient and template; cases of one patient are averaged.

    Args:
        scores: all.
        structure: name.
        measure: "dice" or "hd95".
        ensemble: those of all templates together, instead of those of each by itself.

    Returns:
        (P, T) with NaN where there is nothing to measure, the P patients, the T templates.
    """
    own = [row for row in scores if row.structure == structure and (row.template == ENSEMBLE) == ensemble]
    patients = sorted({score.patient for score in own})
    templates = sorted({score.template for score in own})
    found: dict[tuple[str, str], list[float]] = {}
    for score in own:
        found.setdefault((score.patient, score.template), []).append(getattr(score, measure))
    rows = [[_mean(found.get((patient, template), [])) for template in templates] for patient in patients]
    return np.array(rows, dtype=float).reshape(len(patients), len(templates)), patients, templates


def summarize(
    scores: Sequence[Score], structures: Sequence[str], times: int, seed: int
) -> dict[str, dict[str, Any]]:
    """One row per structure and one for their mean.

    Dice is the mean over templates of the mean over patients; its sd is that over templates; its interval is
    a bootstrap over patients of the mean over templates.

    Args:
        scores: of every case, structure and template, those of the ensemble included.
        structures: names in order.
        times: bootstrap draws; no interval with fewer than two patients.
        seed: of the bootstrap.
    """
    rows = {name: _summarize_structure(scores, name, times, seed) for name in structures}
    by_patient: dict[str, list[float]] = {}
    for name in structures:
        values, patients, _ = arrange(scores, name, "dice")
        for patient, row in zip(patients, values, strict=True):
            by_patient.setdefault(patient, []).append(_mean(row))
    means = np.array([_mean(values) for values in by_patient.values()])
    rows[MEAN] = {
        "dice": _mean([row["dice"] for row in rows.values()]),
        "dice_sd": _spread(_mean_by_template(rows)),
        "dice_interval": bootstrap_interval(means, times, seed),
        "hd95": _mean([row["hd95"] for row in rows.values()]),
        "ensemble_dice": _mean([row["ensemble_dice"] for row in rows.values()]),
        "patients": len(by_patient),
    }
    return rows


def _summarize_structure(scores: Sequence[Score], name: str, times: int, seed: int) -> dict[str, Any]:
    dice, _, templates = arrange(scores, name, "dice")
    hd95, _, _ = arrange(scores, name, "hd95")
    together, _, _ = arrange(scores, name, "dice", ensemble=True)
    per_template = {t: _mean(dice[:, place]) for place, t in enumerate(templates)}
    single = [score for score in scores if score.structure == name and score.template != ENSEMBLE]
    return {
        "dice": _mean(list(per_template.values())),
        "dice_sd": _spread(list(per_template.values())),
        "dice_interval": bootstrap_interval(np.array([_mean(row) for row in dice]), times, seed),
        "hd95": _mean([_mean(hd95[:, place]) for place in range(len(templates))]),
        "hd95_interval": bootstrap_interval(np.array([_mean(row) for row in hd95]), times, seed),
        "ensemble_dice": _mean(together.ravel()),
        "templates": per_template,
        "patients": int(sum(np.isfinite(row).any() for row in dice)),
        "cases": len({score.case for score in single if score.true}),
        "missed": sum(1 for score in single if score.true and not score.predicted),
        "false_alarms": sum(1 for score in single if score.predicted and not score.true),
    }


def _mean_by_template(rows: Mapping[str, Mapping[str, Any]]) -> list[float]:
    """Mean over structures for every template that shows all of them."""
    found = [row["templates"] for row in rows.values() if row.get("templates")]
    shared = set.intersection(*(set(row) for row in found)) if found else set()
    return [_mean([row[template] for row in found]) for template in sorted(shared)]


def bootstrap_interval(values: np.ndarray, times: int, seed: int) -> list[float] | None:
    """95 % interval of the mean, patients drawn with replacement; None with fewer than two.

    Args:
        values: (P,) of the patients; NaN does not count.
        times: number of draws.
        seed: same seed, same draws.
    """
    values = values[np.isfinite(values)]
    if len(values) < 2:
        return None
    places = np.random.default_rng(seed).integers(len(values), size=(times, len(values)))
    return [float(v) for v in np.percentile(values[places].mean(1), INTERVAL)]


def format_markdown(rows: Mapping[str, Mapping[str, Any]], unit: str, templates: int) -> str:
    """The table as people read it."""
    ensemble = any(np.isfinite(row["ensemble_dice"]) for row in rows.values())
    head = ["structure", "Dice", "sd over templates", "95 % interval", f"HD95 ({unit})"]
    head += ["Dice of the ensemble"] * ensemble + ["patients"]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for name, row in rows.items():
        low, high = row["dice_interval"] or (float("nan"), float("nan"))
        cells = [name, _number(row["dice"]), _number(row["dice_sd"]), f"{_number(low)} to {_number(high)}"]
        cells += [_number(row["hd95"], 2)] + [_number(row["ensemble_dice"])] * ensemble
        lines.append(f"| {' | '.join([*cells, str(row['patients'])])} |")
    note = (
        f"Each of {templates} templates by itself; the mean over templates, its spread over templates, and "
        "its interval over patients (bootstrap)."
    )
    return "\n".join([*lines, "", note, ""])


def format_csv(scores: Sequence[Score]) -> str:
    """One line per case, structure and template."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(Score._fields)
    for score in scores:
        writer.writerow(
            [f"{v:.6f}" if isinstance(v, float) and v == v else "" if v != v else v for v in score]
        )
    return stream.getvalue()


def _mean(values: Sequence[float] | np.ndarray) -> float:
    found = [value for value in values if np.isfinite(value)]
    return float(np.mean(found)) if found else float("nan")


def _spread(values: Sequence[float]) -> float:
    """Standard deviation of a sample; NaN with fewer than two values."""
    found = [value for value in values if np.isfinite(value)]
    return float(np.std(found, ddof=1)) if len(found) > 1 else float("nan")


def _number(value: float, digits: int = 3) -> str:
    return f"{value:.{digits}f}" if value == value else "-"
