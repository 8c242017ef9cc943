"""Polygons drawn back with Pillow give the label grid again."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import shapely
from PIL import Image, ImageDraw
from scipy import ndimage

from common.report.geojson import grid_to_geojson, merge_cells
from common.report.label_grid import LabelGrid

COLORS = ((230, 159, 0), (0, 114, 178), (213, 94, 0))
TABLE = [SimpleNamespace(value=i, name=f"class {i}", color=color) for i, color in enumerate(COLORS)]


def make_grid(shape: tuple[int, int], cell_px: float, mpp: float | None, smooth: float = 2.0) -> LabelGrid:
    rng = np.random.default_rng(5)
    fields = ndimage.gaussian_filter(rng.random((4, *shape)), (0, smooth, smooth))
    labels = fields.argmax(axis=0) - 1
    extent = (shape[1] * cell_px - cell_px / 4, shape[0] * cell_px - cell_px / 2)
    return LabelGrid(labels, rng.random(shape), cell_px, extent, mpp)


def draw(collection: dict, size: tuple[int, int], points: int) -> np.ndarray:
    """Position in the table at every level-0 pixel centre, -1 where no polygon is; holes are cut out."""
    picture = np.full(size[::-1], -1)
    for feature in collection["features"]:
        mask = Image.new("1", (size[0] * points, size[1] * points))
        pen = ImageDraw.Draw(mask)
        for number, ring in enumerate(feature["geometry"]["coordinates"]):
            corners = [(x * points - 0.5, y * points - 0.5) for x, y in ring]
            pen.polygon(corners, fill=int(number == 0))
        inside = np.asarray(mask)[points // 2 :: points, points // 2 :: points]
        assert (picture[inside] == -1).all()
        picture[inside] = int(feature["properties"]["classification"]["name"][-1])
    return picture


@pytest.mark.parametrize(("cell_px", "smooth"), [(6.0, 2.0), (5.5, 0.5)])
def test_drawn_back_it_is_the_label_grid(cell_px: float, smooth: float) -> None:
    grid = make_grid((21, 30), cell_px, 0.5, smooth)
    size = int(grid.extent_px[0]), int(grid.extent_px[1])
    picture = draw(grid_to_geojson(grid, TABLE), size, points=4)
    rows = ((np.arange(size[1]) + 0.5) / cell_px).astype(int)
    columns = ((np.arange(size[0]) + 0.5) / cell_px).astype(int)
    expected = grid.labels[np.ix_(rows, columns)]
    on_border = np.zeros(size[::-1], dtype=bool)  # pixels that a border of cells runs through
    on_border |= (np.floor(np.arange(size[1]) / cell_px) != np.floor(np.arange(1, size[1] + 1) / cell_px))[
        :, None
    ]
    on_border |= np.floor(np.arange(size[0]) / cell_px) != np.floor(np.arange(1, size[0] + 1) / cell_px)
    np.testing.assert_array_equal(picture[~on_border], expected[~on_border])


def test_polygons_are_valid_closed_and_inside_the_slide() -> None:
    grid = make_grid((40, 50), 33.3, 0.25, smooth=0.7)
    features = grid_to_geojson(grid, TABLE)["features"]
    holes = 0
    for feature in features:
        polygon = shapely.geometry.shape(feature["geometry"])
        assert polygon.is_valid and polygon.geom_type == "Polygon" and polygon.exterior.is_ccw
        assert polygon.bounds[0] >= 0 and polygon.bounds[2] <= grid.extent_px[0]
        assert polygon.bounds[1] >= 0 and polygon.bounds[3] <= grid.extent_px[1]
        for ring in feature["geometry"]["coordinates"]:
            assert ring[0] == ring[-1] and len(ring) >= 5
        holes += len(polygon.interiors)
    assert holes > 5


def test_areas_and_probabilities_add_up() -> None:
    grid = make_grid((40, 50), 33.3, 0.25)
    features = grid_to_geojson(grid, TABLE)["features"]
    for position, (name, area) in enumerate(grid.areas_mm2(TABLE).items()):
        measured = [
            feature["properties"]["measurements"]
            for feature in features
            if feature["properties"]["classification"]["name"] == name
        ]
        assert sum(row["Area mm^2"] for row in measured) == pytest.approx(area, rel=1e-6)
        cells = sum(row["Cells"] for row in measured)
        assert cells == (grid.labels == position).sum()
        mean = sum(row["Cells"] * row["Mean probability"] for row in measured) / cells
        assert mean == pytest.approx(grid.confidence[grid.labels == position].mean(), abs=1e-4)


def test_one_region_per_connected_component() -> None:
    mask = np.random.default_rng(2).random((60, 80)) < 0.5
    polygons = merge_cells(mask)
    assert len(polygons) == ndimage.label(mask)[1]
    assert sum(polygon.area for polygon in polygons) == mask.sum()


def test_a_ring_worked_by_hand() -> None:
    labels = np.full((4, 4), -1)
    labels[:3, :3] = 1
    labels[1, 1] = 0
    grid = LabelGrid(labels, np.ones((4, 4)), 10.0, (40.0, 40.0), None)
    inner, ring = grid_to_geojson(grid, TABLE, members={"weights": {"name": "w"}})["features"]
    assert shapely.geometry.shape(inner["geometry"]).equals(shapely.box(10, 10, 20, 20))
    expected = shapely.box(0, 0, 30, 30) - shapely.box(10, 10, 20, 20)
    assert shapely.geometry.shape(ring["geometry"]).equals(expected)
    assert [len(part) for part in ring["geometry"]["coordinates"]] == [5, 5]
    assert ring["properties"] == {
        "objectType": "annotation",
        "classification": {"name": "class 1", "color": [0, 114, 178]},
        "measurements": {"Mean probability": 1.0, "Cells": 8},
    }


def test_small_regions_may_be_left_out() -> None:
    grid = make_grid((40, 50), 33.3, 0.25, smooth=0.7)
    limit_um2 = 5.5 * (33.3 * 0.25) ** 2
    kept = grid_to_geojson(grid, TABLE, limit_um2)["features"]
    every = grid_to_geojson(grid, TABLE)["features"]
    areas = [feature["properties"]["measurements"]["Area mm^2"] * 1e6 for feature in every]
    assert 0 < len(kept) == sum(area >= limit_um2 for area in areas) < len(every)


def test_collection_is_plain_json_with_its_members() -> None:
    grid = make_grid((10, 10), 4.0, 0.5)
    collection = grid_to_geojson(grid, TABLE, members={"weights": {"purpose": "research"}})
    again = json.loads(json.dumps(collection))
    assert again["type"] == "FeatureCollection" and again["weights"] == {"purpose": "research"}
    nothing = LabelGrid(np.full((2, 2), -1), np.zeros((2, 2)), 4.0, (8.0, 8.0), 0.5)
    assert grid_to_geojson(nothing, TABLE)["features"] == []
