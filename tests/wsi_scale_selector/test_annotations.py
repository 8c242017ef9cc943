"""Annotation files: three forms, hand-drawn squares whose areas are known."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import shapely

from common.errors import InputError
from scale_selector.annotations import Region, merge_by_class, read_regions

SQUARE = [[0, 0], [100, 0], [100, 100], [0, 100], [0, 0]]
HOLE = [[40, 40], [60, 40], [60, 60], [40, 60], [40, 40]]
FAR = [[[x + 200, y] for x, y in SQUARE]]
VALUES = {"AT": 0, "BG": 1}


def write(folder: Path, content: Any, name: str = "a.json") -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def feature(name: str | None, kind: str, coordinates: Any) -> dict[str, Any]:
    properties = {"objectType": "annotation", "classification": {"name": name, "color": [1, 2, 3]}}
    return {
        "type": "Feature",
        "geometry": {"type": kind, "coordinates": coordinates},
        "properties": properties if name else {},
    }


def test_path_dt_msu(tmp_path: Path) -> None:
    content = [{"class": "AT", "vertices": SQUARE[:4]}, {"class": "BG", "vertices": FAR[0]}]
    regions = read_regions(write(tmp_path, content))
    assert [(r.class_name, r.shape.area) for r in regions] == [("AT", 1e4), ("BG", 1e4)]


@pytest.mark.parametrize("wrapped", [True, False])
def test_geojson_with_holes_and_many_parts(tmp_path: Path, wrapped: bool) -> None:
    features = [
        feature("AT", "Polygon", [SQUARE, HOLE]),
        feature("BG", "MultiPolygon", [[SQUARE, HOLE], FAR]),
    ]
    content = {"type": "FeatureCollection", "features": features} if wrapped else features
    regions = read_regions(write(tmp_path, content, "a.geojson"))
    assert [r.shape.area for r in regions] == [1e4 - 400, 2e4 - 400]
    assert not shapely.contains_xy(regions[0].shape, 50, 50)


def test_a_single_feature(tmp_path: Path) -> None:
    assert len(read_regions(write(tmp_path, feature("AT", "Polygon", [SQUARE])))) == 1


def test_digital_slide_archive(tmp_path: Path) -> None:
    points = [[x, y, 0] for x, y in SQUARE]
    elements = [
        {"type": "polyline", "closed": True, "points": points, "group": "AT", "label": {"value": "other"}},
        {"type": "polyline", "closed": True, "points": points, "label": {"value": "BG"}},
        {"type": "point", "center": [1, 2, 0], "group": "AT"},
    ]
    regions = read_regions(write(tmp_path, {"annotation": {"elements": elements}}))
    assert [(r.class_name, r.shape.area) for r in regions] == [("AT", 1e4), ("BG", 1e4)]


def test_shapes_without_class_or_area_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = [
        feature("AT", "Polygon", [SQUARE]),
        feature(None, "Polygon", [SQUARE]),
        feature("AT", "LineString", SQUARE),
        feature("AT", "Polygon", [[[0, 0], [1, 0], [2, 0], [0, 0]]]),
    ]
    with caplog.at_level(logging.WARNING):
        assert len(read_regions(write(tmp_path, content))) == 1
    assert "left out 3 shapes" in caplog.text


def test_a_crossed_outline_is_repaired(tmp_path: Path) -> None:
    bow_tie = [[0, 0], [100, 100], [100, 0], [0, 100]]
    shape = read_regions(write(tmp_path, [{"class": "AT", "vertices": bow_tie}]))[0].shape
    assert shape.is_valid and shape.area == pytest.approx(5000)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "expected a JSON annotation file"),
        ([{"class": "AT", "vertices": "abc"}], "malformed entry"),
        ([{"class": "AT"}], "malformed entry"),
        ({"type": "FeatureCollection"}, "malformed entry"),
        ([], "expected annotated areas"),
    ],
)
def test_refusals(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_regions(write(tmp_path, content))


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a JSON annotation file, got FileNotFoundError"):
        read_regions(tmp_path / "none.json")


def test_merging_unites_touching_pieces_and_follows_aliases() -> None:
    left, right = shapely.box(0, 0, 10, 10), shapely.box(10, 0, 20, 10)
    regions = [Region("AT", left), Region("fat", right), Region("pen", right)]
    merged = merge_by_class(regions, VALUES, {"fat": "AT", "pen": None}, "a.json")
    assert list(merged) == [0] and merged[0].geom_type == "Polygon" and merged[0].area == 200


@pytest.mark.parametrize("aliases", [{}, {"fat": "unknown"}])
def test_unknown_class_names_the_known_ones(aliases: dict[str, str | None]) -> None:
    with pytest.raises(InputError, match=r"one of the classes AT, BG, got 'fat'.*--class_aliases"):
        merge_by_class([Region("fat", shapely.box(0, 0, 1, 1))], VALUES, aliases, "a.json")
