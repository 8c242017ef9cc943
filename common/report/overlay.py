"""The coloured class map over the slide (the paper's Fig. 3)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from .canvas import INK, new_figure, save_figure, unit_color
from .label_grid import NOT_READ, ClassLabel, LabelGrid

OPACITY = 0.55
NOT_READ_GREY = 0.45
SCALE_BAR_SHARE = 0.3
MAX_EDGE_IN = 9.0
NAME_LENGTH = 44


def plot_class_overlay(
    path: str | Path,
    grid: LabelGrid,
    thumbnail: np.ndarray,
    table: Sequence[ClassLabel],
    title: str,
    note: str,
) -> None:
    """The slide, and beside it the slide under its class map, with legend and scale bar.

    Args:
        path: PNG to write.
        grid: labels over the whole slide; cells that were not read are shown without colour.
        thumbnail: (h, w, 3) uint8, the whole slide.
        table: class names and colours.
        title: what the map was made with.
        note: footnote.

    Raises:
        OutputError: the file cannot be written.
    """
    colored = blend_labels(grid, thumbnail, table)
    height, width = thumbnail.shape[:2]
    beside = height >= 0.6 * width
    figure = _new_figure(height / width, beside, len(_shown(grid, table)))
    panels = figure.subplots(1, 2) if beside else figure.subplots(2, 1)
    for axes, picture, name in zip(panels, (thumbnail, colored), ("Slide", title), strict=True):
        axes.imshow(picture, extent=(0, grid.extent_px[0], grid.extent_px[1], 0), interpolation="antialiased")
        axes.set_title(name, fontsize=10, loc="left", color=INK)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_color("#bbbbbb")
        if grid.mpp is not None:
            _draw_scale_bar(axes, grid.extent_px[0], grid.extent_px[1], grid.mpp)
    _add_legend(figure, grid, table)
    save_figure(figure, path, note)


def blend_labels(grid: LabelGrid, thumbnail: np.ndarray, table: Sequence[ClassLabel]) -> np.ndarray:
    """Class colours over a thumbnail of the whole slide; grey and darker where nothing was read.

    Args:
        grid: labels (rows, cols).
        thumbnail: (h, w, 3) uint8.
        table: class colours.

    Returns:
        (h, w, 3) uint8.
    """
    height, width = thumbnail.shape[:2]
    rows = _cells_of(height, grid.y_edges_px(), grid.extent_px[1])
    columns = _cells_of(width, grid.x_edges_px(), grid.extent_px[0])
    labels = grid.labels[np.ix_(rows, columns)]
    colors = np.array([*(label.color for label in table), (0, 0, 0)], dtype=np.float32)
    blended = (1 - OPACITY) * thumbnail + OPACITY * colors[labels]
    grey = cv2.cvtColor(cv2.cvtColor(thumbnail, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return np.where((labels == NOT_READ)[..., None], grey, blended).round().astype(np.uint8)


def _cells_of(size: int, edges_px: np.ndarray, extent_px: float) -> np.ndarray:
    """The cell that holds the centre of each of `size` picture rows or columns."""
    centres_px = (np.arange(size) + 0.5) * extent_px / size
    return np.clip(np.searchsorted(edges_px, centres_px, side="right") - 1, 0, len(edges_px) - 2)


def _new_figure(aspect: float, beside: bool, entries: int) -> Figure:
    """Two panels of height / width = aspect, room for the titles and a legend of three columns."""
    legend_in = 0.5 + 0.24 * math.ceil(entries / 3)
    if beside:
        width_in = min(11.0, 2 * MAX_EDGE_IN / aspect)
        return new_figure(max(width_in, 7.0), width_in / 2 * aspect + legend_in + 0.6)
    return new_figure(11.0, 2 * (11.0 * aspect + 0.4) + legend_in + 0.3)


def _draw_scale_bar(axes: Axes, width_px: float, height_px: float, mpp: float) -> None:
    length_um = nice_length_um(SCALE_BAR_SHARE * width_px * mpp)
    length_px = length_um / mpp
    x, y = 0.04 * width_px, height_px - 0.04 * width_px
    text = f"{length_um / 1000:g} mm" if length_um >= 1000 else f"{length_um:g} µm"
    axes.plot([x, x + length_px], [y, y], color="white", linewidth=7, solid_capstyle="butt")
    axes.plot([x, x + length_px], [y, y], color="black", linewidth=4, solid_capstyle="butt")
    box = {"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 1.5}
    axes.annotate(
        text,
        (x + length_px / 2, y),
        xytext=(0, 7),
        textcoords="offset points",
        ha="center",
        va="bottom",
        fontsize=9,
        bbox=box,
    )
    axes.set_xlim(0, width_px)
    axes.set_ylim(height_px, 0)


def nice_length_um(limit_um: float) -> float:
    """The longest of 1, 2, 5, 10, 20, 50, ... um that is not above the limit (> 0)."""
    power = 10.0 ** math.floor(math.log10(limit_um))
    return max(factor * power for factor in (1, 2, 5) if factor * power <= limit_um * (1 + 1e-9))


def _shown(grid: LabelGrid, table: Sequence[ClassLabel]) -> list[tuple[ClassLabel, float]]:
    """Classes on the map with their share of what was read, largest first."""
    read = grid.labels != NOT_READ
    areas = np.bincount(grid.labels[read], grid.cell_areas_px()[read], minlength=len(table))
    order = [int(position) for position in np.argsort(-areas) if areas[position] > 0]
    return [(table[position], float(areas[position] / areas.sum())) for position in order]


def _add_legend(figure: Figure, grid: LabelGrid, table: Sequence[ClassLabel]) -> None:
    handles = [
        Patch(
            facecolor=unit_color(label.color),
            edgecolor=INK,
            linewidth=0.5,
            label=f"{label.name[:NAME_LENGTH]} {100 * share:.1f} %",
        )
        for label, share in _shown(grid, table)
    ]
    if (grid.labels == NOT_READ).any():
        grey = (NOT_READ_GREY,) * 3
        handles.append(Patch(facecolor=grey, edgecolor=INK, linewidth=0.5, label="grey picture: not read"))
    figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=9, frameon=False)
