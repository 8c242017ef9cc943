"""Tiled pyramidal TIFF from blocks, with every statement about resolution that a test may want, or none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import tifffile

from common.errors import ConfigError
from common.io.files import atomic_path

TILE_PX = 256
BLOCK_PX = 1024
QUALITY = 85
LAYOUTS = {"halves": (1, 2, 4, 8, 16), "quarters": (1, 4, 16)}
METADATA = ("full", "none", "wrong")
WRONG_FACTOR = 2.0  # a x40 scan that says x20


@dataclass
class Pyramid:
    """JPEG tiles of a slide, row by row per level. Level-0 pixels are never held as a whole."""

    size_px: tuple[int, int]
    tiles: dict[int, dict[tuple[int, int], bytes]] = field(default_factory=dict)

    def level_size(self, factor: int) -> tuple[int, int]:
        """Width and height of a level."""
        return self.size_px[0] // factor, self.size_px[1] // factor


def build_pyramid(
    size_px: tuple[int, int], layout: str, render: Callable[[int, int, int, int], np.ndarray]
) -> Pyramid:
    """Render blocks of 1024 pixels and keep their compressed tiles.

    Args:
        size_px: width and height at level 0, multiples of 16.
        layout: "halves" (1-2-4-8-16) or "quarters" (1-4-16, as Aperio).
        render: (x0, y0, width, height) -> uint8 RGB (height, width, 3).

    Raises:
        ConfigError: an unknown layout or an impossible size.
    """
    if layout not in LAYOUTS:
        raise ConfigError(
            f"pyramid: expected one of {', '.join(LAYOUTS)}, got '{layout}': choose one of them"
        )
    width, height = size_px
    if min(size_px) < BLOCK_PX or width % 16 or height % 16:
        raise ConfigError(
            f"size: expected multiples of 16 from {BLOCK_PX} on, got {width}x{height}: try 10240x8192"
        )
    pyramid = Pyramid(size_px)
    quarter = np.empty((height // 4, width // 4, 3), np.uint8)
    for y in range(0, height, BLOCK_PX):
        for x in range(0, width, BLOCK_PX):
            block = render(x, y, min(BLOCK_PX, width - x), min(BLOCK_PX, height - y))
            half = _halve(block)
            _keep(pyramid, 1, block, x, y)
            if 2 in LAYOUTS[layout]:
                _keep(pyramid, 2, half, x // 2, y // 2)
            small = _halve(half)
            quarter[y // 4 : y // 4 + small.shape[0], x // 4 : x // 4 + small.shape[1]] = small
    picture, factor = quarter, 4
    while factor <= LAYOUTS[layout][-1]:
        if factor in LAYOUTS[layout]:
            _keep(pyramid, factor, picture, 0, 0)
        picture, factor = _halve(picture), factor * 2
    return pyramid


def _halve(picture: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    return cv2.resize(picture, (width // 2, height // 2), interpolation=cv2.INTER_AREA)


def _keep(pyramid: Pyramid, factor: int, picture: np.ndarray, x0: int, y0: int) -> None:
    """Compress the tiles of a picture whose corner lies on a tile's corner."""
    level = pyramid.tiles.setdefault(factor, {})
    for y in range(0, picture.shape[0], TILE_PX):
        for x in range(0, picture.shape[1], TILE_PX):
            tile = picture[y : y + TILE_PX, x : x + TILE_PX]
            missing = (0, TILE_PX - tile.shape[0], 0, TILE_PX - tile.shape[1])
            tile = cv2.copyMakeBorder(tile, *missing, cv2.BORDER_REPLICATE)
            settings = [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
            coded = cv2.imencode(".jpg", cv2.cvtColor(tile, cv2.COLOR_RGB2BGR), settings)[1]
            level[(y0 + y) // TILE_PX, (x0 + x) // TILE_PX] = coded.tobytes()


def write_pyramid(
    path: Path, pyramid: Pyramid, mpp: float, metadata: str = "full", vendor: str = "aperio"
) -> None:
    """Write a TIFF that OpenSlide opens.

    Args:
        path: target, `.svs` or `.tiff`; written whole or not at all.
        pyramid: compressed tiles.
        mpp: true microns per level-0 pixel.
        metadata: "full", "none" (no statement about the pixel size at all) or "wrong" (every statement off
            by WRONG_FACTOR).
        vendor: "aperio" writes Aperio's description as well, "generic" only TIFF resolution tags.

    Raises:
        ConfigError: unknown `metadata` or `vendor`.
        OutputError: cannot be written.
    """
    if metadata not in METADATA:
        raise ConfigError(
            f"metadata: expected one of {', '.join(METADATA)}, got '{metadata}': choose one of them"
        )
    if vendor not in ("aperio", "generic"):
        raise ConfigError(f"vendor: expected aperio or generic, got '{vendor}': choose one of them")
    stated = None if metadata == "none" else mpp * (WRONG_FACTOR if metadata == "wrong" else 1.0)
    with atomic_path(path) as temporary, tifffile.TiffWriter(temporary, bigtiff=False) as writer:
        for factor in sorted(pyramid.tiles):
            width, height = pyramid.level_size(factor)
            writer.write(
                _in_order(pyramid.tiles[factor]),
                shape=(height, width, 3),
                dtype=np.uint8,
                tile=(TILE_PX, TILE_PX),
                photometric="ycbcr",
                subsampling=(2, 2),
                compression="jpeg",
                subfiletype=0 if factor == 1 else 1,
                description=_describe(pyramid.size_px, stated, vendor) if factor == 1 else None,
                metadata=None,
                software=False,
                **_resolution(stated, factor),
            )


def _in_order(tiles: dict[tuple[int, int], bytes]) -> Iterator[bytes]:
    return (tiles[place] for place in sorted(tiles))


def _resolution(mpp: float | None, factor: int) -> dict[str, object]:
    if mpp is None:
        return {}
    per_cm = 1e4 / (mpp * factor)
    return {"resolution": (per_cm, per_cm), "resolutionunit": "CENTIMETER"}


def _describe(size_px: tuple[int, int], mpp: float | None, vendor: str) -> str | None:
    if vendor == "generic":
        return None
    width, height = size_px
    start = f"Aperio Image Library v11.2.1 \n{width}x{height} ({TILE_PX}x{TILE_PX}) JPEG/RGB Q={QUALITY}"
    return start if mpp is None else f"{start}|AppMag = {10 / mpp:g}|MPP = {mpp:.4f}"
