"""Masses, cysts, lymph nodes and calcifications: where they lie in the breast and how a view shows them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .mammo_film import Film
from .mammo_shape import ViewShape

KINDS = ("spiculated", "indistinct", "circumscribed", "distortion", "cyst", "node", "cluster", "specks")
MASSES = ("spiculated", "indistinct", "circumscribed", "distortion", "cyst")
"""The kinds that may be the finding of a breast."""

REACH = {"spiculated": 2.6, "distortion": 3.2}
"""Half side of the window to draw in, in radii; 1.6 for the others."""


@dataclass(frozen=True)
class Lesion:
    """Something in a breast that a reader may look at.

    Attributes:
        kind: one of KINDS.
        place: (3,) breast coordinates.
        radius_mm: of the body, without spicules.
        contrast: signal at the thickest place over fat; glands have about 0.4.
        malignant: whether it is a cancer.
        seed: of its form.
    """

    kind: str
    place: np.ndarray
    radius_mm: float
    contrast: float
    malignant: bool
    seed: int

    def box_px(self, film: Film, shape: ViewShape) -> tuple[float, float, float, float]:
        """x0, y0, x1, y1 around it on the film, clipped; spicules count for a third of their length."""
        x, y = film.to_px(shape.to_view(self.place))
        half = self.radius_mm * (1.25 if self.kind in REACH else 1.1) / film.pixel_mm
        low = np.clip([x - half, y - half], 0, [film.columns, film.rows])
        high = np.clip([x + half, y + half], 0, [film.columns, film.rows])
        return (*low.tolist(), *high.tolist())

    def pull(self, film: Film, shape: ViewShape, d_mm: np.ndarray, v_mm: np.ndarray) -> None:
        """Draw the tissue around towards a spiculated mass: changes the coordinates of the tissue, mm."""
        if self.kind not in REACH:
            return
        center = shape.to_view(self.place)
        place = film.window(center, 3 * self.radius_mm)
        x, y = film.local(place, center)
        share = np.float32(0.55) * np.exp((x * x + y * y) * np.float32(-0.7 / self.radius_mm**2))
        d_mm[place] += share * x
        v_mm[place] += share * y

    def paint(self, signal: np.ndarray, film: Film, shape: ViewShape) -> None:
        """Add it to the signal of a view."""
        center = shape.to_view(self.place)
        place = film.window(center, REACH.get(self.kind, 1.6) * self.radius_mm)
        x, y = film.local(place, center)
        if x.size and y.size:
            rng = np.random.default_rng([self.seed, shape.kind == "MLO"])
            PAINTERS[self.kind](self, Site(signal[place], film, shape, place, center, x, y), rng)


@dataclass(frozen=True)
class Site:
    """The window of a view that a lesion is painted in.

    Attributes:
        signal: (h, w) float32, a view of the whole.
        film: the grid.
        shape: of the breast in this view.
        place: the window's rows and columns.
        center_mm: of the lesion.
        x: (1, w) mm from its centre.
        y: (h, 1) likewise, upwards.
    """

    signal: np.ndarray
    film: Film
    shape: ViewShape
    place: tuple[slice, slice]
    center_mm: np.ndarray
    x: np.ndarray
    y: np.ndarray

    def add(self, amount: np.ndarray) -> None:
        """More on fat than on what is dense already: a mass takes the place of tissue."""
        self.signal[:] += amount * np.clip(np.float32(1.35) - self.signal, 0.25, 1)


def _body(lesion: Lesion, site: Site, rng: np.random.Generator, rough: float, edge: float) -> np.ndarray:
    """Thickness of a lumpy ellipsoid along the beam, 0..1.

    Args:
        lesion: gives the radius.
        site: where.
        rng: of the form.
        rough: relative amplitude of the outline's waves.
        edge: relative width of the margin: small is sharp.
    """
    turn, aspect = rng.uniform(0, np.pi), rng.uniform(0.72, 1.0)
    u = site.x * np.float32(np.cos(turn)) + site.y * np.float32(np.sin(turn))
    v = (site.y * np.float32(np.cos(turn)) - site.x * np.float32(np.sin(turn))) / np.float32(aspect)
    angle = np.arctan2(v, u)
    waves = np.zeros_like(angle)
    for order in range(2, 9):
        amplitude = rough * rng.normal() / order**0.6
        waves += np.float32(amplitude) * np.sin(order * angle + np.float32(rng.uniform(0, 6.3)))
    distance = np.hypot(u, v) / (np.float32(lesion.radius_mm) * (1 + waves))
    share = 1 / (1 + np.exp(np.clip((distance - 1) / np.float32(edge), -30, 30)))
    return share * (np.float32(0.45) + np.float32(0.55) * np.sqrt(np.clip(1 - distance * distance, 0, 1)))


def _spicules(lesion: Lesion, site: Site, count: int, start: float, width_mm: float) -> np.ndarray:
    """Threads in directions of the breast, the same in both views, 0..1."""
    rng = np.random.default_rng([lesion.seed, 2])
    directions = rng.normal(size=(count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    ends = site.shape.project(directions) * rng.uniform(1.5, 2.5, (count, 1)) * lesion.radius_mm
    bends = rng.normal(0, 0.07, (count, 1)) * ends[:, ::-1] * [1, -1]
    paths = []
    for end, bend in zip(ends, bends, strict=True):
        for low, high, width in ((start, 0.55, 0.9), (0.5, 0.8, 0.65), (0.75, 1.0, 0.45)):
            t = np.linspace(low, high, 6)[:, None]
            points = site.center_mm + end * t + bend * t * (1 - t) * 4
            paths.append((points, width * width_mm, 1.15 - high))
    return site.film.strokes(paths, site.place, 0.12)


def _paint_spiculated(lesion: Lesion, site: Site, rng: np.random.Generator) -> None:
    body = _body(lesion, site, rng, 0.13, 0.1)
    threads = _spicules(lesion, site, 28, 0.3, 0.75)
    site.add(np.float32(lesion.contrast) * (body + np.float32(0.65) * threads * (1 - np.float32(0.7) * body)))


def _paint_distortion(lesion: Lesion, site: Site, rng: np.random.Generator) -> None:
    site.add(np.float32(lesion.contrast * 0.9) * _spicules(lesion, site, 24, 0.05, 0.55))


def _paint_indistinct(lesion: Lesion, site: Site, rng: np.random.Generator) -> None:
    site.add(np.float32(lesion.contrast) * _body(lesion, site, rng, 0.14, 0.2))


def _paint_circumscribed(lesion: Lesion, site: Site, rng: np.random.Generator) -> None:
    site.add(np.float32(lesion.contrast) * _body(lesion, site, rng, 0.025, 0.045))


def _paint_cyst(lesion: Lesion, site: Site, rng: np.random.Generator) -> None:
    """Round and sharp with a dark halo."""
    distance = np.hypot(site.x, site.y) / np.float32(lesion.radius_mm)
    halo = np.exp(-(((distance - np.float32(1.12)) / np.float32(0.07)) ** 2))
    site.add(np.float32(lesion.contrast) * _body(lesion, site, rng, 0.01, 0.03) - np.float32(0.035) * halo)


def _paint_node(lesion: Lesion, site: Site, rng: np.random.Generator) -> None:
    """A bean with a fatty hilum."""
    turn = rng.uniform(0, 2 * np.pi)
    hilum = np.exp(
        -(
            (site.x - np.float32(0.35 * lesion.radius_mm * np.cos(turn))) ** 2
            + (site.y - np.float32(0.35 * lesion.radius_mm * np.sin(turn))) ** 2
        )
        / np.float32((0.42 * lesion.radius_mm) ** 2)
    )
    body = _body(lesion, site, rng, 0.03, 0.06)
    site.add(np.float32(lesion.contrast) * body * (1 - np.float32(0.95) * hilum))


def _paint_cluster(lesion: Lesion, site: Site, rng: np.random.Generator) -> None:
    """Fine pleomorphic calcifications."""
    _paint_specks_of(lesion, site, int(rng.integers(9, 26)), (0.16, 0.45), elongated=True)


def _paint_specks(lesion: Lesion, site: Site, rng: np.random.Generator) -> None:
    """A few round ones, far from each other."""
    _paint_specks_of(lesion, site, int(rng.integers(1, 5)), (0.4, 1.2), elongated=False)


def _paint_specks_of(
    lesion: Lesion, site: Site, count: int, sizes_mm: tuple[float, float], elongated: bool
) -> None:
    rng = np.random.default_rng([lesion.seed, 3])
    offsets = site.shape.project(rng.normal(0, 0.42, (count, 3))) * lesion.radius_mm
    sizes = rng.uniform(*sizes_mm, count)
    ends = rng.normal(0, 0.5 if elongated else 0.05, (count, 2)) * sizes[:, None]
    paths = [
        (site.center_mm + np.array([offset, offset + end]), size, min(1.0, 0.35 + size))
        for offset, end, size in zip(offsets, ends, sizes, strict=True)
    ]
    site.signal[:] += np.float32(1.6 * lesion.contrast) * site.film.strokes(paths, site.place, 0.06)


PAINTERS: dict[str, Callable[[Lesion, Site, np.random.Generator], None]] = {
    "spiculated": _paint_spiculated,
    "indistinct": _paint_indistinct,
    "circumscribed": _paint_circumscribed,
    "distortion": _paint_distortion,
    "cyst": _paint_cyst,
    "node": _paint_node,
    "cluster": _paint_cluster,
    "specks": _paint_specks,
}
