"""A patient: everything that is painted, drawn from a seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .ct_kidney import Kidney, draw_kidney
from .ct_organs import draw_gut, draw_organs
from .ct_phases import draw_attenuation
from .ct_shapes import Painted, rotation
from .ct_torso import Couch, Wall, draw_muscles, draw_ribs, draw_spine, draw_wall
from .ct_vessels import draw_renal_vessels, draw_trunks

LOWEST_MM, HIGHEST_MM = -150.0, 150.0


@dataclass(frozen=True)
class Patient:
    """The anatomy of one patient at one moment after the injection.

    Attributes:
        wall: the outline, painted first.
        parts: what is painted in this order.
        kidneys: right, left.
        turn: (3, 3) how the patient lies: body axes -> scanner axes (LPS).
        sway: (2, 4) gentle bends of x and y: amplitude mm, wave numbers per mm (2), phase.
    """

    wall: Wall
    parts: tuple[Painted, ...]
    kidneys: tuple[Kidney, Kidney]
    turn: np.ndarray
    sway: np.ndarray

    def kidney_range_mm(self) -> tuple[float, float]:
        """Lowest and highest z of the kidneys."""
        ends = [k.center_mm[2] + s * k.radii_mm[0] * abs(k.axes[0, 2]) for k in self.kidneys for s in (-1, 1)]
        return min(ends), max(ends)

    def bend(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Anatomical x and y of places in the body: no two patients share their straight lines."""
        (a, ky, kz, phase), (b, lx, lz, shift) = self.sway.astype(np.float32)
        bent_x = x + a * np.sin(ky * y + kz * z + phase)
        return bent_x, y + b * np.sin(lx * bent_x + lz * z + shift)


def draw_patient(seed: int, phase: str, damage: str = "none") -> Patient:
    """A patient.

    Args:
        seed: the same seed gives the same anatomy, in every phase.
        phase: see `ct_phases`.
        damage: of the left kidney, see `ct_kidney`.

    Raises:
        ConfigError: an unknown phase or damage.
    """
    rng = np.random.default_rng([seed, 1])
    hu = draw_attenuation(np.random.default_rng([seed, 2]), phase)
    wall = draw_wall(rng, hu)
    inner = wall.half_mm - (wall.fat_mm + wall.muscle_mm)[[0, 1]]
    widths = inner / [127.0, 92.0]
    kidneys = _draw_kidneys(rng, hu, widths, damage)
    height = (LOWEST_MM, HIGHEST_MM)
    trunks, aorta, vena_cava = draw_trunks(rng, hu, height, widths)
    vessels = [
        draw_renal_vessels(rng, kidney, side, hu, aorta, vena_cava)
        for kidney, side in zip(kidneys, (-1, 1), strict=True)
    ]
    parts: list[Painted] = [
        Couch(rng.uniform(200, 230), wall.back_mm),
        *draw_ribs(rng, hu, wall, height),
        draw_spine(rng, hu),
        *draw_muscles(rng, hu, widths),
        *draw_organs(rng, hu, widths),
        *draw_gut(rng, hu, widths),
        *kidneys,
        *kidneys[0].details(),
        *kidneys[1].details(),
    ]
    parts += [vein for veins, _ in vessels for vein in veins] + trunks
    parts += [artery for _, arteries in vessels for artery in arteries]
    lying = rotation(2, rng.normal(0, 3)) @ rotation(1, rng.normal(0, 2)) @ rotation(0, rng.normal(0, 2))
    sway = np.stack([rng.uniform(1, 4, 2), *rng.uniform(0.012, 0.03, (2, 2)), rng.uniform(0, 6.3, 2)], axis=1)
    return Patient(wall, tuple(parts), kidneys, lying, sway)


def _draw_kidneys(
    rng: np.random.Generator, hu: dict[str, float], widths: np.ndarray, damage: str
) -> tuple[Kidney, Kidney]:
    """Right and left; the right one stands lower."""
    spread = 62 * widths[0] + rng.normal(0, 3)
    lift = rng.normal(0, 8)
    right = np.array([-spread + rng.normal(0, 2.5), rng.uniform(0, 10), lift - rng.uniform(4, 16)])
    left = np.array([spread + rng.normal(0, 2.5), rng.uniform(2, 12), lift + rng.uniform(-3, 8)])
    return draw_kidney(rng, -1, right, hu), draw_kidney(rng, 1, left, hu, damage)
