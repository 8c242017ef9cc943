"""A label grid as GeoJSON that QuPath (0.4 or newer) and the Digital Slide Archive import as annotations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import shapely

from .label_grid import UM2_PER_MM2, ClassLabel, LabelGrid

DECIMALS = 3


def grid_to_geojson(
    grid: LabelGrid,
    table: Sequence[ClassLabel],
    min_area_um2: float = 0.0,
    members: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Merge neighbouring cells of one class (edge to edge) into polygons with holes.

    Args:
        grid: the labels; cells that were not read belong to no polygon.
        table: names and colours (RGB 0..255).
        min_area_um2: smaller regions are left out; has no effect where the resolution is unknown.
        members: further members of the collection, such as the weights' name and purpose.

    Returns:
        A FeatureCollection in level-0 pixels of the slide, origin at its top left corner, y downwards. Each
        feature has QuPath's properties: objectType, classification (name, colour) and measurements.
    """
    features = [
        feature
        for position, label in enumerate(table)
        for feature in _class_features(grid, position, label, min_area_um2)
    ]
    return {"type": "FeatureCollection", **(members or {}), "features": features}


def _class_features(
    grid: LabelGrid, position: int, label: ClassLabel, min_area_um2: float
) -> Iterator[dict[str, Any]]:
    mask = grid.labels == position
    if not mask.any():
        return
    for cells in merge_cells(mask):
        polygon = _to_pixels(cells, grid)
        area_um2 = None if grid.mpp is None else polygon.area * grid.mpp**2
        if area_um2 is not None and area_um2 < min_area_um2:
            continue
        yield {
            "type": "Feature",
            "geometry": shapely.geometry.mapping(polygon),
            "properties": {
                "objectType": "annotation",
                "classification": {"name": label.name, "color": [int(part) for part in label.color]},
                "measurements": _measure(cells, mask, grid, area_um2),
            },
        }


def merge_cells(mask: np.ndarray) -> list[shapely.Polygon]:
    """Polygons of the 4-connected regions of a mask, in cell coordinates (integers)."""
    rows, columns = np.nonzero(mask)
    cells = shapely.box(columns, rows, columns + 1, rows + 1)
    merged = shapely.simplify(shapely.coverage_union_all(cells), 0.0, preserve_topology=False)
    return list(shapely.get_parts(shapely.orient_polygons(merged)))


def _to_pixels(cells: shapely.Polygon, grid: LabelGrid) -> shapely.Polygon:
    def place(corners: np.ndarray) -> np.ndarray:
        return np.minimum(np.round(corners * grid.cell_px, DECIMALS), grid.extent_px)

    return shapely.transform(cells, place)


def _measure(
    cells: shapely.Polygon, mask: np.ndarray, grid: LabelGrid, area_um2: float | None
) -> dict[str, float]:
    left, top, right, bottom = (int(bound) for bound in cells.bounds)
    rows, columns = np.nonzero(mask[top:bottom, left:right])
    shapely.prepare(cells)
    inside = shapely.contains_xy(cells, columns + left + 0.5, rows + top + 0.5)
    probability = grid.confidence[rows[inside] + top, columns[inside] + left].mean()
    measured = {"Mean probability": round(float(probability), 4), "Cells": int(inside.sum())}
    return measured if area_um2 is None else {"Area mm^2": area_um2 / UM2_PER_MM2, **measured}
