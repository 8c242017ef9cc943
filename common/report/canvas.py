"""Figures without global state: a canvas, readable colours, an honest footnote, atomic saving."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from ..io.files import atomic_path

DPI = 150
INK = "#222222"
QUIET = "#8a8a8a"
ACCENT = "#0b4f8a"
NOTE_IN = 0.3
MAX_LUMINANCE = 0.55


def new_figure(width_in: float, height_in: float) -> Figure:
    """An empty figure whose layout leaves room for a footnote."""
    note = NOTE_IN / height_in
    figure = Figure((width_in, height_in), layout=ConstrainedLayoutEngine(rect=(0, note, 1, 1 - note)))
    FigureCanvasAgg(figure)
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
