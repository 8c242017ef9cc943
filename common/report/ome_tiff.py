"""A label grid as a pyramidal OME-TIFF that carries its class names, colours and physical size."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from ..errors import ConfigError
from ..io.files import atomic_path
from .label_grid import ClassLabel

TILE_PX = 256
MAX_CLASSES = 255
NOT_READ_COLOR = (255, 255, 255)


def write_label_ome_tiff(
    path: str | Path,
    labels: np.ndarray,
    pixel_size_um: float | None,
    table: Sequence[ClassLabel],
    members: Mapping[str, Any] | None = None,
) -> None:
    """Write labels as 8-bit palette pixels: 0 = not read (white), n + 1 = n-th class of the table.

    Label viewers (napari, Fiji) take the numbers, for which 0 is background; picture viewers, OpenSlide among
    them, show the class colours through the palette. Reduced levels keep labels, they never mix them.

    Args:
        path: file to write, ".ome.tif".
        labels: (rows, cols) int, position in the table, -1 where nothing was read.
        pixel_size_um: edge of one cell in microns, None if unknown (then no physical size is written).
        table: names and colours (RGB 0..255), at most 255.
        members: further key-value pairs for the OME-XML, such as the weights' name and purpose.

    Raises:
        ConfigError: more classes than 8-bit pixels can hold.
        OutputError: the file cannot be written.
    """
    if len(table) > MAX_CLASSES:
        raise ConfigError(
            f"labels: expected at most {MAX_CLASSES} classes for an 8-bit label picture, got {len(table)}: "
            "declare a subset of the outputs"
        )
    levels = _halve(np.asarray(labels + 1, dtype=np.uint8))
    options: dict[str, Any] = {
        "photometric": "palette",
        "colormap": _palette(table),
        "tile": (TILE_PX, TILE_PX),
        "compression": "zlib",
    }
    with atomic_path(path) as temporary, tifffile.TiffWriter(temporary, ome=True) as tiff:
        metadata = _ome_metadata(pixel_size_um, table, members or {})
        tiff.write(levels[0], subifds=len(levels) - 1, metadata=metadata, **options)
        for level in levels[1:]:
            tiff.write(level, subfiletype=1, metadata=None, **options)


def _halve(pixels: np.ndarray) -> list[np.ndarray]:
    """The picture and its halved copies until the longer edge fits one tile, at least one copy."""
    levels = [pixels, pixels[::2, ::2]]
    while max(levels[-1].shape) > TILE_PX:
        levels.append(levels[-1][::2, ::2])
    return levels


def _palette(table: Sequence[ClassLabel]) -> np.ndarray:
    """(3, 256) uint16, as TIFF stores colours."""
    palette = np.zeros((3, 256), dtype=np.uint16)
    colors = [NOT_READ_COLOR, *(label.color for label in table)]
    palette[:, : len(colors)] = np.array(colors, dtype=np.uint16).T * 257
    return palette


def _ome_metadata(
    pixel_size_um: float | None, table: Sequence[ClassLabel], members: Mapping[str, Any]
) -> dict[str, Any]:
    names = {"0": "not read"} | {str(position + 1): label.name for position, label in enumerate(table)}
    further = {key: value if isinstance(value, str) else json.dumps(value) for key, value in members.items()}
    metadata: dict[str, Any] = {
        "axes": "YX",
        "Name": "class map",
        "Description": "pixel value: " + ", ".join(f"{value} = {name}" for value, name in names.items()),
        "MapAnnotation": {"Namespace": "class-map/labels", **names, **further},
    }
    if pixel_size_um is not None:
        size = {f"PhysicalSize{axis}": pixel_size_um for axis in "XY"}
        metadata |= {**size, "PhysicalSizeXUnit": "µm", "PhysicalSizeYUnit": "µm"}
    return metadata
