"""Pictures of scores: values per structure with their spread, bars of variants, curves over epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.lines import Line2D

from .canvas import ACCENT, INK, QUIET, line_color, new_figure, save_figure

COLORS = ((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (230, 159, 0), (86, 180, 233))
STYLES = ("-", "--", ":", "-.")

Group = tuple[str, tuple[int, int, int], np.ndarray]
"""A name, its colour 0..255, and values (P, T) of P patients with T templates, NaN where missing."""


def plot_scores(path: str | Path, groups: Sequence[Group], measure: str, note: str) -> None:
    """Every patient's mean over templates as a dot, and every template's mean over patients as a dash.

    Args:
        path: PNG to write.
        groups: one column for each structure.
        measure: what is drawn, 0..1, e.g. "Dice".
        note: footnote.

    Raises:
        OutputError: the file cannot be written.
    """
    handles = [
        Line2D([], [], label="a patient, mean over templates", color=QUIET, marker="o", linestyle=""),
        Line2D([], [], label="a template, mean over patients", color=INK, marker="_", linestyle=""),
    ]
    figure = new_figure(max(5.8, 1.3 * len(groups) + 1.5), 3.6, handles)
    axes = figure.add_subplot()
    for place, (_, color, values) in enumerate(groups):
        patients, templates = mean_over(values, 1), mean_over(values, 0)
        spread = np.linspace(-0.22, 0.22, len(patients)) if len(patients) > 1 else np.zeros(len(patients))
        shade = line_color(color)
        axes.plot(place + spread, np.sort(patients), "o", color=shade, markersize=4, alpha=0.7)
        axes.hlines(templates, place - 0.33, place + 0.33, color=INK, linewidth=1.2)
    names = [f"{name}\n{_text(values)}" for name, _, values in groups]
    axes.set_xticks(range(len(groups)), names, fontsize=9)
    _draw_share_axis(axes, measure)
    save_figure(figure, path, note)


def plot_variants(path: str | Path, bars: Mapping[str, tuple[float, float]], measure: str, note: str) -> None:
    """One bar for each variant, with its spread.

    Args:
        path: PNG to write.
        bars: name -> (value 0..1, standard deviation or NaN).
        measure: what is drawn.
        note: footnote.

    Raises:
        OutputError: the file cannot be written.
    """
    figure = new_figure(max(4.0, 1.2 * len(bars) + 1.5), 3.4)
    axes = figure.add_subplot()
    values, spreads = (np.array([pair[place] for pair in bars.values()], dtype=float) for place in (0, 1))
    error: Any = np.nan_to_num(spreads)
    axes.bar(range(len(bars)), np.nan_to_num(values), 0.6, color=ACCENT, yerr=error, capsize=4, ecolor=INK)
    for place, value in enumerate(values):
        axes.text(place, 0.02, f"{value:.3f}", ha="center", va="bottom", color="white", fontsize=9)
    axes.set_xticks(range(len(bars)), list(bars), fontsize=9)
    _draw_share_axis(axes, measure)
    save_figure(figure, path, note)


def plot_curves(
    path: str | Path, curves: Mapping[str, Sequence[tuple[float, float]]], measure: str, note: str
) -> None:
    """Values over epochs, as in the paper's Fig. 6.

    Args:
        path: PNG to write.
        curves: name -> (epoch, value 0..1) in order.
        measure: what is drawn.
        note: footnote.

    Raises:
        OutputError: the file cannot be written.
    """
    looks: list[dict[str, Any]] = [
        {"color": line_color(COLORS[place % len(COLORS)]), "linestyle": STYLES[place % len(STYLES)]}
        for place in range(len(curves))
    ]
    handles = [Line2D([], [], label=name, **look) for name, look in zip(curves, looks, strict=True)]
    figure = new_figure(6.4, 3.6, handles)
    axes = figure.add_subplot()
    for points, look in zip(curves.values(), looks, strict=True):
        epochs, values = zip(*points, strict=True)
        axes.plot(epochs, values, marker="o", markersize=4, linewidth=1.6, **look)
    axes.set_xlabel("epoch", fontsize=9)
    _draw_share_axis(axes, measure)
    save_figure(figure, path, note)


def mean_over(values: np.ndarray, axis: int) -> np.ndarray:
    """Mean along an axis without NaN; rows of nothing but NaN are left out."""
    kept = (
        values[np.isfinite(values).any(axis=1)] if axis == 1 else values[:, np.isfinite(values).any(axis=0)]
    )
    return np.nanmean(kept, axis=axis) if kept.size else np.array([])


def _text(values: np.ndarray) -> str:
    means = mean_over(values, 0)
    return f"{means.mean():.3f}" if len(means) else "-"


def _draw_share_axis(axes: Any, measure: str) -> None:
    axes.set_ylabel(measure, fontsize=9)
    axes.set_ylim(0, 1.02)
    axes.tick_params(labelsize=8.5)
    axes.grid(axis="y", color="#e4e4e4", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
