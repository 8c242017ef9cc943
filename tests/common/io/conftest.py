"""A generated pyramid whose value at every level-0 point is known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

PERIOD_PX = 96.0


def wave(width: int, height: int, downsample: float, x0: float = 0.0, y0: float = 0.0) -> np.ndarray:
    """Red: a sine along x, green: along y, `PERIOD_PX` level-0 pixels long, averaged over each pixel."""
    damp = np.sinc(downsample / PERIOD_PX)
    x = x0 + (np.arange(width) + 0.5) * downsample
    y = y0 + (np.arange(height) + 0.5) * downsample
    picture = np.full((height, width, 3), 128.0)
    picture[..., 0] += 110 * damp * np.sin(2 * np.pi * x / PERIOD_PX)[None, :]
    picture[..., 1] += 110 * damp * np.sin(2 * np.pi * y / PERIOD_PX)[:, None]
    return picture


def write_pyramid(path: Path, width: int, height: int, factors: tuple[int, ...], **tags: Any) -> Path:
    """A tiled lossless TIFF pyramid of `wave`, each level cut off as vendors do (w // factor)."""
    with tifffile.TiffWriter(path) as tiff:
        for k in factors:
            pixels = np.rint(wave(width // k, height // k, k)).astype(np.uint8)
            options = {
                "tile": (256, 256),
                "compression": "zlib",
                "photometric": "rgb",
                "metadata": None,
                **tags,
            }
            tiff.write(pixels, subfiletype=int(k > 1), **options)
    return path


@pytest.fixture(scope="session")
def draw_wave() -> Callable[..., np.ndarray]:
    return wave


@pytest.fixture(scope="session")
def make_pyramid() -> Callable[..., Path]:
    return write_pyramid


@pytest.fixture(scope="session")
def pyramid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Levels 1, 2, 4, 8 of 2300 x 1800 px at 0.25 um/px."""
    path = tmp_path_factory.mktemp("pyramid") / "even.tif"
    return write_pyramid(
        path, 2300, 1800, (1, 2, 4, 8), resolution=(40000, 40000), resolutionunit="centimeter"
    )


@pytest.fixture(scope="session")
def aperio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Levels 1, 4, 16 of 2303 x 1801 px, which none divides; the objective contradicts the size."""
    path = tmp_path_factory.mktemp("aperio") / "odd.svs"
    description = "Aperio Image Library v12\r\n2303x1801|AppMag = 20|MPP = 0.2325|User = Secret Name"
    return write_pyramid(path, 2303, 1801, (1, 4, 16), description=description)
