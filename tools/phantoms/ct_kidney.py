"""A kidney: cortex with columns between the pyramids, medulla, sinus fat, collecting system, cysts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from common.errors import ConfigError

from . import ct_labels as labels
from .ct_shapes import (
    Block,
    Ellipsoid,
    Painted,
    RoundCone,
    Solid,
    bezier,
    chain,
    ellipsoid_distance,
    rotation,
    segment_distance,
    to_local,
)

DAMAGES = ("none", "atrophy", "hydronephrosis")


@dataclass(frozen=True)
class Kidney:
    """One kidney in its own axes: u to the upper pole, v to the hilum, w to the front.

    Attributes:
        center_mm: (3,) in the body.
        axes: (3, 3), rows u, v, w in the body.
        radii_mm: half length, half width, half thickness.
        bend_mm: how far the poles bend towards the hilum.
        waves: (n, 4) lobulation: wave numbers along u and around, phase, relative amplitude.
        cortex_mm: thickness of the outer cortex.
        column_mm: thickness of the cortical columns between pyramids.
        pyramid_mm: radius of the pyramids at their base.
        sinus_radii_mm: half axes of the sinus.
        papillae: (n, 3) tips of the pyramids, uvw.
        bases: (n, 3) their bases, uvw.
        collecting: pelvis and calyces in uvw.
        cysts: (n, 4) centre in uvw and radius.
        hu: tissue -> HU.
        fat_mm: thickness of the fat around it.
        is_fine: painted in every layer of a slice.
    """

    center_mm: np.ndarray
    axes: np.ndarray
    radii_mm: np.ndarray
    bend_mm: float
    waves: np.ndarray
    cortex_mm: float
    column_mm: float
    pyramid_mm: float
    sinus_radii_mm: np.ndarray
    papillae: np.ndarray
    bases: np.ndarray
    collecting: tuple[RoundCone, ...]
    cysts: np.ndarray
    hu: dict[str, float]
    fat_mm: float
    is_fine: bool = True

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        half = np.linalg.norm(self.axes.T * self.radii_mm, axis=1)
        return self.center_mm, half * 1.05 + self.fat_mm + self.bend_mm

    def to_body(self, uvw: np.ndarray) -> np.ndarray:
        """(n, 3) or (3,) in kidney axes -> body mm."""
        return np.asarray(uvw) @ self.axes + self.center_mm

    def paint(self, block: Block) -> None:
        """Fat around it, cortex, medulla, sinus fat."""
        u, v, w = to_local(block.x, block.y, block.z, self.center_mm, self.axes)
        outer = self._outer_distance(u, v, w)
        sinus = self._sinus_distance(u, v, w)
        block.paint(block.cover(outer - self.fat_mm) * block.cavity, self.hu["fat"], 0)
        inside = block.cover(outer)
        block.paint(inside, self.hu["cortex"], labels.CORTEX)
        deep = outer < -0.5 * self.cortex_mm
        medulla = np.full(outer.shape, 1e3, np.float32)
        medulla[deep] = self._medulla_distance(u[deep], v[deep], w[deep], outer[deep])
        block.paint(block.cover(medulla), self.hu["medulla"], labels.MEDULLA)
        block.paint(inside * block.cover(sinus), self.hu["fat"] + 8, labels.SINUS_FAT)

    def details(self) -> list[Painted]:
        """Collecting system and cysts, which are painted over it."""
        parts: list[Painted] = []
        for cone in self.collecting:
            ends = self.to_body(np.stack([cone.start_mm, cone.end_mm]))
            moved = RoundCone(ends[0], ends[1], cone.start_radius_mm, cone.end_radius_mm)
            parts.append(Solid(moved, self.hu["urine"], labels.PELVIS, False, True))
        for *center, radius in self.cysts:
            ball = Ellipsoid(self.to_body(np.array(center)), np.full(3, radius))
            parts.append(Solid(ball, self.hu["cyst"], labels.CYST, False, True))
        return parts

    def _outer_distance(self, u: np.ndarray, v: np.ndarray, w: np.ndarray) -> np.ndarray:
        bent = v - np.float32(self.bend_mm) * (u / np.float32(self.radii_mm[0])) ** 2
        distance = ellipsoid_distance(u, bent, w, self.radii_mm)
        around = np.arctan2(w, -bent)
        for along, turns, phase, amplitude in self.waves.astype(np.float32):
            wave = np.sin(along * u / np.float32(self.radii_mm[0]) + turns * around + phase)
            distance = distance + amplitude * np.float32(self.radii_mm[1]) * wave
        return distance

    def _sinus_distance(self, u: np.ndarray, v: np.ndarray, w: np.ndarray) -> np.ndarray:
        centre = np.float32(self.radii_mm[1] * 0.62)
        return ellipsoid_distance(u, v - centre, w, self.sinus_radii_mm)

    def _medulla_distance(self, u: np.ndarray, v: np.ndarray, w: np.ndarray, outer: np.ndarray) -> np.ndarray:
        """Inside a pyramid's cone, below the cortex, and clear of the column to the next pyramid."""
        nearest = np.full(u.shape, 1e3, np.float32)
        second, cone = nearest.copy(), nearest.copy()
        for tip, base in zip(self.papillae, self.bases, strict=True):
            along, away = segment_distance(u, v, w, tip, base)
            cone = np.minimum(cone, away - (3.0 + (self.pyramid_mm - 3.0) * along))
            second = np.minimum(second, np.maximum(nearest, away))
            nearest = np.minimum(nearest, away)
        column = (self.column_mm - (second - nearest)) * np.float32(0.5)
        return np.maximum(np.maximum(cone, column), outer + np.float32(self.cortex_mm))


def draw_kidney(
    rng: np.random.Generator, side: int, center_mm: np.ndarray, hu: dict[str, float], damage: str = "none"
) -> Kidney:
    """A kidney of an adult.

    Args:
        rng: source of the variation.
        side: 1 for the left, -1 for the right.
        center_mm: (3,) in the body.
        hu: tissue -> HU of the patient.
        damage: "none", "atrophy" (small, scarred, thin cortex) or "hydronephrosis" (wide pelvis and calyces).

    Raises:
        ConfigError: an unknown damage.
    """
    if damage not in DAMAGES:
        raise ConfigError(f"damage: expected one of {', '.join(DAMAGES)}, got '{damage}': choose one")
    size = rng.normal(1, 0.07) * (rng.uniform(0.55, 0.75) if damage == "atrophy" else 1.0)
    radii = np.array([rng.uniform(49, 58), rng.uniform(25, 30), rng.uniform(20.5, 25.5)]) * size
    sinus = radii * [rng.uniform(0.42, 0.58), rng.uniform(0.62, 0.8), rng.uniform(0.28, 0.42)]
    cortex_mm = rng.uniform(4.5, 7.0) * size
    if damage == "hydronephrosis":
        radii = radii * rng.uniform(1.0, 1.15)
        sinus, cortex_mm = radii * [0.72, 0.98, rng.uniform(0.5, 0.6)], rng.uniform(3.5, 5.5)
    if damage == "atrophy":
        cortex_mm = rng.uniform(2.5, 4.5)
    tips, bases = _draw_pyramids(rng, radii, sinus)
    values = _draw_values(rng, hu, damage)
    return Kidney(
        center_mm=np.asarray(center_mm, float),
        axes=_draw_axes(rng, side),
        radii_mm=radii,
        bend_mm=rng.uniform(2, 8) * size,
        waves=_draw_waves(rng, 0.09 if damage == "atrophy" else 0.015),
        cortex_mm=cortex_mm,
        column_mm=rng.uniform(1.5, 3.5),
        pyramid_mm=rng.uniform(14, 19) * size,
        sinus_radii_mm=sinus,
        papillae=tips,
        bases=bases,
        collecting=_draw_collecting(rng, radii, tips, damage),
        cysts=_draw_cysts(rng, radii),
        hu=values,
        fat_mm=rng.uniform(3, 12),
    )


def _draw_axes(rng: np.random.Generator, side: int) -> np.ndarray:
    """Rows u, v, w: the hilum looks to the front and the spine, the upper pole leans to spine and back."""
    v = np.array([-side, 0.0, 0.0])
    turned = rotation(2, side * rng.uniform(15, 45)) @ v  # towards the front, which is -y
    axes = np.stack([[0.0, 0.0, 1.0], turned, np.cross([0, 0, 1], turned) * side])
    tilt = rotation(1, -side * rng.uniform(5, 22)) @ rotation(0, rng.uniform(-14, 0))
    return axes @ tilt.T


def _draw_pyramids(
    rng: np.random.Generator, radii: np.ndarray, sinus: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Tips and bases of two rows of pyramids around the lateral side, and one at each pole."""
    tips, bases = [], []
    middle = np.array([0, radii[1] * 0.15, 0])
    for lift, count in ((-1, 5), (1, int(rng.integers(4, 7)))):
        for turn in np.linspace(-112, 112, count) + rng.normal(0, 5, count):
            height = np.radians(lift * rng.uniform(28, 46))
            direction = np.array(
                [
                    np.sin(np.radians(turn)) * np.cos(height),
                    -np.cos(np.radians(turn)) * np.cos(height),
                    np.sin(height),
                ]
            )
            base = middle + direction * (radii - middle * [0, 1, 0])
            tips.append(middle + direction * np.maximum(sinus * [1.0, 0.7, 0.9], radii * 0.3))
            bases.append(base)
    return np.array(tips), np.array(bases)


def _draw_waves(rng: np.random.Generator, amplitude: float) -> np.ndarray:
    count = 3
    return np.stack(
        [
            rng.uniform(1.5, 6, count),
            rng.integers(1, 4, count),
            rng.uniform(0, 2 * np.pi, count),
            amplitude * rng.uniform(0.4, 1.2, count),
        ],
        axis=1,
    )


def _draw_collecting(
    rng: np.random.Generator, radii: np.ndarray, tips: np.ndarray, damage: str
) -> tuple[RoundCone, ...]:
    """Pelvis, from the sinus out of the hilum, and a calyx to some of the papillae (uvw)."""
    wide = damage == "hydronephrosis"
    pelvis_mm = rng.uniform(11, 17) if wide else rng.uniform(3.5, 7)
    calyx_mm = rng.uniform(5, 8) if wide else rng.uniform(1.6, 2.8)
    middle = np.array([0, radii[1] * 0.35, 0])
    outlet = np.array([-radii[0] * 0.25, radii[1] * 1.25, -radii[2] * 0.1])
    parts = [RoundCone(middle, outlet, pelvis_mm, pelvis_mm * 0.7)]
    for tip in tips[rng.random(len(tips)) < (0.95 if wide else 0.65)]:
        path = bezier([middle, middle + (tip - middle) * [0.9, 0.3, 0.3], tip], 5)
        width = np.linspace(pelvis_mm * 0.6, calyx_mm, 5)
        width[-1] *= 1.3
        parts += chain(path, width)
    return tuple(parts)


def _draw_cysts(rng: np.random.Generator, radii: np.ndarray) -> np.ndarray:
    """Simple cysts at the surface or inside, (n, 4); two kidneys in three have none."""
    count = rng.integers(1, 4) if rng.random() < 0.35 else 0
    direction = rng.normal(size=(count, 3))
    direction[:, 1] = -np.abs(direction[:, 1])
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    centre = direction * radii * rng.uniform(0.6, 1.05, (count, 1))
    return np.concatenate([centre, 3 + 14 * rng.random((count, 1)) ** 2], axis=1)


def _draw_values(rng: np.random.Generator, hu: dict[str, float], damage: str) -> dict[str, float]:
    """A damaged kidney takes up less contrast."""
    function = 1.0 if damage == "none" else rng.uniform(0.55, 0.85)
    cortex = 33 + (hu["cortex"] - 33) * function
    medulla = 30 + (hu["medulla"] - 30) * function
    return {
        "fat": hu["fat"],
        "cortex": cortex,
        "medulla": medulla,
        "urine": hu["urine"] + rng.normal(0, 2),
        "cyst": rng.uniform(-2, 16),
    }
