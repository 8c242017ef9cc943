"""A coarse map of class labels over a slide: what GeoJSON, OME-TIFF, pictures and areas share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

NOT_READ = -1
UM2_PER_MM2 = 1e6


class ClassLabel(Protocol):
    """One row of a label table; a grid's integers are positions in that table."""

    @property
    def value(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def color(self) -> tuple[int, int, int]: ...


@dataclass(frozen=True)
class LabelGrid:
    """Square cells over a whole slide, cut off at its right and bottom border.

    Attributes:
        labels: (rows, cols) int, position in the label table, `NOT_READ` where nothing was read.
        confidence: (rows, cols) float in 0..1, probability of that label; 0 where nothing was read.
        cell_px: edge of a cell in level-0 pixels.
        extent_px: width and height of the slide in level-0 pixels.
        mpp: microns per level-0 pixel, None if unknown.
    """

    labels: np.ndarray
    confidence: np.ndarray
    cell_px: float
    extent_px: tuple[float, float]
    mpp: float | None

    def x_edges_px(self) -> np.ndarray:
        """Borders of the columns in level-0 pixels, (cols + 1,), none beyond the slide."""
        return np.minimum(np.arange(self.labels.shape[1] + 1) * self.cell_px, self.extent_px[0])

    def y_edges_px(self) -> np.ndarray:
        """Borders of the rows in level-0 pixels, (rows + 1,), none beyond the slide."""
        return np.minimum(np.arange(self.labels.shape[0] + 1) * self.cell_px, self.extent_px[1])

    def cell_areas_px(self) -> np.ndarray:
        """Area of every cell inside the slide, (rows, cols), in level-0 pixels."""
        return np.outer(np.diff(self.y_edges_px()), np.diff(self.x_edges_px()))

    def areas_px(self, classes: int) -> np.ndarray:
        """Area of every class in level-0 pixels, (classes,)."""
        read = self.labels != NOT_READ
        return np.bincount(self.labels[read], self.cell_areas_px()[read], minlength=classes)

    def areas_mm2(self, table: Sequence[ClassLabel]) -> dict[str, float | None]:
        """Area of every class of the table in mm2 by name; None throughout if the resolution is unknown."""
        if self.mpp is None:
            return {label.name: None for label in table}
        areas_px = self.areas_px(len(table))
        to_mm2 = self.mpp**2 / UM2_PER_MM2
        return {label.name: float(area * to_mm2) for label, area in zip(table, areas_px, strict=True)}
