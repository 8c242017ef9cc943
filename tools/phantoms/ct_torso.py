"""The trunk around the kidneys: skin, fat, muscle, spine, ribs, and the couch below it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import ct_labels as labels
from .ct_shapes import (
    Block,
    Ellipsoid,
    Painted,
    Solid,
    chain,
    ellipsoid_distance,
    rotation,
)


@dataclass(frozen=True)
class Wall:
    """Skin, subcutaneous fat and the muscles of the wall: three superellipses, the same at every height.

    Attributes:
        half_mm: (2,) half width and half depth of the skin.
        fat_mm: (3,) thickness at the sides, in front, behind.
        muscle_mm: (3,) likewise.
        back_mm: y of the skin of the back.
        power: 2 is an ellipse, more is squarer.
        waves: (n, 3) amplitude in mm, turns, phase of the outline.
        hu: tissue -> HU.
    """

    half_mm: np.ndarray
    fat_mm: np.ndarray
    muscle_mm: np.ndarray
    back_mm: float
    power: float
    waves: np.ndarray
    hu: dict[str, float]

    @property
    def middle_mm(self) -> np.ndarray:
        """(3,) middle of the trunk at z = 0."""
        return np.array([0.0, self.back_mm - self.half_mm[1], 0.0])

    def paint(self, block: Block) -> np.ndarray:
        """Paint skin, fat, muscle and the fat of the cavity; returns the cavity's share of each pixel."""
        hu = self.hu
        rows, columns = (Knots(size) for size in block.hu.shape[1:])
        x, y = (rows.take(columns.take(axis[0], 1), 0) for axis in (block.x, block.y))
        skin, muscle, cavity = (
            rows.spread @ self._distance(x, y, inset) @ columns.spread.T
            for inset in (np.zeros(3), self.fat_mm, self.fat_mm + self.muscle_mm)
        )
        block.paint(block.cover(skin), hu["skin"], 0)
        block.paint(block.cover(skin + 2), hu["fat"], 0)
        block.paint(block.cover(muscle), hu["muscle"], 0)
        inside = block.cover(cavity)
        block.paint(inside, hu["fat"] + 4, 0)
        return inside

    def _distance(self, x: np.ndarray, y: np.ndarray, inset_mm: np.ndarray) -> np.ndarray:
        half_x = self.half_mm[0] - inset_mm[0]
        half_y = self.half_mm[1] - (inset_mm[1] + inset_mm[2]) / 2
        middle = self.back_mm - self.half_mm[1] + (inset_mm[1] - inset_mm[2]) / 2
        p, q = np.abs(x) / np.float32(half_x), (y - np.float32(middle)) / np.float32(half_y)
        k = (p**self.power + np.abs(q) ** self.power) ** np.float32(1 / self.power)
        scale = np.float32(half_x) * p + np.float32(half_y) * np.abs(q)
        distance = (k - 1) * scale / np.maximum(p + np.abs(q), np.float32(1e-3))
        turn = np.arctan2(q, x / np.float32(half_x))
        for amplitude, turns, phase in self.waves.astype(np.float32):
            distance = distance + amplitude * np.sin(turns * turn + phase)
        return distance


@dataclass(frozen=True)
class Spine:
    """Vertebrae with discs, canal, arches and processes, repeating along z.

    Attributes:
        radii_mm: (2,) of a vertebral body along x and y.
        pitch_mm: from one vertebra to the next.
        disc_mm: height of a disc.
        phase_mm: z of the middle of a disc.
        hu: tissue -> HU.
        is_fine: painted in the middle of a slice.
    """

    radii_mm: np.ndarray
    pitch_mm: float
    disc_mm: float
    phase_mm: float
    hu: dict[str, float]
    is_fine: bool = False

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        return np.array([0.0, 20.0, 0.0]), np.array([50.0, 65.0, 1e4])

    def paint(self, block: Block) -> None:
        x, y = block.x, block.y
        z = np.mod(block.z - self.phase_mm + self.pitch_mm / 2, self.pitch_mm) - self.pitch_mm / 2
        rx, ry = self.radii_mm
        body = ellipsoid_distance(x, y, z * 0, np.array([rx, ry, 1e3]))
        disc = np.abs(z) - self.disc_mm / 2
        level = np.abs(z) - self.pitch_mm / 2  # 0 at the middle of a vertebra, arches stand there
        share = block.cover(body)
        bone = share * block.cover(-disc)
        block.paint(share, self.hu["disc"], 0)
        block.paint(bone, self.hu["bone"], labels.VERTEBRA)
        inner = block.cover(np.maximum(body + 1.6, 1.4 - disc))
        block.paint(inner, self.hu["marrow"], labels.VERTEBRA)
        canal_y = ry + 8.0
        arch = np.abs(np.hypot(x, (y - canal_y) * 1.15) - 12.5) - 3.0
        arch = np.maximum(arch, np.abs(level + 6) - 9)
        spinous = ellipsoid_distance(x, y - canal_y - 27, level + 6, np.array([3.6, 17.0, 11.0]))
        across = ellipsoid_distance(np.abs(x) - 29, y - canal_y + 3, level + 3, np.array([19.0, 4.5, 6.0]))
        facets = ellipsoid_distance(np.abs(x) - 17, y - canal_y - 7, z, np.array([6.0, 8.0, 14.0]))
        for part in (arch, spinous, across, facets):
            block.paint(block.cover(part), self.hu["bone"] * 0.9, labels.VERTEBRA)
            block.paint(block.cover(part + 1.8), self.hu["marrow"] * 1.1, labels.VERTEBRA)
        canal = np.hypot(x, (y - canal_y) * 1.15) - 9.5
        block.paint(block.cover(canal), self.hu["cord"], 0)


@dataclass(frozen=True)
class Couch:
    """A curved couch of carbon over foam.

    Attributes:
        half_mm: half its width.
        back_mm: y of the skin of the back.
        is_fine: painted in the middle of a slice.
    """

    half_mm: float
    back_mm: float
    is_fine: bool = False

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        return np.array([0, self.back_mm + 10, 0.0]), np.array([self.half_mm + 5, 50, 1e4])

    def paint(self, block: Block) -> None:
        turn = np.clip(block.x * np.float32(0.9 / self.half_mm), -1.5, 1.5)
        depth = block.y - np.float32(self.back_mm + 4) + 30 * (1 - np.cos(turn))
        inside = np.maximum(np.maximum(-depth, depth - 40), np.abs(block.x) - np.float32(self.half_mm))
        outside = block.hu < -500
        block.paint(block.cover(inside) * outside, -930.0, 0)
        block.paint(block.cover(np.abs(inside + 1.5) - 1.5) * outside, -250.0, 0)


class Knots:
    """Every fourth pixel of an axis, and the linear interpolation from there back to all pixels."""

    def __init__(self, size: int) -> None:
        self.places = np.unique(np.append(np.arange(0, size, 4), size - 1))
        at = np.arange(size)
        self.spread = np.stack([np.interp(at, self.places, row) for row in np.eye(len(self.places))], 1)
        self.spread = self.spread.astype(np.float32)

    def take(self, values: np.ndarray, axis: int) -> np.ndarray:
        return values.take(self.places, axis)


def draw_wall(rng: np.random.Generator, hu: dict[str, float]) -> Wall:
    """From slim to obese."""
    fat = rng.uniform(0, 1)
    inner = np.array([rng.uniform(116, 138), rng.uniform(74, 92) + 18 * fat])
    fat_mm = np.array([8 + 42 * fat, 8 + 34 * fat, 10 + 34 * fat]) * rng.uniform(0.85, 1.15, 3)
    muscle_mm = np.array([rng.uniform(10, 16), rng.uniform(7, 11), rng.uniform(14, 20)])
    half = np.add(inner, [fat_mm[0] + muscle_mm[0], (fat_mm[1:] + muscle_mm[1:]).sum() / 2])
    waves = np.stack([rng.normal(0, 1.6, 4), np.arange(2, 6), rng.uniform(0, 6.3, 4)], axis=1)
    back = rng.uniform(48, 56) + muscle_mm[2] + fat_mm[2]
    return Wall(half, fat_mm, muscle_mm, back, rng.uniform(2.1, 2.6), waves, hu)


def draw_spine(rng: np.random.Generator, hu: dict[str, float]) -> Spine:
    radii = np.array([rng.uniform(22, 27), rng.uniform(16, 19.5)])
    return Spine(radii, rng.uniform(32, 38), rng.uniform(7, 11), rng.uniform(-16, 16), hu)


def draw_muscles(rng: np.random.Generator, hu: dict[str, float], widths: np.ndarray) -> list[Painted]:
    """Erector spinae, psoas (thicker below) and quadratus lumborum on both sides."""
    parts: list[Painted] = []
    psoas_mm = rng.uniform(14, 21)
    for side in (-1, 1):
        for x, y, rx, ry in ((30, 54, 24, 17), (58, 51, 24, 12)):
            radii = np.array([rx, ry, 900.0]) * [widths[0], 1, 1] * rng.uniform(0.93, 1.07)
            parts.append(
                Solid(Ellipsoid(np.array([side * x * widths[0], y, 0.0]), radii), hu["muscle"], 0, False)
            )
        top, low = np.array([side * 27.0, 8, 45]), np.array([side * 47.0, 2, -150])
        for part in chain(
            np.stack([top, (top + low) / 2 + [side * 3, 0, 0], low]),
            np.array([3, psoas_mm * 0.8, psoas_mm * 1.3]),
        ):
            parts.append(Solid(part, hu["muscle"] + 3, labels.PSOAS, False))
        flat = Ellipsoid(
            np.array([side * 66.0 * widths[0], 40, -60]), np.array([21.0, 8, 75]), rotation(2, side * 20)
        )
        parts.append(Solid(flat, hu["muscle"], 0, False))
    return parts


def draw_ribs(
    rng: np.random.Generator, hu: dict[str, float], wall: Wall, height_mm: tuple[float, float]
) -> list[Painted]:
    """The lower ribs run down and forward inside the wall."""
    parts: list[Painted] = []
    inset = (wall.fat_mm + wall.muscle_mm * 0.55)[[0, 1]]
    half = wall.half_mm - inset
    for start in np.arange(height_mm[0] + 20, height_mm[1] + 160, rng.uniform(26, 32)):
        if start < 15:
            continue
        for side in (-1, 1):
            turn = np.radians(np.linspace(70, -35, 14))
            points = np.stack(
                [
                    side * half[0] * np.cos(turn),
                    wall.middle_mm[1] + half[1] * np.sin(turn),
                    start + np.linspace(0, -75, 14),
                ],
                axis=1,
            )
            for part in chain(points, np.full(14, 4.6)):
                parts.append(Solid(part, hu["bone"] * 0.85, 0, False))
            for part in chain(points, np.full(14, 2.8)):
                parts.append(Solid(part, hu["marrow"] * 0.9, 0, False))
    return parts
