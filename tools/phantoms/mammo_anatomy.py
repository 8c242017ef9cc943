"""What every view shows beside glands: skin, nipple, pectoral muscle, vessels, and sometimes a fold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .ct_shapes import bezier
from .mammo_film import Film
from .mammo_shape import ViewShape
from .mammo_tissue import Tiles


@dataclass(frozen=True)
class Vessel:
    """A vein or artery under the skin.

    Attributes:
        places: (n, 3) breast coordinates.
        width_mm: of the vessel.
        calcified: its walls are, along parts of it.
        seed: of those parts.
    """

    places: np.ndarray
    width_mm: float
    calcified: bool
    seed: int


def draw_vessels(rng: np.random.Generator, count: int, calcified: bool) -> tuple[Vessel, ...]:
    """Vessels from the chest wall forwards, mostly in the upper half."""
    vessels = []
    for index in range(count):
        turn = rng.uniform(0, 2 * np.pi)
        around = np.array([np.cos(turn), 0.4 + np.sin(turn)]) * rng.uniform(0.35, 0.75)
        bend = rng.normal(0, 0.25, (3, 2))
        controls = [
            np.array([a, *(around * (1.15 - 0.9 * a) + step)])
            for a, step in zip((0.0, 0.35, 0.6), bend, strict=True)
        ]
        controls.append(np.array([rng.uniform(0.55, 0.85), *(around * 0.5)]))
        path = bezier(controls, 36)
        wiggle = np.sin(np.linspace(0, rng.uniform(8, 22), 36) + rng.uniform(0, 6))[:, None]
        path = path + 0.012 * wiggle * rng.normal(size=(1, 3))
        vessels.append(
            Vessel(path, rng.uniform(0.8, 2.1), calcified and index < 2, int(rng.integers(1 << 30)))
        )
    return tuple(vessels)


def paint_vessels(signal: np.ndarray, film: Film, shape: ViewShape, vessels: tuple[Vessel, ...]) -> None:
    """Add them to the signal."""
    whole = (slice(0, film.rows), slice(0, film.columns))
    soft = [(shape.to_view(vessel.places), vessel.width_mm, 1.0) for vessel in vessels]
    signal += np.float32(0.06) * film.strokes(soft, whole, 0.35)
    walls = [wall for vessel in vessels if vessel.calcified for wall in _walls(vessel, shape)]
    if walls:
        signal += np.float32(0.3) * film.strokes(walls, whole, 0.1)


def _walls(vessel: Vessel, shape: ViewShape) -> list[tuple[np.ndarray, float, float]]:
    """Two tracks of short pieces."""
    rng = np.random.default_rng(vessel.seed)
    path = shape.to_view(vessel.places)
    places = np.linspace(0, len(path) - 1, 400)
    path = np.stack([np.interp(places, np.arange(len(path)), axis) for axis in path.T], -1)
    ahead = np.gradient(path, axis=0)
    across = ahead[:, ::-1] * [1, -1] / np.maximum(np.linalg.norm(ahead, axis=1, keepdims=True), 1e-6)
    pieces = []
    for side in (-0.5, 0.5):
        track = path + across * side * vessel.width_mm
        start = int(rng.integers(50, 150))
        while start < 330:
            stop = start + int(rng.integers(2, 9))
            piece = track[start:stop] + rng.normal(0, 0.1, 2)
            pieces.append((piece, rng.uniform(0.15, 0.4), rng.uniform(0.2, 1)))
            start = stop + int(rng.integers(0, 6))
    return pieces


def paint_nipple(signal: np.ndarray, film: Film, shape: ViewShape, radius_mm: float) -> None:
    """A small disc in profile, half before the skin line."""
    center = shape.nipple_mm - [radius_mm * 0.5, 0]
    place = film.window(center, 2 * radius_mm)
    x, y = film.local(place, center)
    distance = np.hypot(x, y / np.float32(1.4)) / np.float32(radius_mm)
    share = 1 / (1 + np.exp(np.clip((distance - 0.85) / np.float32(0.12), -30, 30)))
    signal[place] += np.float32(0.14) * share


def pectoral_share(film: Film, shape: ViewShape, d_mm: np.ndarray, v_mm: np.ndarray) -> np.ndarray:
    """Where the muscle lies, 0..1: a slightly convex triangle from the upper corner of the chest wall."""
    width, length = shape.pectoral_mm
    along = np.clip((np.float32(film.top_mm) - v_mm) * np.float32(1 / length), 0, 1.2)
    border = np.float32(width) * (1 - along) * (1 + np.float32(0.5) * along)
    return 1 / (1 + np.exp(np.clip((d_mm - border) * np.float32(1.1), -30, 30)))


def paint_pectoral(
    signal: np.ndarray, film: Film, shape: ViewShape, tiles: Tiles, d_mm: np.ndarray, v_mm: np.ndarray
) -> None:
    """Mix the muscle in, brighter at the top where it is thicker, with fibres along its edge."""
    share = pectoral_share(film, shape, d_mm, v_mm)
    columns = min(film.columns, int(1.15 * shape.pectoral_mm[0] / film.pixel_mm) + 8)
    place = (slice(0, film.rows), slice(0, columns))
    d, v, share = d_mm[place], v_mm[place], share[place]
    slope = np.float32(shape.pectoral_mm[0] / shape.pectoral_mm[1])
    across, along = d - slope * v, v + slope * d
    fibres = tiles.clouds(along * np.float32(0.7), across * np.float32(4.0), 77)
    muscle = np.float32(0.66) + np.float32(0.035) * fibres + np.float32(0.05 / 100) * v
    signal[place] += share * np.float32(0.85) * np.maximum(muscle - signal[place] * np.float32(0.75), 0)


def paint_fold(signal: np.ndarray, film: Film, shape: ViewShape, rng: np.random.Generator) -> None:
    """A skin fold near the lower border: a bright line with a dark one beside it."""
    start = np.array([rng.uniform(0, 10), -shape.half_mm[1] * rng.uniform(0.75, 0.95)])
    end = start + np.array([shape.depth_mm * rng.uniform(0.25, 0.5), rng.uniform(2, 16)])
    path = bezier([start, (start + end) / 2 + rng.normal(0, 4, 2), end], 24)
    whole = (slice(0, film.rows), slice(0, film.columns))
    signal += np.float32(0.16) * film.strokes([(path, 1.6, 1.0)], whole, 0.4)
    signal -= np.float32(0.1) * film.strokes([(path + np.array([0.5, 2.0]), 1.8, 1.0)], whole, 0.6)
