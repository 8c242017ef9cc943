"""The grid of a view in millimetres, with the chest wall on the left, and how curves are drawn on it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from .mammo_shape import ViewShape

SHIFT = 4  # fractional bits of OpenCV's coordinates
SKIN_STEP_PX = 2  # the distance from the skin is computed on every second pixel of large films
LARGE_PX = 1500


@dataclass(frozen=True)
class Film:
    """Where the view coordinates lie on the pixels.

    Attributes:
        rows: of the picture.
        columns: likewise.
        pixel_mm: edge of a pixel.
        top_mm: height v of the upper edge; the left edge is d = 0.
    """

    rows: int
    columns: int
    pixel_mm: float
    top_mm: float

    def grid(self) -> tuple[np.ndarray, np.ndarray]:
        """d (rows, columns) and v (rows, columns) in mm of the pixel centres, float32."""
        d = (np.arange(self.columns, dtype=np.float32) + 0.5) * np.float32(self.pixel_mm)
        v = np.float32(self.top_mm) - (np.arange(self.rows, dtype=np.float32) + 0.5) * np.float32(
            self.pixel_mm
        )
        return np.tile(d, (self.rows, 1)), np.repeat(v[:, None], self.columns, 1)

    def to_px(self, places_mm: np.ndarray) -> np.ndarray:
        """(n, 2) d, v in mm -> (n, 2) x, y, where the centre of the first pixel is 0.5, 0.5."""
        places = np.asarray(places_mm, float)
        return np.stack([places[..., 0], self.top_mm - places[..., 1]], -1) / self.pixel_mm

    def window(self, center_mm: np.ndarray, reach_mm: float) -> tuple[slice, slice]:
        """Rows and columns around a place; empty slices if it is off the film."""
        x, y = self.to_px(center_mm)
        reach = reach_mm / self.pixel_mm
        rows = [int(np.clip(y + side * reach, 0, self.rows)) for side in (-1, 1)]
        columns = [int(np.clip(x + side * reach, 0, self.columns)) for side in (-1, 1)]
        return slice(*rows), slice(*columns)

    def local(self, place: tuple[slice, slice], center_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Distances right of and above a centre, mm, on a window: (1, w) and (h, 1) float32."""
        x = (np.arange(place[1].start, place[1].stop) + 0.5) * self.pixel_mm - center_mm[0]
        y = self.top_mm - (np.arange(place[0].start, place[0].stop) + 0.5) * self.pixel_mm - center_mm[1]
        return x[None].astype(np.float32), y[:, None].astype(np.float32)

    def depth_below_skin(self, shape: ViewShape, nipple_mm: float) -> np.ndarray:
        """Distance from the skin in mm inside the breast, 0 outside; (rows, columns) float32."""
        step = SKIN_STEP_PX if max(self.rows, self.columns) > LARGE_PX else 1
        size = (-(-self.rows // step), -(-self.columns // step))
        inside = np.zeros(size, np.uint8)
        corners = np.round((self.to_px(shape.outline_mm()) / step - 0.5) * 2**SHIFT).astype(np.int32)
        cv2.fillPoly(inside, [corners], 1, shift=SHIFT)
        turn = np.linspace(0, 2 * np.pi, 40)
        nipple = shape.nipple_mm + nipple_mm * np.stack([np.cos(turn) - 0.5, 1.4 * np.sin(turn)], -1)
        corners = np.round((self.to_px(nipple) / step - 0.5) * 2**SHIFT).astype(np.int32)
        cv2.fillPoly(inside, [corners], 1, shift=SHIFT)
        depth = cv2.distanceTransform(inside, cv2.DIST_L2, 5) * np.float32(step * self.pixel_mm)
        return depth if step == 1 else cv2.resize(depth, (self.columns, self.rows))

    def strokes(
        self, paths: Iterable[tuple[np.ndarray, float, float]], place: tuple[slice, slice], blur_mm: float
    ) -> np.ndarray:
        """Lines on a window, 0..1 float32.

        Args:
            paths: points (n, 2) mm, width mm, strength 0..1; thinner than a pixel means weaker.
            place: rows and columns.
            blur_mm: standard deviation of what softens them.
        """
        canvas = np.zeros((place[0].stop - place[0].start, place[1].stop - place[1].start), np.uint8)
        if not canvas.size:
            return canvas.astype(np.float32)
        corner = np.array([place[1].start, place[0].start]) + 0.5
        for points_mm, width_mm, strength in paths:
            points = np.round((self.to_px(points_mm) - corner) * 2**SHIFT).astype(np.int32)
            width_px = width_mm / self.pixel_mm
            level = round(255 * strength * min(1.0, width_px))
            layer_width = max(1, round(width_px))
            cv2.polylines(canvas, [points[:, None]], False, level, layer_width, cv2.LINE_AA, SHIFT)
        soft = cv2.GaussianBlur(canvas.astype(np.float32), (0, 0), max(blur_mm / self.pixel_mm, 0.35))
        return soft * np.float32(1 / 255)

    def narrow(self, depth_mm: float) -> Film:
        """The part of the film next to the chest wall."""
        columns = min(self.columns, int(np.ceil(depth_mm / self.pixel_mm)))
        return Film(self.rows, columns, self.pixel_mm, self.top_mm)


def draw_film(rng: np.random.Generator, size_px: tuple[int, int], shape: ViewShape) -> Film:
    """Lay the breast on a detector of `size_px` (rows, columns): 24 x 18 cm or so, larger if it has to be."""
    rows, columns = size_px
    needed = max((shape.half_mm[0] + shape.half_mm[1]) * 1.25, shape.depth_mm * 1.2 * rows / columns)
    height_mm = 240.0 if needed <= 240 else 300.0
    above, below = shape.half_mm
    middle = (below - above) / 2 if shape.kind == "CC" else (below - above) / 2 - rng.uniform(0, 0.05) * 240
    top = height_mm / 2 - middle * 1.0 + rng.normal(0, 3)
    return Film(rows, columns, round(height_mm / rows, 5), float(top))
