"""An optic disc as light sees it: retina, disc, cup and vessels, before any camera."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .ct_shapes import bezier

SHIFT = 4  # fractional bits of OpenCV's coordinates


@dataclass(frozen=True)
class Eye:
    """One picture with its truth.

    Attributes:
        reflectance: (side, side, 3) float32, 0..1, RGB.
        disc: (side, side) bool.
        cup: (side, side) bool, inside the disc.
    """

    reflectance: np.ndarray
    disc: np.ndarray
    cup: np.ndarray


def draw_eye(seed: int, side_px: int, disc_scale: float = 1.0, cup_scale: float = 1.0) -> Eye:
    """An eye.

    Args:
        seed: the same seed gives the same eye.
        side_px: the disc takes about 0.6 of it.
        disc_scale: what the annotator draws, relative to where the disc ends.
        cup_scale: likewise for the cup: some draw the pallor, some the bend of the vessels further out.
    """
    rng = np.random.default_rng([seed, 21])
    y, x = (np.mgrid[0:side_px, 0:side_px].astype(np.float32) + 0.5) / side_px - 0.5
    middle = rng.normal(0, 0.02, 2)
    disc = Outline(
        middle, rng.uniform(0.25, 0.33), rng.uniform(0.82, 0.98), rng.uniform(0, np.pi), _waves(rng)
    )
    ratio = float(np.clip(rng.normal(0.52, 0.12), 0.25, 0.85))
    nasal = rng.choice([-1.0, 1.0])
    shift = np.array([-nasal * rng.uniform(0, 0.08), rng.normal(0, 0.02)]) * disc.radius * 2 * (1 - ratio)
    cup = Outline(
        middle + shift, disc.radius * ratio, rng.uniform(0.8, 1), rng.uniform(0, np.pi), _waves(rng)
    )
    picture = _retina(rng, x, y)
    picture = _paint_disc(rng, picture, disc.distance(x, y), cup.distance(x, y), nasal, x - middle[0])
    root = middle + shift + [nasal * disc.radius * 0.25, 0]
    picture = _paint_vessels(rng, picture, root, nasal)
    inside = disc.distance(x, y, disc_scale) < 0
    return Eye(picture, inside, (cup.distance(x, y, cup_scale) < 0) & inside)


@dataclass(frozen=True)
class Outline:
    """A wavy ellipse in units of the picture's side.

    Attributes:
        middle: (2,) x, y.
        radius: mean half axis.
        aspect: short over long axis.
        turn: of the long axis, radians.
        waves: (n, 3) amplitude, turns, phase.
    """

    middle: np.ndarray
    radius: float
    aspect: float
    turn: float
    waves: np.ndarray

    def distance(self, x: np.ndarray, y: np.ndarray, scale: float = 1.0) -> np.ndarray:
        """Negative inside, in units of the side."""
        dx, dy = x - self.middle[0], y - self.middle[1]
        u = dx * np.cos(self.turn) + dy * np.sin(self.turn)
        v = (-dx * np.sin(self.turn) + dy * np.cos(self.turn)) / self.aspect
        angle = np.arctan2(v, u)
        wave = sum(a * np.sin(n * angle + phase) for a, n, phase in self.waves)
        return np.hypot(u, v) - self.radius * scale * (1 + wave)


def _waves(rng: np.random.Generator) -> np.ndarray:
    return np.stack([rng.normal(0, 0.02, 3), np.arange(2, 5), rng.uniform(0, 2 * np.pi, 3)], axis=1)


def _noise(rng: np.random.Generator, side: int, knots: int) -> np.ndarray:
    """Smooth noise of about unit variance."""
    return cv2.resize(
        rng.normal(size=(knots, knots)).astype(np.float32), (side, side), None, 0, 0, cv2.INTER_CUBIC
    )


def _retina(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Orange-red with the streaks of the choroid and fine grain."""
    side = len(x)
    colour = np.array([0.6, 0.27, 0.13]) * rng.uniform(0.75, 1.2) * rng.uniform(0.85, 1.15, 3)
    streaks = _noise(rng, side, 14) * rng.uniform(0.01, 0.05) + _noise(rng, side, 60) * 0.012
    slope = rng.normal(0, 0.3, 2)
    light = 1 + slope[0] * x + slope[1] * y + streaks
    return (light[..., None] * colour).astype(np.float32)


def _paint_disc(
    rng: np.random.Generator,
    picture: np.ndarray,
    disc: np.ndarray,
    cup: np.ndarray,
    nasal: float,
    across: np.ndarray,
) -> np.ndarray:
    """Rim (paler at the temple), cup (palest), and sometimes a crescent of atrophy around."""
    softness = rng.uniform(0.005, 0.02)
    if rng.random() < 0.5:
        width = rng.uniform(0.01, 0.05)
        crescent = _inside(disc - width * np.clip(0.5 - nasal * across * 4, 0, 1), softness)
        picture = _mix(picture, crescent * 0.5, np.array([0.85, 0.62, 0.45]))
    rim = np.array([0.9, 0.52, 0.27]) * rng.uniform(0.92, 1.06, 3)
    picture = _mix(picture, _inside(disc, softness), rim)
    pale = np.clip(0.25 - nasal * across * 1.5, 0, 0.5)
    picture = _mix(picture, _inside(disc, softness) * pale, np.array([0.98, 0.82, 0.6]))
    bright = np.array([1.0, 0.9, 0.7]) * rng.uniform(0.94, 1.04, 3)
    return _mix(picture, _inside(cup, rng.uniform(0.012, 0.05)) * rng.uniform(0.6, 0.95), bright)


def _inside(distance: np.ndarray, softness: float) -> np.ndarray:
    return 1 / (1 + np.exp(np.clip(distance / softness, -30, 30) * 2))


def _mix(picture: np.ndarray, share: np.ndarray, colour: np.ndarray) -> np.ndarray:
    return (picture + share[..., None] * (colour.astype(np.float32) - picture)).astype(np.float32)


def _paint_vessels(
    rng: np.random.Generator, picture: np.ndarray, root: np.ndarray, nasal: float
) -> np.ndarray:
    """Veins, then arteries: up and down from the root, bent to the temple, with branches."""
    side = len(picture)
    for kind, width, colour in (("vein", 0.022, (0.42, 0.10, 0.08)), ("artery", 0.016, (0.62, 0.2, 0.13))):
        canvas = np.zeros((side, side), np.uint8)
        shine = np.zeros((side, side), np.uint8)
        for up in (-1, 1):
            for towards in (-nasal, nasal):
                start = root + rng.normal(0, 0.008, 2)
                middle = np.add(start, [towards * rng.uniform(0.02, 0.1), up * rng.uniform(0.15, 0.25)])
                end = np.add(start, [towards * rng.uniform(0.15, 0.5), up * rng.uniform(0.5, 0.75)])
                path = bezier([start, middle, end], 40) + _wiggle(rng, 40)
                thick = width * rng.uniform(0.7, 1.2) * (1.0 if towards == -nasal else 0.7)
                _stroke(canvas, path, thick)
                if kind == "artery":
                    _stroke(shine, path, thick * 0.3)
                for _ in range(rng.integers(1, 4)):
                    place = int(rng.integers(8, 32))
                    begin, ahead = path[place], path[place + 4] - path[place]
                    side_step = np.array([-ahead[1], ahead[0]]) * rng.choice([-1, 1]) * rng.uniform(1, 3)
                    tip = begin + (ahead * rng.uniform(2, 4) + side_step) * rng.uniform(1.5, 3)
                    bend = (begin + tip) / 2 + rng.normal(0, 0.03, 2)
                    _stroke(canvas, bezier([begin, bend, tip], 20), thick * rng.uniform(0.25, 0.5))
        share = cv2.GaussianBlur(canvas.astype(np.float32) / 255, (0, 0), side * 0.0012) * 0.85
        picture = _mix(picture, share, np.array(colour))
        picture = _mix(picture, shine.astype(np.float32) / 255 * 0.35, np.array([0.85, 0.45, 0.3]))
    return picture


def _wiggle(rng: np.random.Generator, count: int) -> np.ndarray:
    t = np.linspace(0, 1, count)[:, None]
    return 0.008 * np.sin(t * rng.uniform(6, 16, 2) + rng.uniform(0, 6, 2)) * t


def _stroke(canvas: np.ndarray, path: np.ndarray, width: float) -> None:
    points = np.round((path + 0.5) * len(canvas) * 2**SHIFT).astype(np.int32)
    thickness = max(1, round(width * len(canvas)))
    cv2.polylines(canvas, [points[:, None]], False, 255, thickness, cv2.LINE_AA, SHIFT)
