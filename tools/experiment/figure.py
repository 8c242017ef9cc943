"""One picture: mean curves per class, and the proposals of all points, for each classifier."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from common.io.files import atomic_path

COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7", "#000000", "#999999")
DASHES = ("-", "--", "-.", ":")


def draw(path: Path, points: Sequence[dict[str, Any]], scales: dict[str, np.ndarray], criterion: str) -> None:
    """Write the PNG.

    Args:
        path: target.
        points: rows of `Examination`.
        scales: (N,) magnifications of each classifier's set.
        criterion: which rows to draw.

    Raises:
        OutputError: cannot be written.
    """
    figure, grid = plt.subplots(2, len(scales), figsize=(6 * len(scales), 7), squeeze=False, sharex="col")
    for column, (name, magnifications) in enumerate(scales.items()):
        mine = [row for row in points if row["classifier"] == name and row["criterion"] == criterion]
        curves = np.array([np.array(row["curve"].split(), float) for row in mine])
        classes = np.array([row["class"] for row in mine])
        _draw_curves(grid[0][column], magnifications, curves, classes)
        _draw_votes(grid[1][column], magnifications, curves.argmax(axis=1))
        grid[0][column].set_title(f"classifier trained at {name}")
        for axes in grid[:, column]:
            axes.axvline(float(name.lstrip("x")), color="0.6", linewidth=6, alpha=0.35, zorder=0)
            axes.set_xscale("log")
            axes.set_xticks(magnifications, [f"x{value:.3g}" for value in magnifications])
            axes.minorticks_off()
    grid[0][0].set_ylabel("mean distance to the hyperplane")
    grid[1][0].set_ylabel("share of points")
    figure.tight_layout()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)
    plt.close(figure)


def _draw_curves(axes: Axes, magnifications: np.ndarray, curves: np.ndarray, classes: np.ndarray) -> None:
    for number, name in enumerate(sorted(set(classes) - {""})):
        mean = curves[classes == name].mean(axis=0)
        axes.plot(
            magnifications,
            mean,
            color=COLOURS[number % len(COLOURS)],
            linestyle=DASHES[number % len(DASHES)],
            marker="o",
            markersize=3,
            label=f"{name} ({(classes == name).sum()})",
        )
    axes.legend(fontsize=7, ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.02))


def _draw_votes(axes: Axes, magnifications: np.ndarray, proposed: np.ndarray) -> None:
    shares = np.bincount(proposed, minlength=len(magnifications)) / len(proposed)
    axes.bar(magnifications, shares, width=0.12 * magnifications, color="#56B4E9")
    axes.set_xlabel("magnification")
