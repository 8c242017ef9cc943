"""From a class map to the outlines that QuPath and the Digital Slide Archive draw: polygons without holes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely

from common.errors import InputError
from common.io.slide import Slide
from common.report.geojson import grid_to_geojson
from common.report.label_grid import ClassLabel, LabelGrid


@dataclass(frozen=True)
class Region:
    """A rectangle of a slide.

    Attributes:
        location: left and upper edge, level-0 pixels.
        size: width and height, level-0 pixels.
    """

    location: tuple[int, int]
    size: tuple[int, int]

    @property
    def box(self) -> tuple[int, int, int, int]:
        """x0, y0, x1, y1."""
        (x, y), (width, height) = self.location, self.size
        return x, y, x + width, y + height


def parse_region(request: Mapping[str, Any], slide: Slide) -> Region:
    """The region that a client asks for, cut off at the slide's border; size 0 x 0 means the whole slide.

    Raises:
        InputError: not two pairs of whole numbers, or nothing of the slide in it.
    """
    location, size = (request.get(key) or (0, 0) for key in ("location", "size"))
    try:
        (x, y), (width, height) = (tuple(int(value) for value in pair) for pair in (location, size))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"region: expected location [x, y] and size [width, height], got {location}, {size}: correct it"
        ) from error
    if (width, height) == (0, 0):
        x, y, width, height = 0, 0, slide.width_px, slide.height_px
    x0, y0 = max(x, 0), max(y, 0)
    x1, y1 = min(x + width, slide.width_px), min(y + height, slide.height_px)
    if x1 <= x0 or y1 <= y0:
        raise InputError(
            f"region: expected a part of the slide's {slide.width_px} x {slide.height_px} px, got {width} x "
            f"{height} px at {x}, {y}: draw it on the slide"
        )
    return Region((x0, y0), (x1 - x0, y1 - y0))


def limit_tissue(tissue: np.ndarray, slide: Slide, region: Region) -> np.ndarray:
    """The tissue mask (h, w) bool over the whole slide, empty outside the region (what it touches counts)."""
    rows, columns = tissue.shape
    x0, y0, x1, y1 = region.box
    left, right = x0 * columns // slide.width_px, -(-x1 * columns // slide.width_px)
    upper, lower = y0 * rows // slide.height_px, -(-y1 * rows // slide.height_px)
    limited = np.zeros_like(tissue)
    limited[upper:lower, left:right] = tissue[upper:lower, left:right]
    return limited


def to_elements(
    grid: LabelGrid, table: Sequence[ClassLabel], region: Region, min_area_px: float = 0.0
) -> list[dict[str, Any]]:
    """The outlines of each class inside the region, as MONAI Label's writers take them.

    Args:
        grid: class map over the slide.
        table: names of the classes.
        region: outlines are cut off at its border.
        min_area_px: smaller outlines are left out, level-0 pixels squared.

    Returns:
        {"label": name, "contours": [[[x, y], ...], ...]} of each class that is there, level-0 pixels.
    """
    frame, contours = shapely.box(*region.box), dict[str, list[Any]]()
    for feature in grid_to_geojson(grid, table)["features"]:
        shown = shapely.intersection(shapely.geometry.shape(feature["geometry"]), frame)
        for part in shapely.get_parts(shown):
            if part.geom_type == "Polygon" and part.area >= max(min_area_px, 1.0):
                outlines = [piece.exterior.coords[:-1] for piece in open_holes(part)]
                name = feature["properties"]["classification"]["name"]
                contours.setdefault(name, []).extend([list(map(list, outline)) for outline in outlines])
    return [{"label": name, "contours": found} for name, found in contours.items()]


def open_holes(polygon: shapely.Polygon) -> Iterator[shapely.Polygon]:
    """The same area as polygons without holes, which clients cannot read: cut through each hole."""
    if not polygon.interiors:
        yield polygon
        return
    x0, y0, x1, y1 = polygon.bounds
    cut = shapely.Polygon(polygon.interiors[0]).representative_point().x
    for side in (shapely.box(x0, y0, cut, y1), shapely.box(cut, y0, x1, y1)):
        for part in shapely.get_parts(shapely.intersection(polygon, side)):
            if part.geom_type == "Polygon":
                yield from open_holes(part)
