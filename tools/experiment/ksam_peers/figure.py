"""Fig. 5 of the paper: the same slices, a column for the truth and for every method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from matplotlib.lines import Line2D

from common.report.canvas import INK, line_color, new_figure, save_figure
from ksam.structures import Structure, values_of

from .scoring import ShownSlice

CELL_IN = 1.25
TITLE_IN = 0.55
MARGIN = 0.35
"""Share of the structures' extent that is shown around them."""

SHOWN_PX = 220
TRUTH = "truth"


def plot_methods(
    path: str | Path, columns: Mapping[str, Sequence[ShownSlice]], structures: Sequence[Structure], note: str
) -> None:
    """Outlines over the pictures; the cut is made around the truth, the same in every column.

    Args:
        path: PNG to write.
        columns: method -> its slices, the same ones for all methods.
        structures: of the label maps.
        note: footnote.

    Raises:
        OutputError: the file cannot be written.
    """
    first = next(iter(columns.values()))
    handles = [Line2D([], [], color=line_color(s.color), linewidth=3, label=s.name) for s in structures]
    size = CELL_IN * (len(columns) + 1), CELL_IN * len(first) + TITLE_IN
    figure = new_figure(max(size[0], 5.0), size[1], handles)
    panels = figure.subplots(len(first), len(columns) + 1, squeeze=False)
    for row, shown in enumerate(first):
        cut = find_cut(shown.truth)
        panels[row, 0].imshow(draw(shown.image, shown.truth, structures, cut))
        for place, slices in enumerate(columns.values(), 1):
            panels[row, place].imshow(draw(shown.image, slices[row].labels, structures, cut))
    for axes, title in zip(panels[0], (TRUTH, *columns), strict=True):
        axes.set_title(_wrap(title), fontsize=6.5, color=INK)
    for axes in panels.flat:
        axes.set_axis_off()
    save_figure(figure, path, note)


def find_cut(truth: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of the square around everything that is labelled, with a margin."""
    rows, columns = np.nonzero(truth)
    if not len(rows):
        return slice(0, truth.shape[0]), slice(0, truth.shape[1])
    half = (0.5 + MARGIN) * max(np.ptp(rows), np.ptp(columns)) + 2
    middle = (rows.min() + rows.max()) / 2, (columns.min() + columns.max()) / 2
    cut = [(max(0, round(at - half)), round(at + half) + 1) for at in middle]
    return slice(*cut[0]), slice(*cut[1])


def draw(
    image: np.ndarray, labels: np.ndarray, structures: Sequence[Structure], cut: tuple[slice, slice]
) -> np.ndarray:
    """RGB uint8: the cut part of the picture, a line around every structure.

    Args:
        image: (r, c) or (r, c, 3) uint8.
        labels: (r, c) label map.
        structures: of the label map; their colours are those of the lines.
        cut: rows, columns.
    """
    part = image[cut]
    part = cv2.cvtColor(part, cv2.COLOR_GRAY2RGB) if part.ndim == 2 else part.copy()
    scale = SHOWN_PX / max(part.shape[:2])
    size = (max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale)))
    shown = np.ascontiguousarray(cv2.resize(part, size, interpolation=cv2.INTER_LINEAR))
    for structure in structures:
        mask = np.isin(labels[cut], values_of(structure, structures)).astype(np.uint8)
        large = cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST)
        lines, _ = cv2.findContours(large, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(shown, lines, -1, structure.color, 2)
    return shown


def _wrap(title: str, width: int = 16) -> str:
    lines = [""]
    for word in title.split():
        lines += [word] if lines[-1] and len(lines[-1]) + len(word) >= width else []
        if lines[-1] is not word:
            lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)
