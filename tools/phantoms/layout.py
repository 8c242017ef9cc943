"""Where the tissues of a generated slide lie: a smooth random partition, and its outlines as polygons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import shapely
from scipy.spatial import cKDTree

from .noise import band_noise, window

CELL_PX = 16  # level-0 pixels per cell of the label map (4 um)
REGION_UM = 650.0  # distance of neighbouring seeds: several fields of view of 224 px at x20 (112 um)
MARGIN_UM = 120.0  # glass around the tissue
SMALLEST_UM2 = 4000.0
OUTLINE_PX = 4  # level-0 pixels per step of an outline


@dataclass(frozen=True)
class Layout:
    """The true class of every place.

    Attributes:
        labels: (h, w) uint8, one cell per CELL_PX x CELL_PX level-0 pixels.
        size_px: width and height at level 0.
    """

    labels: np.ndarray
    size_px: tuple[int, int]

    def at(self, x_px: np.ndarray, y_px: np.ndarray) -> np.ndarray:
        """Class under level-0 positions (inside the slide or clipped to it)."""
        height, width = self.labels.shape
        column = np.clip(np.asarray(x_px) // CELL_PX, 0, width - 1).astype(int)
        row = np.clip(np.asarray(y_px) // CELL_PX, 0, height - 1).astype(int)
        return self.labels[row, column]

    def weights(self, x0: int, y0: int, width: int, height: int) -> dict[int, np.ndarray]:
        """Share of each class in every pixel of a block (soft borders of about 4 um); they sum to 1.

        The block must start and end on multiples of CELL_PX.
        """
        margin = 3
        columns = np.arange(x0 // CELL_PX - margin, -(-(x0 + width) // CELL_PX) + margin)
        rows = np.arange(y0 // CELL_PX - margin, -(-(y0 + height) // CELL_PX) + margin)
        shape = self.labels.shape
        crop = self.labels[np.clip(rows, 0, shape[0] - 1)[:, None], np.clip(columns, 0, shape[1] - 1)]
        edge = margin * CELL_PX
        found = {}
        for value in np.unique(crop):
            share = cv2.GaussianBlur((crop == value).astype(np.float32), (0, 0), 1.0)
            share = cv2.resize(share, None, fx=CELL_PX, fy=CELL_PX, interpolation=cv2.INTER_LINEAR)
            share = np.clip(4 * share[edge : edge + height, edge : edge + width] - 1.5, 1e-6, 1)
            if share.max() > 1e-5:
                found[int(value)] = share
        total = sum(found.values())
        return {value: share / total for value, share in found.items()}


def draw_layout(
    rng: np.random.Generator, size_px: tuple[int, int], mpp: float, tissue_values: list[int], background: int
) -> Layout:
    """Warped Voronoi regions inside a wavy outline; every tissue appears if there are seeds enough."""
    width, height = (-(-side // CELL_PX) for side in size_px)
    cell_um = CELL_PX * mpp
    y, x = np.mgrid[0:height, 0:width] * cell_um
    warp = [_warp(rng, width, height, cell_um) for _ in range(2)]
    seeds = _seeds(rng, width * cell_um, height * cell_um)
    order = [rng.permutation(tissue_values) for _ in range(-(-len(seeds) // len(tissue_values)))]
    values = np.concatenate(order)[: len(seeds)].astype(np.uint8)
    nearest = cKDTree(seeds).query(np.stack([x + warp[0], y + warp[1]], -1).reshape(-1, 2))[1]
    labels = values[nearest].reshape(height, width)
    edge = np.minimum(np.minimum(x, y), np.minimum(x[:, ::-1], y[::-1])) + 0.5 * warp[0] - 0.3 * warp[1]
    labels[edge < MARGIN_UM] = background
    return Layout(_drop_specks(labels, SMALLEST_UM2 / cell_um**2), size_px)


def _warp(rng: np.random.Generator, width: int, height: int, cell_um: float) -> np.ndarray:
    """Displacement in um: waves of 450 um and, weaker, of 60 um."""
    coarse = window(band_noise(rng, 1024, 450 / cell_um), 0, 0, width, height)
    fine = window(band_noise(rng, 1024, 60 / cell_um), 0, 0, width, height)
    return 45 * coarse + 5 * fine


def _seeds(rng: np.random.Generator, width_um: float, height_um: float) -> np.ndarray:
    """One seed per jittered grid cell, (n, 2) um."""
    columns, rows = (max(1, round(side / REGION_UM)) for side in (width_um, height_um))
    grid = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), -1).reshape(-1, 2) + 0.5
    jittered = grid + rng.uniform(-0.28, 0.28, grid.shape)
    return jittered * [width_um / columns, height_um / rows]


def _drop_specks(labels: np.ndarray, smallest_cells: float) -> np.ndarray:
    """Give islands below a size to what surrounds them (a median does, at this size)."""
    smooth = cv2.medianBlur(labels, 5)
    for value in np.unique(smooth):
        count, parts, stats, _ = cv2.connectedComponentsWithStats((smooth == value).astype(np.uint8))
        for index in range(1, count):
            if stats[index, cv2.CC_STAT_AREA] < smallest_cells:
                island = parts == index
                ring = cv2.dilate(island.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool) & ~island
                smooth[island] = np.bincount(smooth[ring]).argmax()
    return smooth


def outlines(layout: Layout, value: int) -> list[shapely.Polygon]:
    """Polygons (with holes) of a class in level-0 pixels, exact to about OUTLINE_PX."""
    factor = CELL_PX // OUTLINE_PX
    mask = np.kron((layout.labels == value).astype(np.uint8), np.ones((factor, factor), np.uint8))
    rings, tree = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    polygons = []
    for index, ring in enumerate(rings):
        if tree[0][index][3] < 0 and len(ring) >= 3:
            holes = [_ring(rings[i]) for i in range(len(rings)) if tree[0][i][3] == index]
            polygon = shapely.Polygon(_ring(ring), [hole for hole in holes if len(hole) >= 3])
            clean = shapely.make_valid(polygon.simplify(OUTLINE_PX))
            polygons += [part for part in shapely.get_parts(clean) if part.geom_type == "Polygon"]
    return polygons


def _ring(contour: np.ndarray) -> np.ndarray:
    return (contour[:, 0, :] + 0.5) * OUTLINE_PX


def path_dt_msu(layout: Layout, names: dict[int, str]) -> list[dict[str, Any]]:
    """Annotation in the form of PATH-DT-MSU: polygons without holes, level-0 pixels."""
    return [
        {"class": name, "vertices": np.round(part.exterior.coords[:-1], 1).tolist()}
        for value, name in names.items()
        for polygon in outlines(layout, value)
        for part in _without_holes(polygon)
    ]


def geojson(layout: Layout, names: dict[int, str]) -> dict[str, Any]:
    """Annotation as QuPath imports it: holes kept, level-0 pixels."""
    features = [
        {
            "type": "Feature",
            "geometry": shapely.geometry.mapping(shapely.set_precision(polygon, 0.1)),
            "properties": {"objectType": "annotation", "classification": {"name": name}},
        }
        for value, name in names.items()
        for polygon in outlines(layout, value)
    ]
    return {"type": "FeatureCollection", "features": features}


def _without_holes(polygon: shapely.Polygon) -> list[shapely.Polygon]:
    """Cut through the first hole, again and again, until no piece has one."""
    if not polygon.interiors:
        return [polygon]
    x0, y0, x1, y1 = polygon.bounds
    cut = shapely.Polygon(polygon.interiors[0]).centroid.x
    halves = [polygon.intersection(shapely.box(a, y0, b, y1)) for a, b in ((x0, cut), (cut, x1))]
    pieces = [part for half in halves for part in shapely.get_parts(half) if part.geom_type == "Polygon"]
    return [part for piece in pieces if piece.area > 1 for part in _without_holes(piece)]
