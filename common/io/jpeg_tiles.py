"""Read JPEG tiles straight from a TIFF or SVS: OpenSlide's own pixels in about a quarter of its CPU time.

OpenSlide composes a region as premultiplied ARGB with cairo and openslide-python turns that into RGBA; here
tiles are decoded to RGB by the same library (libjpeg-turbo, in imagecodecs) and copied. OpenSlide remains the
judge of everything unusual: gaps, overlaps, other compressions, and tiles that are damaged or cut off.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import tifffile

VENDORS = {"aperio", "generic-tiff"}
"""Formats whose levels are plain grids of tiles, without overlaps or gaps."""

TILE_CACHE_BYTES = 256 * 2**20
"""Decoded tiles kept: three rows of 256 px tiles of a slide 100 000 px wide, so that strips share them."""


_END_OF_IMAGE = b"\xff\xd9"


class DoubtfulTileError(Exception):
    """A tile that only OpenSlide may judge. Never leaves `slide_sources`."""


@dataclass(frozen=True)
class _Grid:
    """Where the tiles of one level are in the file, and how to decode them."""

    page: tifffile.TiffPage
    offsets: np.ndarray
    counts: np.ndarray

    @property
    def columns(self) -> int:
        return -(-self.page.imagewidth // self.page.tilewidth)


class JpegTiles:
    """The levels of a slide that are grids of JPEG tiles. Reading is safe from several threads."""

    def __init__(self, path: Path, grids: dict[int, _Grid]) -> None:
        self._file = path.open("rb")
        self._grids = grids
        self._lock = threading.Lock()
        self._cache: OrderedDict[tuple[int, int], np.ndarray] = OrderedDict()
        self._cached_bytes = 0

    def __contains__(self, level: int) -> bool:
        return level in self._grids

    def read(self, level: int, x_px: int, y_px: int, width_px: int, height_px: int) -> np.ndarray:
        """RGB uint8 (height_px, width_px, 3) of a rectangle inside a level.

        Raises:
            DoubtfulTileError: a tile is cut off or damaged, or the file was closed; ask OpenSlide.
        """
        grid = self._grids[level]
        tile_w, tile_h = grid.page.tilewidth, grid.page.tilelength
        result = np.empty((height_px, width_px, 3), np.uint8)
        rows = range(y_px // tile_h, (y_px + height_px - 1) // tile_h + 1)
        columns = range(x_px // tile_w, (x_px + width_px - 1) // tile_w + 1)
        for row, column in product(rows, columns):
            top, left = row * tile_h - y_px, column * tile_w - x_px
            tile = self._tile(level, row * grid.columns + column)[max(-top, 0) :, max(-left, 0) :]
            target = result[max(top, 0) : top + tile_h, max(left, 0) : left + tile_w]
            target[:] = tile[: target.shape[0], : target.shape[1]]
        return result

    def close(self) -> None:
        self._file.close()

    def _tile(self, level: int, index: int) -> np.ndarray:
        with self._lock:
            tile = self._cache.get((level, index))
            if tile is not None:
                self._cache.move_to_end((level, index))
                return tile
        tile = self._decode(self._grids[level], index)
        with self._lock:
            if (level, index) not in self._cache:
                self._cache[level, index] = tile
                self._cached_bytes += tile.nbytes
            while self._cached_bytes > TILE_CACHE_BYTES:
                self._cached_bytes -= self._cache.popitem(last=False)[1].nbytes
        return tile

    def _decode(self, grid: _Grid, index: int) -> np.ndarray:
        count = int(grid.counts[index])
        try:
            with self._lock:
                self._file.seek(int(grid.offsets[index]))
                content = self._file.read(count)
            decoded = grid.page.decode(content, index, jpegtables=grid.page.jpegtables)[0]
            tile = np.asarray(decoded).reshape(grid.page.tilelength, grid.page.tilewidth, 3)
        except Exception as error:  # a closed file, the decoder's own errors, a tile of another size
            raise DoubtfulTileError from error
        if len(content) < count or content.rstrip(b"\0")[-2:] != _END_OF_IMAGE:
            raise DoubtfulTileError  # the decoder has filled the missing end with grey and said nothing
        return tile


def open_jpeg_tiles(path: Path, sizes: Sequence[tuple[int, int]]) -> JpegTiles | None:
    """The levels (of these widths and heights) that are whole grids of 8-bit JPEG tiles; None if none is."""
    try:
        with tifffile.TiffFile(path) as tiff:
            pages = [page for page in tiff.pages if isinstance(page, tifffile.TiffPage) and _is_jpeg(page)]
            grids = {
                i: _grid(match[0]) for i, size in enumerate(sizes) if len(match := _of_size(pages, size)) == 1
            }
    except (tifffile.TiffFileError, OSError):
        return None
    grids = {level: grid for level, grid in grids.items() if grid.counts.all()}
    return JpegTiles(path, grids) if grids else None


def _is_jpeg(page: tifffile.TiffPage) -> bool:
    is_jpeg = page.is_tiled and page.compression == tifffile.COMPRESSION.JPEG
    return is_jpeg and page.dtype == np.uint8 and page.samplesperpixel == 3 and int(page.planarconfig) == 1


def _of_size(pages: list[tifffile.TiffPage], size: tuple[int, int]) -> list[tifffile.TiffPage]:
    return [page for page in pages if (page.imagewidth, page.imagelength) == size]


def _grid(page: tifffile.TiffPage) -> _Grid:
    """Reads what is lazy in a page while the file is open."""
    _ = page.decode, page.jpegtables
    return _Grid(page, np.asarray(page.dataoffsets, np.int64), np.asarray(page.databytecounts, np.int64))
