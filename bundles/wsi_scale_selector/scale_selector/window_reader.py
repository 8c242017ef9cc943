"""The pixels of the windows: few large reads, ahead of the network, cut into batches."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, TypeVar

import numpy as np

from common.io.slide import Slide

from .windows import Block, WindowGrid

READ_AHEAD = 2
Item = TypeVar("Item")
Read = TypeVar("Read")
Place = tuple[int, int]


def read_windows(
    slide: Slide, grid: WindowGrid, band: tuple[int, int], wanted: np.ndarray
) -> Iterator[tuple[Place, np.ndarray]]:
    """Every wanted window of a band: its row in the band, its column, its pixels (a view)."""
    tops, lefts = grid.tops_px(), grid.lefts_px()

    def read(block: Block) -> np.ndarray:
        x, y = lefts[block.column], tops[block.row]
        width = lefts[block.column_end - 1] - x + grid.size_px
        height = tops[block.row_end - 1] - y + grid.size_px
        corner_l0_px = float(x) * grid.downsample, float(y) * grid.downsample
        return slide.read_region(*corner_l0_px, grid.downsample, int(width), int(height), pad=True)

    for block, pixels in _read_ahead(read, grid.blocks(band, wanted)):
        columns = range(block.column, block.column_end)
        for row in range(block.row, block.row_end):
            for column in (column for column in columns if wanted[row, column]):
                y, x = tops[row] - tops[block.row], lefts[column] - lefts[block.column]
                yield (row - band[0], column), pixels[y : y + grid.size_px, x : x + grid.size_px]


def _read_ahead(read: Callable[[Item], Read], items: Iterable[Item]) -> Iterator[tuple[Item, Read]]:
    """`read(item)` for every item, up to `READ_AHEAD` of them before they are asked for, in one thread."""
    with ThreadPoolExecutor(1, thread_name_prefix="read") as pool:
        try:
            waiting = deque[Any]()
            for item in items:
                waiting.append((item, pool.submit(read, item)))
                if len(waiting) > READ_AHEAD:
                    item, future = waiting.popleft()
                    yield item, future.result()
            for item, future in waiting:
                yield item, future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def batch_windows(
    windows: Iterable[tuple[Place, np.ndarray]], size: int
) -> Iterator[tuple[list[Place], np.ndarray]]:
    """Places and pixels (n, e, e, 3), n <= size; the pixels are copies, so no read outlives its windows."""
    remaining = iter(windows)
    while chunk := list(_copies(islice(remaining, size))):
        places, patches = zip(*chunk, strict=True)
        yield list(places), np.stack(patches)


def _copies(windows: Iterable[tuple[Place, np.ndarray]]) -> Iterator[tuple[Place, np.ndarray]]:
    return ((place, patch.copy()) for place, patch in windows)
