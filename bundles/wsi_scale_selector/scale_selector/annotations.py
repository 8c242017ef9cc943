"""Annotated regions of a slide, from the three file forms that pathology groups exchange."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import shapely
from shapely.geometry.base import BaseGeometry

from common.errors import InputError

SUFFIXES = (".json", ".geojson")
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Region:
    """One annotated area: a class name and a valid Polygon or MultiPolygon in level-0 pixels (x, y)."""

    class_name: str
    shape: BaseGeometry


def read_regions(path: str | Path) -> list[Region]:
    """Read one annotation file.

    Forms: PATH-DT-MSU `[{"class": "AT", "vertices": [[x, y], ...]}, ...]`; GeoJSON as QuPath writes it
    (`properties.classification.name`, Polygon and MultiPolygon with holes); Digital Slide Archive
    `{"annotation": {"elements": [{"type": "polyline", "points": [...], "group": ...}]}}`. Shapes without an
    area and shapes without a class are left out and counted in the log. Self-crossing outlines are repaired.

    Args:
        path: `.json` or `.geojson`, coordinates in level-0 pixels.

    Raises:
        InputError: not readable, not one of the forms, or no region in it.
    """
    path = Path(path)
    content = _read_json(path)
    try:
        found = list(_regions(content))
    except (KeyError, TypeError, ValueError, AttributeError, shapely.errors.ShapelyError) as error:
        raise InputError(
            f"{path.name}: expected PATH-DT-MSU, GeoJSON or DSA annotations, got a malformed entry "
            f"({type(error).__name__} {error}): export the annotations again"
        ) from error
    regions = [region for region in found if region is not None]
    if len(regions) < len(found):
        logger.warning("%s: left out %d shapes without class or area", path.name, len(found) - len(regions))
    if not regions:
        raise InputError(f"{path.name}: expected annotated areas with a class, got none: check the export")
    return regions


def merge_by_class(
    regions: Iterable[Region], class_values: Mapping[str, int], aliases: Mapping[str, str | None], source: str
) -> dict[int, BaseGeometry]:
    """Unite the regions of each class, so that touching pieces count as one area.

    Args:
        regions: regions of one slide.
        class_values: the classifier's class names and their values.
        aliases: annotation name -> class name, or None to ignore that annotation.
        source: file name for messages.

    Returns:
        Class value -> Polygon or MultiPolygon.

    Raises:
        InputError: a class that the classifier does not know.
    """
    shapes: dict[int, list[BaseGeometry]] = {}
    for region in regions:
        value = class_value(region.class_name, class_values, aliases, source)
        if value is not None:
            shapes.setdefault(value, []).append(region.shape)
    return {value: shapely.union_all(parts) for value, parts in sorted(shapes.items())}


def class_value(
    name: str, class_values: Mapping[str, int], aliases: Mapping[str, str | None], source: str
) -> int | None:
    """The value of an annotated class, None where the aliases say to ignore it.

    Raises:
        InputError: a class that the classifier does not know.
    """
    known = aliases.get(name, name)
    if known is None:
        return None
    if known not in class_values:
        raise InputError(
            f"{source}: expected one of the classes {', '.join(class_values)}, got '{name}': rename it with "
            f'--class_aliases \'{{"{name}": "KNOWN NAME"}}\', or give null there to ignore it'
        )
    return class_values[known]


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path.name}: expected a JSON annotation file, got {type(error).__name__}: check the file"
        ) from error


def _regions(content: Any) -> Iterator[Region | None]:
    if isinstance(content, dict) and "annotation" in content:
        return _dsa_regions(content["annotation"]["elements"])
    if isinstance(content, dict):
        features = content["features"] if content.get("type") == "FeatureCollection" else [content]
        return _geojson_regions(features)
    if content and "vertices" in content[0]:
        return (_region(entry["class"], [(entry["vertices"], [])]) for entry in content)
    return _geojson_regions(content)


def _geojson_regions(features: Iterable[Any]) -> Iterator[Region | None]:
    for feature in features:
        geometry, properties = feature["geometry"], feature.get("properties") or {}
        name = (properties.get("classification") or {}).get("name")
        polygons = {"Polygon": [geometry["coordinates"]], "MultiPolygon": geometry["coordinates"]}.get(
            geometry["type"], []
        )
        yield _region(name, [(rings[0], rings[1:]) for rings in polygons])


def _dsa_regions(elements: Iterable[Any]) -> Iterator[Region | None]:
    for element in elements:
        name = element.get("group") or (element.get("label") or {}).get("value")
        closed = element["type"] == "polyline" and element.get("closed", False)
        yield _region(name, [(element["points"], element.get("holes", []))] if closed else [])


def _region(name: str | None, polygons: Sequence[tuple[Any, Any]]) -> Region | None:
    """One valid region; None without a class or an area."""
    parts = [
        shapely.make_valid(shapely.Polygon([p[:2] for p in outer], [[p[:2] for p in hole] for hole in holes]))
        for outer, holes in polygons
        if len(outer) >= 3
    ]
    pieces = [piece for part in parts for piece in shapely.get_parts(part) if piece.area > 0]
    return Region(name, shapely.union_all(pieces)) if name and pieces else None
