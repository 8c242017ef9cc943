"""Figures without global state: a canvas, readable colours, an honest footnote, atomic saving."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from ..io.files import atomic_path

DPI = 150
INK = "#222222"
QUIET = "#8a8a8a"
ACCENT = "#0b4f8a"
NOTE_IN = 0.3
LEGEND_COLUMNS = 3
LEGEND_ROW_IN = 0.21
MAX_LUMINANCE = 0.55


def new_figure(width_in: float, height_in: float, legend: Sequence[Artist] = ()) -> Figure:
    """An empty figure, `height_in` high without its footnote and without the legend below it.

    Args:
        width_in: inches.
        height_in: inches.
        legend: handles with labels, in at most three columns.
    """
    columns = min(LEGEND_COLUMNS, max(1, len(legend)))
    legend_in = LEGEND_ROW_IN * math.ceil(len(legend) / columns) + (0.15 if legend else 0)
    whole_in = height_in + legend_in + NOTE_IN
    free = 1 - height_in / whole_in
    figure = Figure((width_in, whole_in), layout=ConstrainedLayoutEngine(rect=(0, free, 1, 1 - free)))
    FigureCanvasAgg(figure)
    if legend:
        place: dict[str, Any] = {"loc": "lower center", "bbox_to_anchor": (0.5, NOTE_IN / whole_in)}
        figure.legend(handles=list(legend), ncols=columns, fontsize=9, frameon=False, **place)
    return figure


def save_figure(figure: Figure, path: str | Path, note: str) -> None:
    """Write a PNG with `note` (e.g. "demonstration weights, not for diagnosis") below. Raises OutputError."""
    width_in, height_in = figure.get_size_inches()
    color = "#9a3412"
    figure.text(0.1 / width_in, 0.08 / height_in, note, fontsize=8, color=color, ha="left", va="bottom")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=DPI, facecolor="white", format="png")


def line_color(color: tuple[int, int, int]) -> tuple[float, float, float]:
    """A class colour (0..255), darkened until it stands out from white paper; 0..1."""
    rgb = np.array(color, dtype=float) / 255
    luminance = float(rgb @ [0.2126, 0.7152, 0.0722])
    red, green, blue = rgb * min(1.0, MAX_LUMINANCE / max(luminance, 1e-6))
    return red, green, blue


def unit_color(color: tuple[int, int, int]) -> tuple[float, float, float]:
    """A class colour (0..255) as matplotlib takes it, 0..1."""
    red, green, blue = (part / 255 for part in color)
    return red, green, blue
