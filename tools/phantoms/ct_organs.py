"""What fills the abdomen beside the kidneys: liver, spleen, pancreas, stomach, gut, mesentery."""

from __future__ import annotations

import numpy as np

from . import ct_labels as labels
from .ct_shapes import Ellipsoid, Painted, RoundCone, Solid, bezier, chain, rotation


def draw_organs(rng: np.random.Generator, hu: dict[str, float], widths: np.ndarray) -> list[Painted]:
    """Liver, gallbladder, spleen, pancreas, stomach: they are cut at the wall of the cavity."""
    scale = np.array([*widths, 1.0])

    def ellipsoid(centre: tuple[float, ...], radii: tuple[float, ...], turn: float = 0.0) -> Ellipsoid:
        jitter = rng.normal(0, [5, 4, 9])
        size = np.array(radii) * scale * rng.uniform(0.92, 1.1, 3)
        return Ellipsoid(np.array(centre) * scale + jitter, size, rotation(2, turn + rng.normal(0, 6)))

    parts: list[Painted] = [
        Solid(ellipsoid((-88, -38, 72), (70, 78, 95)), hu["liver"], labels.LIVER),
        Solid(ellipsoid((-30, -80, 92), (75, 34, 60), -12), hu["liver"], labels.LIVER),
        Solid(ellipsoid((95, 6, 72), (30, 48, 58), 25), hu["spleen"], labels.SPLEEN),
    ]
    for _ in range(rng.integers(3, 7)):  # portal and hepatic veins
        start = np.array([rng.uniform(-110, -50), rng.uniform(-70, -10), rng.uniform(10, 80)]) * scale
        end = start + rng.normal(0, 22, 3)
        parts.append(Solid(RoundCone(start, end, rng.uniform(2, 4.5), 1.5), hu["portal_vein"]))
    if rng.random() < 0.7:
        parts.append(Solid(ellipsoid((-58, -82, 14), (13, 18, 26)), 8.0))
    stomach = ellipsoid((52, -72, 82), (48, 36, 46), 20)
    parts += _hollow(stomach, hu, rng)
    head, tail = np.array([-34.0, -48, 2]) * scale, np.array([80.0, -14, 46]) * scale
    line = bezier([head, np.array([-10, -75, 22]) * scale, np.array([40, -70, 34]) * scale, tail], 14)
    for part in chain(line, rng.uniform(7, 12) * (1 + 0.2 * rng.normal(0, 1, 14)).clip(0.6, 1.4)):
        parts.append(Solid(part, hu["pancreas"]))
    return parts


def draw_gut(rng: np.random.Generator, hu: dict[str, float], widths: np.ndarray) -> list[Painted]:
    """Colon (ascending, transverse, descending), duodenum, loops of small bowel, vessels of the mesentery."""
    scale = np.array([*widths, 1.0])
    parts: list[Painted] = []
    routes = [
        ([(-98, -28, -170), (-102, -24, -90), (-92, -34, -24)], (16, 26)),
        ([(-92, -50, -24), (-40, -100, -40), (40, -98, -20), (92, -45, 30)], (13, 21)),
        ([(96, -22, 36), (108, -6, -60), (100, -10, -170)], (10, 18)),
        ([(-42, -62, 22), (-58, -34, 6), (-48, -36, -52), (24, -40, -48)], (9, 13)),
    ]
    for controls, radii in routes:
        points = bezier([np.array(p) * scale + rng.normal(0, 5, 3) for p in controls], 18)
        parts += _tube(points, rng.uniform(*radii), hu, rng)
    for _ in range(rng.integers(14, 24)):
        start = np.array([rng.uniform(-80, 85), rng.uniform(-98, -50), rng.uniform(-150, 0)]) * scale
        points = bezier([start, *(start + rng.normal(0, [24, 9, 20], (3, 3)))], 9)
        parts += _tube(points, rng.uniform(6.5, 13), hu, rng)
    for _ in range(rng.integers(60, 120)):
        start = np.array([rng.uniform(-75, 75), rng.uniform(-95, -30), rng.uniform(-150, 60)]) * scale
        vessel = RoundCone(start, start + rng.normal(0, [9, 6, 14]), rng.uniform(0.8, 2.4), 0.8)
        parts.append(Solid(vessel, hu[("portal_vein", "aorta")[int(rng.random() < 0.4)]] * 0.9))
    return parts


def _tube(
    points: np.ndarray, radius_mm: float, hu: dict[str, float], rng: np.random.Generator
) -> list[Painted]:
    """A loop of gut: wall, then what it holds."""
    radii = radius_mm * (
        1 + 0.14 * np.sin(np.arange(len(points)) * rng.uniform(0.8, 2.5) + rng.uniform(0, 6))
    )
    inside = _content(rng)
    wall_mm = min(rng.uniform(1.6, 2.8), radius_mm * 0.4)
    parts: list[Painted] = [Solid(part, hu["bowel_wall"]) for part in chain(points, radii)]
    parts += [Solid(part, inside) for part in chain(points, radii - wall_mm)]
    if rng.random() < 0.4 and radius_mm > 8:  # gas rises to the front
        gas = chain(np.add(points, [0, -radius_mm * 0.35, 0]), (radii - wall_mm) * 0.55)
        parts += [Solid(part, -880.0) for part in gas]
    return parts


def _hollow(shape: Ellipsoid, hu: dict[str, float], rng: np.random.Generator) -> list[Painted]:
    """A stomach: wall, fluid, gas in front."""
    inner = Ellipsoid(shape.center_mm, shape.radii_mm - rng.uniform(3, 6), shape.axes)
    gas = Ellipsoid(
        shape.center_mm - [0, shape.radii_mm[1] * 0.4, 0], shape.radii_mm * [0.7, 0.4, 0.75], shape.axes
    )
    return [
        Solid(shape, hu["bowel_wall"]),
        Solid(inner, _content(rng)),
        Solid(gas, -900.0),
    ]


def _content(rng: np.random.Generator) -> float:
    """HU of fluid, chyme, faeces or oral contrast."""
    kind = rng.random()
    if kind < 0.55:
        return float(rng.uniform(5, 40))
    return float(rng.uniform(150, 450)) if kind > 0.9 else float(rng.uniform(-120, 20))
