"""Solid shapes by their signed distance, and how they are painted into a CT slice with partial volume."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol

import numpy as np


class Shape(Protocol):
    """A solid in body millimetres (x left, y posterior, z superior)."""

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Centre (3,) and half sides (3,) in mm of a box that holds it."""

    def distance(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Signed distance in mm, negative inside; exact near the surface is enough."""


@dataclass(frozen=True)
class Ellipsoid:
    """An ellipsoid.

    Attributes:
        center_mm: (3,).
        radii_mm: (3,) along its own axes.
        axes: (3, 3), rows are its axes in the body.
    """

    center_mm: np.ndarray
    radii_mm: np.ndarray
    axes: np.ndarray = field(default_factory=lambda: np.eye(3))

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        return np.asarray(self.center_mm, float), np.linalg.norm(self.axes.T * self.radii_mm, axis=1)

    def distance(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """First-order distance |p/r| (|p/r| - 1) / |p/r^2|."""
        local = to_local(x, y, z, self.center_mm, self.axes)
        return ellipsoid_distance(*local, self.radii_mm)


@dataclass(frozen=True)
class RoundCone:
    """A straight tube whose radius changes from end to end; the ends are round."""

    start_mm: np.ndarray
    end_mm: np.ndarray
    start_radius_mm: float
    end_radius_mm: float

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        start, end = np.asarray(self.start_mm, float), np.asarray(self.end_mm, float)
        return (start + end) / 2, np.abs(end - start) / 2 + max(self.start_radius_mm, self.end_radius_mm)

    def distance(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        along, away = segment_distance(x, y, z, self.start_mm, self.end_mm)
        return away - (self.start_radius_mm + (self.end_radius_mm - self.start_radius_mm) * along)


def to_local(
    x: np.ndarray, y: np.ndarray, z: np.ndarray, center_mm: np.ndarray, axes: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coordinates along three axes (rows) from a centre, in mm."""
    cx, cy, cz = (np.float32(value) for value in center_mm)
    dx, dy, dz = x - cx, y - cy, z - cz
    u, v, w = (np.float32(a[0]) * dx + np.float32(a[1]) * dy + np.float32(a[2]) * dz for a in axes)
    return u, v, w


def ellipsoid_distance(u: np.ndarray, v: np.ndarray, w: np.ndarray, radii_mm: np.ndarray) -> np.ndarray:
    """First-order signed distance to an axis-parallel ellipsoid at the origin, mm."""
    a, b, c = (np.float32(1 / radius) for radius in radii_mm)
    p, q, r = u * a, v * b, w * c
    k1 = np.sqrt(p * p + q * q + r * r)
    k2 = np.sqrt((p * a) ** 2 + (q * b) ** 2 + (r * c) ** 2)
    return k1 * (k1 - 1) / np.maximum(k2, np.float32(1e-4))


def segment_distance(
    x: np.ndarray, y: np.ndarray, z: np.ndarray, start_mm: np.ndarray, end_mm: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Place along a segment (0..1) and distance from it in mm."""
    sx, sy, sz = (np.float32(value) for value in start_mm)
    bx, by, bz = (np.float32(value) for value in np.asarray(end_mm) - np.asarray(start_mm))
    dx, dy, dz = x - sx, y - sy, z - sz
    along = np.clip((dx * bx + dy * by + dz * bz) / max(bx * bx + by * by + bz * bz, 1e-6), 0, 1)
    away = np.sqrt((dx - along * bx) ** 2 + (dy - along * by) ** 2 + (dz - along * bz) ** 2)
    return along, away


def chain(points_mm: np.ndarray, radii_mm: np.ndarray) -> list[RoundCone]:
    """A bent tube: one cone between each two neighbouring points."""
    ends = zip(points_mm[:-1], points_mm[1:], radii_mm[:-1], radii_mm[1:], strict=True)
    return [RoundCone(a, b, float(ra), float(rb)) for a, b, ra, rb in ends]


def bezier(points_mm: list[np.ndarray], count: int) -> np.ndarray:
    """`count` points (count, 3) on the Bezier curve of the control points (de Casteljau)."""
    level = [np.repeat(np.asarray(p, float)[None], count, 0) for p in points_mm]
    t = np.linspace(0, 1, count)[:, None]
    while len(level) > 1:
        level = [a + t * (b - a) for a, b in pairwise(level)]
    return level[0]


def rotation(axis: int, degrees: float) -> np.ndarray:
    """Right-handed rotation about the x, y or z axis (0, 1, 2), (3, 3)."""
    turn = np.radians(degrees)
    i, j = [(1, 2), (2, 0), (0, 1)][axis]
    matrix = np.eye(3)
    matrix[i, i] = matrix[j, j] = np.cos(turn)
    matrix[j, i], matrix[i, j] = np.sin(turn), -np.sin(turn)
    return matrix


@dataclass
class Block:
    """Part of a slice while it is painted: `s` thin layers of h x w pixels.

    Attributes:
        x, y, z: body millimetres, broadcastable to (s, h, w).
        hu: (s, h, w) float32, a view of the slice.
        labels: (s, h, w) uint8, a view of the slice.
        cavity: (h, w) share of each pixel inside the abdominal cavity, 0..1.
        ramp_mm: width over which an edge goes from one side to the other: the pixel size.
    """

    x: np.ndarray
    y: np.ndarray
    z: np.ndarray
    hu: np.ndarray
    labels: np.ndarray
    cavity: np.ndarray
    ramp_mm: float

    def cover(self, distance_mm: np.ndarray) -> np.ndarray:
        """Share of each pixel inside a surface, 0..1."""
        return np.clip(np.float32(0.5) - distance_mm * np.float32(1 / self.ramp_mm), 0, 1)

    def paint(self, share: np.ndarray, hu: float | np.ndarray, label: int) -> None:
        """Mix a tissue over what is there; the label goes to pixels that it fills by half or more."""
        self.hu += share * (hu - self.hu)
        self.labels[np.broadcast_to(share >= 0.5, self.labels.shape)] = label


class Painted(Protocol):
    """What can be painted: an organ, a vessel."""

    @property
    def is_fine(self) -> bool:
        """Whether it is painted in every layer of a slice instead of its middle."""

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Centre (3,) and half sides (3,) in mm of a box that holds it."""

    def paint(self, block: Block) -> None:
        """Paint it where it lies in the block."""


@dataclass(frozen=True)
class Solid:
    """A shape of one tissue.

    Attributes:
        shape: its form.
        hu: its attenuation.
        label: in the label map.
        inside_cavity: cut at the abdominal wall.
        is_fine: painted in every layer of a slice instead of its middle.
    """

    shape: Shape
    hu: float
    label: int = 0
    inside_cavity: bool = True
    is_fine: bool = False

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        return self.shape.bounds()

    def paint(self, block: Block) -> None:
        share = block.cover(self.shape.distance(block.x, block.y, block.z))
        block.paint(share * block.cavity if self.inside_cavity else share, self.hu, self.label)
