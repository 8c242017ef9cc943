"""From a class map worked out by hand to the outlines that the clients get."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import shapely
from wsi_app.annotations import Region, limit_tissue, open_holes, parse_region, to_elements

from common.errors import InputError
from common.report.label_grid import NOT_READ, LabelGrid

TABLE = [
    SimpleNamespace(value=0, name="fat", color=(1, 2, 3)),
    SimpleNamespace(value=1, name="gland", color=(4, 5, 6)),
]
SLIDE = SimpleNamespace(width_px=400, height_px=200)


def grid_of(labels: list[list[int]]) -> LabelGrid:
    values = np.array(labels, np.int16)
    return LabelGrid(
        values, np.ones(values.shape), 10.0, (values.shape[1] * 10.0, values.shape[0] * 10.0), 0.5
    )


def polygons(elements: list[dict]) -> dict[str, list[shapely.Polygon]]:
    return {row["label"]: [shapely.Polygon(one) for one in row["contours"]] for row in elements}


def test_classes_become_outlines_in_slide_pixels():
    found = polygons(to_elements(grid_of([[0, 0, 1], [0, NOT_READ, 1]]), TABLE, Region((0, 0), (30, 20))))
    assert [part.area for part in found["fat"]] == [300] and [part.area for part in found["gland"]] == [200]
    assert found["gland"][0].equals(shapely.box(20, 0, 30, 20))


def test_outlines_end_at_the_region_and_small_ones_are_left_out():
    grid, region = grid_of([[0, 0, 1], [0, 0, 1]]), Region((5, 5), (17, 10))
    assert polygons(to_elements(grid, TABLE, region))["gland"][0].equals(shapely.box(20, 5, 22, 15))
    assert list(polygons(to_elements(grid, TABLE, region, min_area_px=21))) == ["fat"]


def test_holes_are_opened_without_loss_or_overlap():
    ring = [[0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    found = polygons(to_elements(grid_of(ring), TABLE, Region((0, 0), (40, 40))))
    united = shapely.union_all(found["fat"])
    assert sum(part.area for part in found["fat"]) == united.area == 1400
    assert not any(part.interiors for part in found["fat"])
    assert shapely.intersection(united, shapely.union_all(found["gland"])).area == 0


def test_a_polygon_without_holes_stays_as_it_is():
    square = shapely.box(0, 0, 2, 2)
    assert [part.equals(square) for part in open_holes(square)] == [True]


def test_region_is_cut_off_at_the_border_and_zero_means_all():
    assert parse_region({"location": [390, -5], "size": [50, 15]}, SLIDE) == Region((390, 0), (10, 10))
    assert parse_region({"location": [7, 7], "size": [0, 0]}, SLIDE).box == (0, 0, 400, 200)
    assert parse_region({}, SLIDE).box == (0, 0, 400, 200)


@pytest.mark.parametrize(
    ("request_", "match"),
    [
        (
            {"location": [400, 0], "size": [5, 5]},
            "expected a part of the slide's 400 x 200 px, got 5 x 5 px at 400, 0",
        ),
        ({"location": [1], "size": [5, 5]}, "expected location"),
        ({"location": ["a", 0], "size": [5, 5]}, "expected location"),
    ],
)
def test_refused_regions(request_, match):
    with pytest.raises(InputError, match=match):
        parse_region(request_, SLIDE)


def test_tissue_outside_the_region_is_not_read():
    limited = limit_tissue(np.ones((20, 40), bool), SLIDE, Region((95, 50), (11, 20)))
    assert np.argwhere(limited).min(axis=0).tolist() == [5, 9] and np.argwhere(limited).max(
        axis=0
    ).tolist() == [6, 10]
    assert not limit_tissue(np.zeros((20, 40), bool), SLIDE, Region((0, 0), (400, 200))).any()
