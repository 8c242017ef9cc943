"""Vessels of the kidneys: aorta and vena cava, renal arteries with their branches, renal veins."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from . import ct_labels as labels
from .ct_kidney import Kidney
from .ct_shapes import Painted, Solid, bezier, chain


def draw_trunks(
    rng: np.random.Generator, hu: dict[str, float], height_mm: tuple[float, float], widths: np.ndarray
) -> tuple[list[Painted], np.ndarray, np.ndarray]:
    """Aorta and vena cava as gently bent tubes, and their middle lines.

    Args:
        rng: source of the variation.
        hu: tissue -> HU.
        height_mm: lowest and highest z of the region.
        widths: (2,) scale of the body along x and y.

    Returns:
        What to paint, points of the aorta (n, 3), points of the vena cava (n, 3).
    """
    z = np.linspace(height_mm[0] - 20, height_mm[1] + 20, 12)
    spine_front = -20 * widths[1]
    lines: list[np.ndarray] = []
    parts: list[Painted] = []
    for x, y, radius, tissue, label in (
        (rng.uniform(4, 16), -13.0, rng.uniform(8, 12), "aorta", labels.AORTA),
        (rng.uniform(-30, -20), -9.0, rng.uniform(9, 12.5), "vena_cava", labels.VENA_CAVA),
    ):
        sway = rng.normal(0, 3, 2) @ np.sin(np.outer([0.012, 0.021], z) + rng.uniform(0, 6, (2, 1)))
        line = np.stack([x + sway, spine_front + y + 0.4 * sway + 0.03 * z, z], axis=1)
        radii = radius * (1 + 0.002 * (z - z.mean()))
        parts += [Solid(part, hu[tissue], label, False, True) for part in chain(line, radii)]
        lines.append(line)
    return parts, lines[0], lines[1]


def draw_renal_vessels(
    rng: np.random.Generator,
    kidney: Kidney,
    side: int,
    hu: dict[str, float],
    aorta: np.ndarray,
    vena_cava: np.ndarray,
) -> tuple[list[Painted], list[Painted]]:
    """Veins and arteries of one kidney, each from its trunk into the sinus.

    The left vein crosses in front of the aorta, the right artery behind the vena cava; one kidney in four has
    a second artery.
    """
    veins: list[Painted] = [
        Solid(part, hu["renal_vein"], labels.VEIN, False, True)
        for part in _vein(rng, kidney, aorta, vena_cava, side)
    ]
    arteries: list[Painted] = []
    for _ in range(2 if rng.random() < 0.25 else 1):
        cones = _artery(rng, kidney, aorta, side)
        arteries += [Solid(part, hu["aorta"] * 0.96, labels.ARTERY, False, True) for part in cones]
    return veins, arteries


def _vein(
    rng: np.random.Generator, kidney: Kidney, aorta: np.ndarray, vena_cava: np.ndarray, side: int
) -> list:
    hilum = _hilum(rng, kidney, 1.15)
    root = np.add(_at_height(vena_cava, hilum[2] + rng.uniform(4, 18)), [side * 6.0, 0, 0])
    controls: Sequence[np.ndarray] = [root]
    if side > 0:
        over = np.add(_at_height(aorta, root[2]), [2, -rng.uniform(17, 21), 0])
        controls = [root, over, np.add(over, [16, 4, -3])]
    inner = kidney.to_body(kidney.radii_mm * [rng.uniform(-0.15, 0.15), 0.45, 0.1])
    radius = rng.uniform(3.6, 5.2)
    tubes = chain(bezier([*controls, hilum, inner], 16), np.linspace(radius * 1.1, radius * 0.6, 16))
    for turn in (-1, 1):
        end = kidney.to_body(kidney.radii_mm * [turn * rng.uniform(0.3, 0.5), 0.2, 0.12])
        tubes += chain(bezier([hilum, inner, end], 8), np.linspace(radius * 0.75, radius * 0.35, 8))
    return tubes


def _artery(rng: np.random.Generator, kidney: Kidney, aorta: np.ndarray, side: int) -> list:
    """Trunk, a front and a back division, segments, and their ends in the columns between the pyramids."""
    hilum = _hilum(rng, kidney, rng.uniform(1.2, 1.6))
    root = np.add(_at_height(aorta, hilum[2] + rng.uniform(2, 22)), [side * 9.0, 2.0, 0])
    bend = (root + hilum) / 2 + [0, 5 + (9 if side < 0 else 0), rng.uniform(-6, 6)]
    radius = rng.uniform(2.3, 3.3)
    tubes = chain(bezier([root, bend, hilum], 14), np.linspace(radius * 1.1, radius * 0.9, 14))
    for depth, count in ((0.22, rng.integers(2, 4)), (-0.22, rng.integers(1, 3))):
        fork = kidney.to_body(kidney.radii_mm * [rng.uniform(-0.1, 0.1), 0.8, depth])
        tubes += chain(bezier([hilum, fork], 4), np.linspace(radius * 0.8, radius * 0.65, 4))
        for turn in np.linspace(-70, 70, count) + rng.normal(0, 8, count):
            reach = np.array([np.sin(np.radians(turn)) * 0.62, 0.35 - 0.4 * np.cos(np.radians(turn)), depth])
            end = kidney.to_body(kidney.radii_mm * reach)
            middle = (fork + end) / 2 + rng.normal(0, 2, 3)
            tubes += chain(bezier([fork, middle, end], 8), np.linspace(radius * 0.6, radius * 0.4, 8))
            for _ in range(2):
                far = kidney.to_body(kidney.radii_mm * (reach * 1.35 + rng.normal(0, 0.09, 3)))
                tubes += chain(bezier([end, far], 4), np.linspace(radius * 0.4, radius * 0.26, 4))
    return tubes


def _hilum(rng: np.random.Generator, kidney: Kidney, out: float) -> np.ndarray:
    """A point before the opening of the sinus, body mm."""
    return kidney.to_body(kidney.radii_mm * [rng.uniform(-0.12, 0.15), out, rng.uniform(-0.15, 0.1)])


def _at_height(line: np.ndarray, z_mm: float) -> np.ndarray:
    """The point of a middle line at a height, (3,)."""
    return np.array([np.interp(z_mm, line[:, 2], line[:, axis]) for axis in range(3)])
