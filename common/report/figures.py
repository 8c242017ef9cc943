"""Pictures of numbers: curves of distances (the paper's Fig. 4), histogram (Fig. 5), confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from .canvas import ACCENT, INK, QUIET, line_color, new_figure, save_figure
from .label_grid import ClassLabel

DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1)), (0, (5, 1.5, 1.5, 1.5)))
PANEL_COLUMNS = 2
ENLARGED = "#e4e4e4"
SQUARE: dict[str, Any] = {"marker": "s", "linestyle": "", "markersize": 9}


@dataclass(frozen=True)
class ScaleAxis:
    """An axis of scales.

    Attributes:
        positions: (N,) ascending places on the axis, logarithms of the magnification.
        ticks: (N,) names of the scales, possibly of two lines.
        title: what the ticks mean.
        training: place of the classifier's training scale, None if unknown.
        native: place of the slide's own resolution; scales beyond it are enlarged pixels. None if all are.
    """

    positions: np.ndarray
    ticks: Sequence[str]
    title: str
    training: float | None
    native: float | None


@dataclass(frozen=True)
class CurvePanel:
    """One point's curves: (N, C) distances, its patch, its proposed scale and winning class, a title."""

    distances: np.ndarray
    patch: np.ndarray
    proposed: int
    winner: int
    title: str


def plot_distance_curves(
    path: str | Path, panels: Sequence[CurvePanel], axis: ScaleAxis, table: Sequence[ClassLabel], note: str
) -> None:
    """Distance to every class's hyperplane against scale, one panel per point with its patch.

    Args:
        path: PNG to write.
        panels: chosen points.
        axis: the scales.
        table: class names and colours, in the order of the last axis of the distances.
        note: footnote.

    Raises:
        OutputError: the file cannot be written.
    """
    rows = -(-len(panels) // PANEL_COLUMNS)
    figure = new_figure(11.0, 2.9 * rows + 0.2, _curve_handles(axis, table))
    grid = figure.add_gridspec(rows, 2 * PANEL_COLUMNS, width_ratios=[1, 2.6] * PANEL_COLUMNS)
    for number, panel in enumerate(panels):
        row, column = divmod(number, PANEL_COLUMNS)
        _draw_patch(figure.add_subplot(grid[row, 2 * column]), panel)
        axes = figure.add_subplot(grid[row, 2 * column + 1])
        _draw_curves(axes, panel, axis, table)
        if column == 0:
            axes.set_ylabel("distance to the\nclass border, $\\rho$", fontsize=9)
        if number >= len(panels) - PANEL_COLUMNS:
            axes.set_xlabel(axis.title, fontsize=9)
    save_figure(figure, path, note)


def _draw_patch(axes: Axes, panel: CurvePanel) -> None:
    axes.imshow(panel.patch)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_color(QUIET)


def _draw_curves(axes: Axes, panel: CurvePanel, axis: ScaleAxis, table: Sequence[ClassLabel]) -> None:
    axes.axhline(0, color=QUIET, linewidth=0.8)
    for position, label in enumerate(table):
        wins = position == panel.winner
        axes.plot(
            axis.positions,
            panel.distances[:, position],
            color=line_color(label.color),
            linestyle=DASHES[position % len(DASHES)],
            linewidth=2.6 if wins else 1.1,
            alpha=1.0 if wins else 0.75,
            zorder=3 if wins else 2,
        )
    place = axis.positions[panel.proposed]
    axes.axvline(place, color=INK, linewidth=1, linestyle=":")
    axes.plot(place, panel.distances[panel.proposed, panel.winner], "o", color=INK, markersize=7, zorder=4)
    axes.set_title(panel.title, fontsize=9.5, loc="left", color=INK)
    draw_scale_axis(axes, axis, fontsize=7.5)


def draw_scale_axis(axes: Axes, axis: ScaleAxis, fontsize: float) -> None:
    """Ticks at the scales, a mark at the training scale, a grey ground where pixels are enlarged."""
    low, high = _limits(axis)
    axes.set_xticks(axis.positions, axis.ticks, fontsize=fontsize)
    axes.tick_params(axis="y", labelsize=8)
    axes.set_xlim(low, high)
    if axis.native is not None and axis.native < high:
        axes.axvspan(max(axis.native, low), high, color=ENLARGED, zorder=0)
    if axis.training is not None and low <= axis.training <= high:
        axes.axvline(axis.training, color=ACCENT, linewidth=1.2, linestyle="--", zorder=1)
    axes.spines[["top", "right"]].set_visible(False)


def _limits(axis: ScaleAxis) -> tuple[float, float]:
    half = float(np.diff(axis.positions).min()) / 2
    return float(axis.positions[0]) - half, float(axis.positions[-1]) + half


def _curve_handles(axis: ScaleAxis, table: Sequence[ClassLabel]) -> list[Line2D]:
    handles = [
        _handle(label.name, color=line_color(label.color), linestyle=DASHES[place % len(DASHES)], linewidth=2)
        for place, label in enumerate(table)
    ]
    handles.append(_handle("scale that the point proposes", color=INK, marker="o", linestyle=":"))
    return handles + _axis_handles(axis)


def _handle(label: str, **style: Any) -> Line2D:
    return Line2D([], [], label=label, **style)


def _axis_handles(axis: ScaleAxis) -> list[Line2D]:
    handles: list[Line2D] = []
    if axis.training is not None:
        handles.append(_handle("scale of the classifier's training", color=ACCENT, linestyle="--"))
    if axis.native is not None and axis.native < _limits(axis)[1]:
        handles.append(_handle("finer than the scan (enlarged)", color=ENLARGED, **SQUARE))
    return handles


def plot_proposal_histogram(
    path: str | Path,
    counts: Sequence[int],
    axis: ScaleAxis,
    chosen: int | None,
    interval: tuple[int, int] | None,
    chosen_name: str,
    note: str,
) -> None:
    """How many points propose each scale.

    Args:
        path: PNG to write.
        counts: (N,) proposals.
        axis: the scales.
        chosen: index of the slide's scale, None if there is none.
        interval: first and last index of the 95 % bootstrap interval, None if there is none.
        chosen_name: what the chosen scale is called in the legend.
        note: footnote.

    Raises:
        OutputError: the file cannot be written.
    """
    figure = new_figure(
        8.0, 3.6, _histogram_handles(axis, chosen_name if chosen is not None else "", interval is not None)
    )
    axes = figure.add_subplot()
    total, top = sum(counts), max(max(counts), 1)
    width = 0.8 * float(np.diff(axis.positions).min())
    colors = [ACCENT if index == chosen else "#a9bfd4" for index in range(len(counts))]
    axes.bar(axis.positions, counts, width=width, color=colors, zorder=2)
    for place, count in zip(axis.positions, counts, strict=True):
        if count:
            text = f"{count}\n{count / total:.0%}"
            box = {"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 0.8}
            height = count + 0.03 * top
            axes.text(place, height, text, ha="center", va="bottom", fontsize=8.5, bbox=box)
    draw_scale_axis(axes, axis, fontsize=9)
    axes.set_ylim(0, 1.38 * top)
    if interval is not None:
        _draw_interval(axes, axis, interval, 1.26 * top, width)
    axes.set_xlabel(axis.title, fontsize=10)
    axes.set_ylabel("points", fontsize=10)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    save_figure(figure, path, note)


def _draw_interval(axes: Axes, axis: ScaleAxis, ends: tuple[int, int], height: float, width: float) -> None:
    low, high = axis.positions[ends[0]] - width / 2, axis.positions[ends[1]] + width / 2
    axes.plot([low, high], [height, height], color=INK, linewidth=1.5, marker="|", markersize=9, zorder=3)


def _histogram_handles(axis: ScaleAxis, chosen_name: str, interval: bool) -> list[Line2D]:
    handles: list[Line2D] = []
    if chosen_name:
        handles.append(_handle(chosen_name, color=ACCENT, **SQUARE))
    if interval:
        handles.append(_handle("95 % of the resamples", color=INK, marker="|", markersize=9))
    return handles + _axis_handles(axis)


def plot_confusion_matrix(
    path: str | Path, counts: np.ndarray, names: Sequence[str], title: str, note: str
) -> None:
    """Rows are the truth, columns the prediction; each cell its share of the row and its count.

    Args:
        path: PNG to write.
        counts: (C, C) int.
        names: (C,) class names.
        title: e.g. "x20 (0.50 um/px), 1200 patches".
        note: footnote.

    Raises:
        OutputError: the file cannot be written.
    """
    counts = np.asarray(counts)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = max(4.0, 0.75 * len(names))
    figure = new_figure(side + 2.4, side + 1.6)
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), share in np.ndenumerate(shares):
        if counts[row, column]:
            color = "white" if share > 0.55 else INK
            text = f"{share:.0%}\n{counts[row, column]}"
            axes.text(column, row, text, ha="center", va="center", color=color, fontsize=8)
    axes.set_xticks(range(len(names)), names, rotation=40, ha="right", rotation_mode="anchor", fontsize=9)
    axes.set_yticks(range(len(names)), names, fontsize=9)
    axes.set_xlabel("predicted", fontsize=10)
    axes.set_ylabel("true", fontsize=10)
    axes.set_title(title, fontsize=11, loc="left")
    figure.colorbar(image, ax=axes, shrink=0.7, label="share of the true class", format="{x:.0%}")
    save_figure(figure, path, note)
