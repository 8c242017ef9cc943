"""Table 1 as a picture: accuracy, F1 and AUC of every method with their intervals."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from common.report.canvas import ACCENT, QUIET, new_figure, save_figure
from mmbcd.statistics import Interval

from .table import SHOWN

ROW_IN = 0.34


def plot_methods(
    path: str | Path, methods: Mapping[str, Mapping[str, Interval]], ours: str | None, note: str
) -> None:
    """One panel for each figure, one line for each method, the best at no special place.

    Args:
        path: PNG to write.
        methods: name -> figures, in the table's order; a figure that is missing is left empty.
        ours: name of our own method, in another colour; None where it is not among them.
        note: footnote.

    Raises:
        OutputError: the file cannot be written.
    """
    names = list(methods)
    figure = new_figure(9.0, ROW_IN * len(names) + 0.9)
    panels = figure.subplots(1, len(SHOWN), sharey=True, squeeze=False)[0]
    for axes, (key, title) in zip(panels, SHOWN.items(), strict=True):
        for place, name in enumerate(names):
            found = methods[name].get(key)
            if found is None:
                axes.text(0.5, place, "-", ha="center", va="center", color=QUIET)
                continue
            color = ACCENT if name == ours else QUIET
            ends = [found.low, found.high]
            axes.plot(ends, [place, place], color=color, linewidth=2, solid_capstyle="butt")
            axes.plot([found.value], [place], "o", color=color, markersize=6)
        axes.set_title(title, fontsize=10)
        axes.set_xlim(-0.02, 1.02)
        axes.tick_params(labelsize=8.5)
        axes.grid(axis="x", color="#e4e4e4", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_yticks(np.arange(len(names)), names, fontsize=9)
    panels[0].set_ylim(len(names) - 0.5, -0.5)
    save_figure(figure, path, note)
