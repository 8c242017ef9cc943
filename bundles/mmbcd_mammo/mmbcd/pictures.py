"""Pictures of the views with their regions, as in the paper's Fig. 3: highest attention red, others green."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.patheffects import Normal, Stroke

from common.report.canvas import DPI, INK, QUIET, new_figure, save_figure, unit_color

HIGHEST, OTHERS = (230, 25, 25), (0, 190, 80)
"""RGB of the region with the highest attention, and of the others (**paper**: red and green)."""

VIEW_IN = 8.0
PREVIEW_PX = round(VIEW_IN * DPI)
"""Height of a mammogram in the largest picture."""
WARNING = "#9a3412"
OVERVIEW_IN = 4.2
PANEL_WIDTH_IN = 2.75
TITLE_IN = 0.35
PER_ROW = 4
_CASING = [Stroke(linewidth=2.2, foreground="black"), Normal()]


@dataclass(frozen=True)
class Box:
    """A region to be drawn.

    Attributes:
        box_px: (x0, y0, x1, y1) in pixels of the mammogram.
        number, text: beside it, where there is little and much room.
        highest: it has the highest attention of its view.
    """

    box_px: tuple[float, float, float, float]
    number: str
    text: str
    highest: bool


@dataclass(frozen=True)
class Panel:
    """A view to be drawn.

    Attributes:
        laterality, view: such as "R", "CC".
        pixels: (H, W) float, 0..1.
        boxes: regions.
        title: above it.
    """

    laterality: str
    view: str
    pixels: np.ndarray
    boxes: Sequence[Box]
    title: str


def draw_view(path: Path, panel: Panel, note: str) -> None:
    """One view. Raises OutputError."""
    height, width = panel.pixels.shape
    figure = new_figure(max(4.4, VIEW_IN * width / height), VIEW_IN + TITLE_IN, _legend())
    _draw_panel(figure.add_subplot(), panel, VIEW_IN, [box.text for box in panel.boxes])
    save_figure(figure, path, note)


def draw_overview(path: Path, panels: Sequence[Panel], note: str) -> None:
    """All views as they are hung: the right breast left of the left one, chest walls towards each other.

    Pixels stay as they are stored: nothing is mirrored or turned. A missing partner leaves an empty place.

    Raises:
        OutputError: the file cannot be written.
    """
    places = hang(panels)
    columns = min(PER_ROW, len(places))
    rows = math.ceil(len(places) / columns)
    figure = new_figure(columns * PANEL_WIDTH_IN, rows * (OVERVIEW_IN + TITLE_IN), _legend())
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, (name, panel) in zip(grid, places, strict=False):
        if panel is None:
            axes.set_title(f"no {name}", fontsize=9, color=QUIET)
            axes.set_axis_off()
        else:
            _draw_panel(axes, panel, OVERVIEW_IN, [box.number for box in panel.boxes])
    for axes in grid[len(places) :]:
        axes.set_visible(False)
    figure.suptitle(note, fontsize=11, fontweight="bold", color=WARNING)
    save_figure(figure, path, "")


def hang(panels: Sequence[Panel]) -> list[tuple[str, Panel | None]]:
    """(name, panel) as they are hung: R CC, L CC, R MLO, L MLO, others; None for a missing partner."""
    views = list(dict.fromkeys(panel.view for panel in panels))
    usual = [view for view in ("CC", "MLO") if view in views]
    places: list[tuple[str, Panel | None]] = []
    for view in [*usual, *(view for view in views if view not in usual)]:
        sides = {side: [p for p in panels if (p.laterality, p.view) == (side, view)] for side in "RL"}
        for number in range(max(map(len, sides.values()))):
            for side, found in sides.items():
                name = f"{side} {view}" + (f" ({number + 1})" if number else "")
                places.append((name, found[number] if number < len(found) else None))
    return places


def _draw_panel(axes: Axes, panel: Panel, height_in: float, words: Sequence[str]) -> None:
    small, factor = shrink(panel.pixels, round(height_in * DPI))
    axes.imshow(small, cmap="gray", vmin=0, vmax=1)
    axes.set_anchor("E" if panel.laterality == "R" else "W")
    for box, word in sorted(zip(panel.boxes, words, strict=True), key=lambda pair: pair[0].highest):
        _draw_box(axes, box, word, factor, small.shape[1])  # the highest last, on top
    axes.set_title(panel.title, fontsize=9, loc="right" if panel.laterality == "R" else "left", color=INK)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def shrink(pixels: np.ndarray, height_px: int) -> tuple[np.ndarray, float]:
    """The picture at most `height_px` high, and the factor by which it was made smaller, up to 1."""
    factor = min(1.0, height_px / pixels.shape[0])
    size = (max(1, round(pixels.shape[1] * factor)), max(1, round(pixels.shape[0] * factor)))
    return (pixels if factor == 1 else cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)), factor


def _draw_box(axes: Axes, box: Box, word: str, factor: float, width: int) -> None:
    x0, y0, x1, y1 = (value * factor - 0.5 for value in box.box_px)
    color = unit_color(HIGHEST if box.highest else OTHERS)
    thickness = 1.9 if box.highest else 1.1
    outline = Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=color, linewidth=thickness)
    outline.set_path_effects([Stroke(linewidth=thickness + 1.2, foreground="black"), Normal()])
    axes.add_patch(outline)
    near_edge = x0 > 0.75 * width  # the word would leave the picture
    words = axes.annotate(
        word,
        (x1 if near_edge else x0, max(y0, 12)),
        xytext=(0, 2),
        textcoords="offset points",
        ha="right" if near_edge else "left",
        va="bottom",
        color=color,
        fontsize=7.5,
        fontweight="bold" if box.highest else "normal",
    )
    words.set_path_effects(_CASING)


def _legend() -> list[Artist]:
    marker: dict[str, Any] = {
        "marker": "s",
        "linestyle": "",
        "markersize": 9,
        "fillstyle": "none",
        "markeredgewidth": 1.8,
    }
    rows = (("highest attention of the view", HIGHEST), ("other regions", OTHERS))
    return [Line2D([], [], label=name, color=unit_color(color), **marker) for name, color in rows]
