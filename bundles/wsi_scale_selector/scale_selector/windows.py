"""Where the windows of a class map stand on a slide, and which of them are worth reading.

Positions are in pixels of the map's scale unless a name ends in `_l0_px` (level-0 pixels).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from common.errors import ConfigError, InputError
from common.io.slide import Slide

MAX_READ_PX = 2048
"""Edge of the largest read from a pyramid level (17 MB as RGBA), unless one window needs more."""


@dataclass(frozen=True)
class Block:
    """Windows that are cut from one read: rows and columns of windows, ends excluded."""

    row: int
    row_end: int
    column: int
    column_end: int


@dataclass(frozen=True)
class WindowGrid:
    """Windows of `size_px` every `stride_px`; cells of `stride_px` tile the slide.

    The window (i, j) covers the cells i..i+k-1, j..j+k-1 with k = size_px / stride_px. The last row and the
    last column of windows are moved back to the slide's border, by less than one cell: they still contain
    their cells, which are cut off there too. So every window shows nothing but slide, and covers all cells.

    Attributes:
        width_px, height_px: the slide at the map's scale, whole pixels.
        size_px: edge e of a window.
        stride_px: step of the windows and edge of a cell.
        downsample: level-0 pixels per pixel.
        read_px: edge of the largest read.
    """

    width_px: int
    height_px: int
    size_px: int
    stride_px: int
    downsample: float
    read_px: int

    @property
    def overlap(self) -> int:
        """k: windows over an inner cell, along one axis."""
        return self.size_px // self.stride_px

    @property
    def cells(self) -> tuple[int, int]:
        """Rows and columns of cells."""
        return math.ceil(self.height_px / self.stride_px), math.ceil(self.width_px / self.stride_px)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of windows."""
        rows, columns = self.cells
        return rows - self.overlap + 1, columns - self.overlap + 1

    def tops_px(self) -> np.ndarray:
        """Upper edge of every row of windows."""
        return np.minimum(np.arange(self.shape[0]) * self.stride_px, self.height_px - self.size_px)

    def lefts_px(self) -> np.ndarray:
        """Left edge of every column of windows."""
        return np.minimum(np.arange(self.shape[1]) * self.stride_px, self.width_px - self.size_px)

    def bands(self, first_row: int = 0) -> Iterator[tuple[int, int]]:
        """Rows of windows that are read together, from `first_row` on: (row, row_end)."""
        step = self._windows_per_read()
        for row in range(first_row, self.shape[0], step):
            yield row, min(row + step, self.shape[0])

    def blocks(self, band: tuple[int, int], wanted: np.ndarray) -> Iterator[Block]:
        """The reads of a band, each shrunk to the windows that are wanted.

        Args:
            band: row and row_end.
            wanted: (rows, columns) bool of all windows.
        """
        step = self._windows_per_read()
        for column in range(0, self.shape[1], step):
            rows, columns = np.nonzero(wanted[band[0] : band[1], column : column + step])
            if len(rows):
                top, left = band[0] + rows.min(), column + columns.min()
                yield Block(top, band[0] + rows.max() + 1, left, column + columns.max() + 1)

    def _windows_per_read(self) -> int:
        return max(1, (self.read_px - self.size_px) // self.stride_px + 1)


def plan_windows(slide: Slide, downsample: float, size_px: int, stride_px: int) -> WindowGrid:
    """Lay the windows over a slide.

    Raises:
        ConfigError: the stride does not divide the window.
        InputError: the slide is smaller than one window at this scale.
    """
    if stride_px < 1 or size_px % stride_px:
        valid = ", ".join(str(step) for step in range(size_px, 0, -1) if size_px % step == 0)
        raise ConfigError(f"stride_px: expected a divisor of {size_px} px ({valid}), got {stride_px}")
    width, height = (math.floor(length / downsample + 1e-6) for length in (slide.width_px, slide.height_px))
    if min(width, height) < size_px:
        raise InputError(
            f"{slide.path.name}: expected at least {size_px} x {size_px} px at {downsample:.3g} slide pixels "
            f"per pixel, got {width} x {height}: choose a higher magnification with --map_scale"
        )
    level = max((step for step in slide.downsamples if step <= downsample * 1.001), default=1.0)
    read_px = int(MAX_READ_PX * min(1.0, level / downsample))
    return WindowGrid(width, height, size_px, stride_px, downsample, read_px)


class TissueTable:
    """Sums of a tissue mask, from which the share of tissue in any rectangle follows exactly.

    Args:
        grid: says where the mask lies.
        tissue: (h, w) bool over the whole slide, taken as square pixels.
        slide: its size in level-0 pixels.
    """

    def __init__(self, grid: WindowGrid, tissue: np.ndarray, slide: Slide) -> None:
        self.grid = grid
        self.table = np.pad(tissue.astype(np.float64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
        self.per_row = grid.downsample * tissue.shape[0] / slide.height_px
        self.per_column = grid.downsample * tissue.shape[1] / slide.width_px

    def window_shares(self) -> np.ndarray:
        """Share of tissue in every window, (rows, columns), 0..1."""
        tops, lefts, size = self.grid.tops_px(), self.grid.lefts_px(), self.grid.size_px
        return self._shares(tops, tops + size, lefts, lefts + size)

    def cell_shares(self) -> np.ndarray:
        """Share of tissue in the part of every cell that lies on the slide, (rows, cols), 0..1."""
        grid = self.grid
        rows, columns = (np.arange(number + 1) * grid.stride_px for number in grid.cells)
        rows, columns = np.minimum(rows, grid.height_px), np.minimum(columns, grid.width_px)
        return self._shares(rows[:-1], rows[1:], columns[:-1], columns[1:])

    def _shares(self, top: np.ndarray, bottom: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        upper, lower = self._sums(top, left, right), self._sums(bottom, left, right)
        area = np.outer((bottom - top) * self.per_row, (right - left) * self.per_column)
        return np.clip((lower - upper) / area, 0.0, 1.0)

    def _sums(self, row: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Tissue above `row`, between `left` and `right`."""
        ends = (np.meshgrid(row * self.per_row, x * self.per_column, indexing="ij") for x in (left, right))
        before, until = (ndimage.map_coordinates(self.table, at, order=1, mode="nearest") for at in ends)
        return until - before
