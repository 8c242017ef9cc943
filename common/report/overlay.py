"""The coloured class map over the slide (the paper's Fig. 3)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from .canvas import INK, new_figure, save_figure, unit_color
from .geojson import merge_cells
from .label_grid import NOT_READ, ClassLabel, LabelGrid

OPACITY = 0.55
TISSUE_GREY = 0.75
SCALE_BAR_SHARE = 0.3
MAX_WIDTH_IN, MIN_WIDTH_IN = 11.0, 7.0
MAX_HEIGHT_IN = 9.0
TITLE_IN = 0.35
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
    figure = new_figure(*_size_in(thumbnail), _legend_handles(grid, table))
    _draw_panels(figure, grid, (thumbnail, blend_labels(grid, thumbnail, table)), title)
    save_figure(figure, path, note)


def blend_labels(grid: LabelGrid, thumbnail: np.ndarray, table: Sequence[ClassLabel]) -> np.ndarray:
    """Class colours over a thumbnail of the whole slide without its own colours.

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
    grey = cv2.cvtColor(cv2.cvtColor(thumbnail, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    blended = (1 - OPACITY) * grey + OPACITY * colors[labels]
    return np.where((labels == NOT_READ)[..., None], grey, blended).round().astype(np.uint8)


def _cells_of(size: int, edges_px: np.ndarray, extent_px: float) -> np.ndarray:
    """The cell that holds the centre of each of `size` picture rows or columns."""
    centres_px = (np.arange(size) + 0.5) * extent_px / size
    return np.clip(np.searchsorted(edges_px, centres_px, side="right") - 1, 0, len(edges_px) - 2)


def _draw_panels(figure: Figure, grid: LabelGrid, pictures: Sequence[np.ndarray], title: str) -> None:
    width_px, height_px = grid.extent_px
    beside = _is_tall(pictures[0])
    panels = figure.subplots(1, 2) if beside else figure.subplots(2, 1)
    for axes, picture, name in zip(panels, pictures, ("Slide", title), strict=True):
        axes.imshow(picture, extent=(0, width_px, height_px, 0), interpolation="antialiased")
        axes.set_title(name, fontsize=10, loc="left", color=INK)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_color("#bbbbbb")
        if grid.mpp is not None:
            _draw_scale_bar(axes, width_px, height_px, grid.mpp)
    _outline_read(panels[1], grid)


def _is_tall(picture: np.ndarray) -> bool:
    return picture.shape[0] >= 0.6 * picture.shape[1]


def _outline_read(axes: Axes, grid: LabelGrid) -> None:
    """A line around everything that was read, so that grey tissue is not taken for a grey class."""
    read = grid.labels != NOT_READ
    if read.all() or not read.any():
        return
    edges = np.array([grid.extent_px])
    for region in merge_cells(read):
        for ring in (region.exterior, *region.interiors):
            corners = np.minimum(np.asarray(ring.coords) * grid.cell_px, edges)
            axes.plot(*corners.T, color=INK, linewidth=0.7)


def _size_in(picture: np.ndarray) -> tuple[float, float]:
    """Width and height of a figure with both panels."""
    aspect = picture.shape[0] / picture.shape[1]
    if _is_tall(picture):
        width = min(MAX_WIDTH_IN, 2 * MAX_HEIGHT_IN / aspect)
        return max(width, MIN_WIDTH_IN), width / 2 * aspect + TITLE_IN
    return MAX_WIDTH_IN, 2 * (MAX_WIDTH_IN * aspect + TITLE_IN)


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


def _over_grey(color: tuple[int, int, int]) -> tuple[float, float, float]:
    red, green, blue = (OPACITY * part + (1 - OPACITY) * TISSUE_GREY for part in unit_color(color))
    return red, green, blue


def _legend_handles(grid: LabelGrid, table: Sequence[ClassLabel]) -> list[Artist]:
    handles: list[Artist] = [
        Patch(
            facecolor=_over_grey(label.color),
            edgecolor=INK,
            linewidth=0.5,
            label=f"{label.name[:NAME_LENGTH]} {100 * share:.1f} %",
        )
        for label, share in _shown(grid, table)
    ]
    if (grid.labels == NOT_READ).any():
        handles.append(Line2D([], [], color=INK, linewidth=0.7, label="outside the line: not read"))
    return handles
