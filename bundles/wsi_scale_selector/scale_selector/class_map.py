"""The class map: every window of a slide classified, probabilities averaged where windows overlap.

Penkin, Khvostikov, Krylov 2023, section 2: a coarse map that a smaller stride and averaging refine. Here the
softmax of all windows that cover a cell is summed and divided by their count.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import softmax
from tqdm import tqdm

from common.engines import Engine, patches_to_batch
from common.errors import InputError, OutputError
from common.io.slide import Slide
from common.report.label_grid import NOT_READ, LabelGrid

from .network import PatchClassifier
from .row_store import RowStore
from .window_reader import batch_windows, read_windows
from .windows import TissueTable, WindowGrid, plan_windows

MEAN_FILE = "probabilities.f32"


@dataclass(frozen=True)
class ClassMap:
    """Averaged class probabilities on a grid of square cells that starts at the slide's top left corner.

    Attributes:
        probabilities: float32 (C, rows, cols), 0 where nothing was read; a memory map in the working folder.
        counts: uint16 (rows, cols), windows that were averaged; 0 in cells that were left out.
        cell_px: edge of a cell in level-0 pixels.
        stride_px: the same in pixels of the map's scale.
        downsample: level-0 pixels per pixel that the windows were read at.
        extent_px: width and height of the slide in level-0 pixels; the last cells are cut off there.
        slide_mpp: microns per level-0 pixel, None if unknown.
    """

    probabilities: np.ndarray
    counts: np.ndarray
    cell_px: float
    stride_px: int
    downsample: float
    extent_px: tuple[float, float]
    slide_mpp: float | None

    @property
    def mpp(self) -> float | None:
        """Microns per pixel that the windows were read at, None if unknown."""
        return None if self.slide_mpp is None else self.slide_mpp * self.downsample

    def labels(self) -> np.ndarray:
        """Most probable class of every cell, int16 (rows, cols); -1 where nothing was read."""
        winner = self.probabilities.argmax(axis=0).astype(np.int16)
        return np.where(self.counts > 0, winner, np.int16(NOT_READ))

    def grid(self) -> LabelGrid:
        """Labels and their probability, as GeoJSON, OME-TIFF, pictures and areas take them."""
        confidence = self.probabilities.max(axis=0)
        return LabelGrid(self.labels(), confidence, self.cell_px, self.extent_px, self.slide_mpp)


def build_class_map(
    slide: Slide,
    network: PatchClassifier,
    engine: Engine,
    downsample: float,
    stride_px: int,
    workdir: Path,
    tissue: np.ndarray | None = None,
    min_tissue: float = 0.05,
    batch_size: int = 32,
    progress: bool = True,
) -> ClassMap:
    """Classify all windows with enough tissue; cells of the map without it stay empty, whatever covers them.

    One thread reads ahead while the network runs. Whatever the slide's size, memory holds at most
    `window_reader.READ_AHEAD` + 2 reads (`windows.MAX_READ_PX` squared each), two batches and one band of
    results; the rest is in `workdir`, from which an interrupted call goes on. The caller deletes it when the
    map has been used.

    Args:
        slide: open slide.
        network: gives the hyperplanes; probabilities are softmax(features W + b) in fp32.
        engine: runs the network's features; its patch size is the window's.
        downsample: level-0 pixels per pixel of a window.
        stride_px: step of the windows in pixels; divides their size.
        workdir: folder for unfinished work.
        tissue: (h, w) bool mask over the whole slide; None reads everything.
        min_tissue: windows and cells with a smaller share of tissue (0..1) are left out.
        batch_size: windows per forward pass.
        progress: show a progress bar on standard error.

    Raises:
        ConfigError: the stride does not divide the window.
        InputError: no tissue, or a slide smaller than one window.
        OutputError: the working folder cannot be written.
    """
    grid = plan_windows(slide, downsample, engine.shape_px[-1], stride_px)
    wanted, kept = _choose(grid, slide, tissue, min_tissue)
    weight, bias = (value.detach().cpu().float().numpy() for value in (network.weight, network.bias))
    key = _make_key(slide, network, engine, grid, wanted)
    store = RowStore(workdir, key, (grid.shape[1], weight.shape[1]))

    def classify(patches: np.ndarray) -> np.ndarray:
        return softmax(engine(patches_to_batch(patches)) @ weight + bias, axis=1)

    done, total = int(wanted[: store.finished].sum()), int(wanted.sum())
    quiet = None if progress else True  # None: no bar where standard error is no terminal
    with tqdm(total=total, initial=done, desc="class map", unit="window", disable=quiet) as bar:
        for band in grid.bands(store.finished):
            rows = np.full((band[1] - band[0], *store.row_shape), np.nan, dtype=np.float32)
            for places, patches in batch_windows(read_windows(slide, grid, band, wanted), batch_size):
                rows[tuple(np.transpose(places))] = classify(patches)
                bar.update(len(places))
            store.append(rows)
    return _average(store, grid, slide, kept)


def _choose(
    grid: WindowGrid, slide: Slide, tissue: np.ndarray | None, min_tissue: float
) -> tuple[np.ndarray, np.ndarray]:
    """Windows to classify and cells to keep."""
    if tissue is None:
        return np.ones(grid.shape, dtype=bool), np.ones(grid.cells, dtype=bool)
    table = TissueTable(grid, tissue, slide)
    wanted, kept = ((x > 0) & (x >= min_tissue) for x in (table.window_shares(), table.cell_shares()))
    if not wanted.any():
        raise InputError(
            f"{slide.path.name}: expected windows with at least {min_tissue:.0%} tissue, found none: check "
            "the slide's thumbnail or lower min_tissue"
        )
    return wanted, kept


def _make_key(
    slide: Slide, network: PatchClassifier, engine: Engine, grid: WindowGrid, wanted: np.ndarray
) -> dict[str, Any]:
    """What the numbers of the map depend on."""
    weights = hashlib.sha256()
    for tensor in chain(network.parameters(), network.buffers()):
        weights.update(tensor.detach().cpu().numpy().tobytes())
    return {
        "slide": slide.fingerprint(),
        "weights": weights.hexdigest(),
        "engine": engine.describe(),
        "grid": [grid.width_px, grid.height_px, grid.size_px, grid.stride_px, grid.downsample],
        "windows": hashlib.sha256(np.packbits(wanted).tobytes()).hexdigest(),
    }


def _average(store: RowStore, grid: WindowGrid, slide: Slide, kept: np.ndarray) -> ClassMap:
    """Mean over the windows of every cell, row by row, into a file beside the rows."""
    windows = store.read()
    rows, columns = grid.cells
    counts = np.zeros((rows, columns), dtype=np.uint16)
    path = store.folder / MEAN_FILE
    try:
        with path.open("wb") as file:
            for row in range(rows):
                over = windows[max(0, row - grid.overlap + 1) : row + 1]
                mean, number = _average_row(over, grid.overlap)
                counts[row] = number * kept[row]
                file.write((mean * kept[row, :, None]).tobytes())
    except OSError as error:
        raise OutputError(
            f"class map: expected room for it in output_dir, got '{error.strerror}': free space, start again"
        ) from error
    mapped = np.memmap(path, dtype=np.float32, mode="r", shape=(rows, columns, store.row_shape[1]))
    return ClassMap(
        probabilities=mapped.transpose(2, 0, 1),
        counts=counts,
        cell_px=grid.stride_px * grid.downsample,
        stride_px=grid.stride_px,
        downsample=grid.downsample,
        extent_px=(float(slide.width_px), float(slide.height_px)),
        slide_mpp=slide.mpp,
    )


def _average_row(windows: np.ndarray, overlap: int) -> tuple[np.ndarray, np.ndarray]:
    """Cells (cols, C) and counts (cols,) of one row from the rows of windows over it, (n, columns, C)."""
    total, number = np.nansum(windows, axis=0), (~np.isnan(windows[..., 0])).sum(axis=0)
    shape = (total.shape[0] + overlap - 1, total.shape[1])
    cells, counts = np.zeros(shape, dtype=np.float32), np.zeros(shape[0], dtype=np.int64)
    for shift in range(overlap):
        cells[shift : shift + len(total)] += total
        counts[shift : shift + len(total)] += number
    return cells / np.maximum(counts, 1)[:, None].astype(np.float32), counts.astype(np.uint16)
