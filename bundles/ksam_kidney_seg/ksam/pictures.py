"""The pictures of one case: slices and photographs with outlines, coronal overview, the prompts used."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.lines import Line2D
from matplotlib.patheffects import Normal, Stroke

from common.report.canvas import INK, new_figure, save_figure, unit_color

from .frame import Frame
from .structures import Structure, find_depth, mask_of

PANEL_IN = 3.3
CORONAL_IN = 8.0
TITLE_IN = 0.3
MARGIN_SHARE = 0.35
MIN_ZOOM_PX = 48
MAX_TEMPLATES = 6
MAX_DISAGREEMENT = 0.5
"""Standard deviation of a probability that stands at the end of the colour scale: half say 0, half say 1."""

# transparent to magenta: no structure of the palette has it, and it stands out on grey
DOUBT = LinearSegmentedColormap.from_list("doubt", [(1, 0, 0.8, 0), (1, 0, 0.8, 0.9)])
_CASING = [Stroke(linewidth=2.4, foreground="black"), Normal()]


@dataclass(frozen=True)
class Panel:
    """A slice or photograph that is shown.

    Attributes:
        title: where it is and why it is shown.
        image: (r, c) or (r, c, 3), 0..255, as the network sees it.
        labels: (r, c) label map.
        disagreement: (r, c) 0..0.5, how far the templates differ; None if there was only one.
        frame: part of the slice that the network saw.
        spacing_mm: of rows and columns; None where it is not known.
        radiological: the patient's right is at the left, and the picture says so.
    """

    title: str
    image: np.ndarray
    labels: np.ndarray
    disagreement: np.ndarray | None
    frame: Frame
    spacing_mm: tuple[float, float] | None
    radiological: bool


def draw_panels(path: Path, panels: Sequence[Panel], structures: Sequence[Structure], note: str) -> None:
    """A row per slice: the slice with outlines, its middle enlarged, and where the templates disagree.

    Raises:
        OutputError: the file cannot be written.
    """
    doubtful = any(panel.disagreement is not None for panel in panels)
    columns = 3 if doubtful else 2
    height_in = len(panels) * (PANEL_IN + TITLE_IN)
    figure = new_figure(columns * PANEL_IN, height_in, _legend(structures, doubtful))
    grid = figure.subplots(len(panels), columns, squeeze=False)
    for row, panel in zip(grid, panels, strict=True):
        _draw_whole(row[0], panel, structures)
        _draw_zoom(row[1], panel, structures, "enlarged")
        if doubtful:
            _draw_zoom(row[2], panel, (), "where the templates disagree")
            _draw_doubt(row[2], panel)
    save_figure(figure, path, note)


def _draw_whole(axes: Axes, panel: Panel, structures: Sequence[Structure]) -> None:
    _draw_image(axes, panel, panel.title)
    draw_outlines(axes, panel.labels, structures)
    y0, x0, side = panel.frame.box_px
    rows, columns = panel.image.shape[:2]
    axes.set_xlim(max(x0, 0) - 0.5, min(x0 + side, columns) - 0.5)
    axes.set_ylim(min(y0 + side, rows) - 0.5, max(y0, 0) - 0.5)
    if panel.radiological:
        _write_sides(axes)
    if panel.spacing_mm is not None:
        _draw_scale_bar(axes, panel.spacing_mm[1])


def _draw_zoom(axes: Axes, panel: Panel, structures: Sequence[Structure], title: str) -> None:
    _draw_image(axes, panel, title)
    draw_outlines(axes, panel.labels, structures)
    y0, x0, side = zoom_box(panel.labels)
    axes.set_xlim(x0 - 0.5, x0 + side - 0.5)
    axes.set_ylim(y0 + side - 0.5, y0 - 0.5)
    axes.set_facecolor("black")


def _draw_doubt(axes: Axes, panel: Panel) -> None:
    if panel.disagreement is not None:
        axes.imshow(panel.disagreement, cmap=DOUBT, vmin=0, vmax=MAX_DISAGREEMENT, aspect=_aspect(panel))


def _draw_image(axes: Axes, panel: Panel, title: str) -> None:
    axes.imshow(panel.image.astype(np.uint8), cmap="gray", vmin=0, vmax=255, aspect=_aspect(panel))
    _finish(axes, title)


def _aspect(panel: Panel) -> float:
    return 1.0 if panel.spacing_mm is None else panel.spacing_mm[0] / panel.spacing_mm[1]


def _finish(axes: Axes, title: str) -> None:
    axes.set_title(title, fontsize=9, loc="left", color=INK)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def draw_outlines(axes: Axes, labels: np.ndarray, structures: Sequence[Structure]) -> None:
    """A line around each structure (its children included), children last so that they stay visible.

    Args:
        axes: in pixels of `labels`.
        labels: (r, c) label map.
        structures: colours and families.
    """
    for structure in sorted(structures, key=lambda row: find_depth(row, structures)):
        mask: np.ndarray = np.pad(mask_of(labels, structure, structures), 1)  # closes lines at the edge
        if mask.any():
            rows, columns = (np.arange(-1, size + 1) for size in labels.shape)
            color = unit_color(structure.color)
            lines = axes.contour(columns, rows, mask, levels=[0.5], colors=[color], linewidths=1.2)
            lines.set_path_effects(_CASING)


def zoom_box(labels: np.ndarray) -> tuple[int, int, int]:
    """Square (y0, x0, side) around everything labelled, with a margin; the whole where nothing is."""
    filled = np.argwhere(labels)
    if not len(filled):
        return 0, 0, max(labels.shape)
    low, high = filled.min(axis=0), filled.max(axis=0) + 1
    side = max(MIN_ZOOM_PX, math.ceil((1 + MARGIN_SHARE) * int((high - low).max())))
    y0, x0 = ((low + high - side) // 2).tolist()
    return y0, x0, side


def _write_sides(axes: Axes) -> None:
    for place, text in ((0.02, "R"), (0.98, "L")):
        align = "left" if text == "R" else "right"
        words = axes.text(place, 0.5, text, transform=axes.transAxes, ha=align, va="center", fontsize=10)
        words.set_color("white")
        words.set_path_effects([Stroke(linewidth=2, foreground="black"), Normal()])


def _draw_scale_bar(axes: Axes, column_mm: float) -> None:
    """The longest of 1, 2, 5, 10, 20, ... mm that takes at most a third of the picture."""
    left, right = axes.get_xlim()
    limit_mm = (right - left) * column_mm / 3
    power = 10.0 ** math.floor(math.log10(limit_mm))
    length_mm = max(factor * power for factor in (1, 2, 5) if factor * power <= limit_mm * (1 + 1e-9))
    end = right - 0.04 * (right - left)
    bottom, top = axes.get_ylim()
    height = bottom - 0.05 * (bottom - top)
    (line,) = axes.plot([end - length_mm / column_mm, end], [height, height], color="white", linewidth=2.5)
    line.set_path_effects([Stroke(linewidth=4.5, foreground="black"), Normal()])
    text = f"{length_mm / 10:g} cm" if length_mm >= 10 else f"{length_mm:g} mm"
    words = axes.annotate(
        text,
        (end - length_mm / column_mm / 2, height),
        xytext=(0, 4),
        textcoords="offset points",
        ha="center",
        color="white",
        fontsize=8,
    )
    words.set_path_effects([Stroke(linewidth=2, foreground="black"), Normal()])


def _legend(structures: Sequence[Structure], doubtful: bool = False) -> list[Artist]:
    handles: list[Artist] = []
    for row in structures:
        line = Line2D([], [], color=unit_color(row.color), linewidth=2.5, label=row.name)
        line.set_path_effects([Stroke(linewidth=4, foreground="black"), Normal()])
        handles.append(line)
    if doubtful:
        handles.append(
            Line2D(
                [], [], color=(1, 0, 0.8), marker="s", markersize=8, linestyle="none", label="disagreement"
            )
        )
    return handles


def draw_coronal(
    path: Path,
    voxels: np.ndarray,
    labels: np.ndarray,
    spacing_mm: tuple[float, float, float],
    structures: Sequence[Structure],
    note: str,
) -> None:
    """The body from the front: mean of the slices' pixels, and over it where each structure lies.

    Args:
        path: PNG to write.
        voxels: (R, C, Z) 0..255 or HU, axial view.
        labels: (R, C, Z) label map, not empty.
        spacing_mm: of rows, columns, slices.
        structures: colours and families.
        note: footnote.

    Raises:
        OutputError: the file cannot be written.
    """
    rows = np.flatnonzero(labels.any(axis=(1, 2)))
    thick = voxels[rows[0] : rows[-1] + 1].astype(np.float32).mean(axis=0).T[::-1]  # (Z, C), head at the top
    height, width = thick.shape[0] * spacing_mm[2], thick.shape[1] * spacing_mm[1]
    figure = new_figure(CORONAL_IN, max(1.5, CORONAL_IN * height / width) + TITLE_IN, _legend(structures))
    axes = figure.add_subplot()
    low, high = np.percentile(thick, (5, 99.5))
    axes.imshow(thick, cmap="gray", vmin=low, vmax=max(high, low + 1), aspect=spacing_mm[2] / spacing_mm[1])
    for structure in structures:
        shadow = np.asarray(mask_of(labels, structure, structures).any(axis=0)).T[::-1]
        draw_outlines(axes, shadow.astype(np.uint8), [_alone(structure)])
    _finish(axes, "from the front (mean of the slices' depth; outlines of everything found)")
    _write_sides(axes)
    _draw_scale_bar(axes, spacing_mm[1])
    save_figure(figure, path, note)


def _alone(structure: Structure) -> Structure:
    return Structure(structure.name, 1, None, structure.color)


def draw_prompts(
    path: Path,
    templates: Sequence[tuple[str, np.ndarray, Mapping[str, np.ndarray]]],
    structures: Sequence[Structure],
    note: str,
) -> None:
    """The example slices that told the network what to segment.

    Args:
        path: PNG to write.
        templates: (name, image (r, c) or (r, c, 3) 0..255, masks (r, c) bool by structure), at least one; the
            first `MAX_TEMPLATES` are shown.
        structures: colours and families.
        note: footnote.

    Raises:
        OutputError: the file cannot be written.
    """
    shown = templates[:MAX_TEMPLATES]
    columns = min(3, len(shown))
    rows = math.ceil(len(shown) / columns)
    figure = new_figure(max(2, columns) * PANEL_IN, rows * (PANEL_IN + TITLE_IN), _legend(structures))
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, template in zip(grid, shown, strict=False):
        _draw_template(axes, *template, structures)
    for axes in grid[len(shown) :]:
        axes.set_visible(False)
    save_figure(figure, path, note)


def _draw_template(
    axes: Axes,
    name: str,
    image: np.ndarray,
    masks: Mapping[str, np.ndarray],
    structures: Sequence[Structure],
) -> None:
    axes.imshow(image.astype(np.uint8), cmap="gray", vmin=0, vmax=255)
    for structure in sorted(structures, key=lambda row: find_depth(row, structures)):
        if structure.name in masks:
            draw_outlines(axes, masks[structure.name].astype(np.uint8), [_alone(structure)])
    _finish(axes, name)
