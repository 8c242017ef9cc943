"""Pictures of an evaluation: ROC and calibration curves of images, breasts and studies."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from common.report.canvas import INK, QUIET, line_color, new_figure, save_figure
from common.report.score_figures import COLORS, STYLES

from .calibration import LevelCalibration
from .statistics import Scores, auc, calibration_curve

Curves = Mapping[str, tuple[Scores, LevelCalibration | None]]


def plot_evaluation(path: str | Path, curves: Curves, note: str) -> None:
    """ROC at the left, calibration at the right: mean probability against share of malignant cases.

    Args:
        path: PNG to write.
        curves: level -> its cases, and how they are calibrated (None: the raw scores are shown).
        note: footnote.

    Raises:
        OutputError: the file cannot be written.
    """
    looks: list[dict[str, Any]] = [
        {"color": line_color(color), "linestyle": style} for color, style in zip(COLORS, STYLES, strict=False)
    ]
    labels = [f"{level}, AUC {float(auc(scores)):.3f}" for level, (scores, _) in curves.items()]
    handles = [Line2D([], [], label=label, **look) for label, look in zip(labels, looks, strict=False)]
    figure = new_figure(8.2, 3.9, handles)
    roc, reliability = figure.subplots(1, 2)
    for (scores, fitted), look in zip(curves.values(), looks, strict=False):
        alarms, hits = roc_points(scores)
        roc.plot(alarms, hits, linewidth=1.6, **look)
        probabilities = scores.scores if fitted is None else fitted(scores.scores)
        rows = calibration_curve(Scores(probabilities, scores.labels, scores.patients))
        reliability.plot(*np.array(rows)[:, :2].T, marker="o", markersize=4, linewidth=1.4, **look)
    _label(roc, "1 - specificity", "sensitivity")
    _label(reliability, "predicted probability", "share of malignant cases")
    save_figure(figure, path, note)


def roc_points(scores: Scores) -> tuple[np.ndarray, np.ndarray]:
    """1 - specificity and sensitivity from (0, 0) to (1, 1); NaN where a class is missing."""
    values, counts = np.unique(-scores.scores), []
    for mask in (~scores.labels, scores.labels):
        below = np.searchsorted(np.sort(-scores.scores[mask]), values, side="right")
        counts.append(np.r_[0, below] / mask.sum() if mask.any() else np.full(len(values) + 1, np.nan))
    return counts[0], counts[1]


def _label(axes: Axes, x: str, y: str) -> None:
    axes.plot([0, 1], [0, 1], color=QUIET, linewidth=0.8, zorder=0)
    axes.set_xlabel(x, fontsize=9, color=INK)
    axes.set_ylabel(y, fontsize=9, color=INK)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.tick_params(labelsize=8.5)
    axes.set_aspect("equal")
    axes.spines[["top", "right"]].set_visible(False)
