"""Tissue-like textures. Every length is in um, so that a texture lives at a known physical scale.

Two pairs differ by the factor TWIN in size: lymphocytes and tumour, muscle and stroma. Read at a
magnification that is off by that factor, one resembles the other (as lamina propria and tumour do in Penkin
et al. 2023): in the family "tissue" with differences that remain, in the family "twins" exactly, so that
nothing at such a point can tell the two scales apart. Dyes are balanced between classes and vary more between
slides (see `stain.py`), so that colour alone does not tell a class.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.spatial import Voronoi

from .layout import Layout
from .noise import band_noise, sample, scale_free_noise, window
from .shapes import CORNERS, DYE_STEP, Shapes, blobs, interleave, join, scatter, shrink

TWIN = 1.6
TILE_PX = 1024
Field = Callable[[int, int, int, int], np.ndarray]


@dataclass(frozen=True)
class Texture:
    """One class on one slide.

    Attributes:
        base: (haematoxylin, eosin) optical density between the shapes.
        eosin_field: factor on everything outside the shapes, from (x0, y0, width, height) in level-0 pixels.
        shapes: nuclei, glands, vacuoles in drawing order.
    """

    base: tuple[float, float]
    eosin_field: Field
    shapes: Shapes | None = None

    def paint(self, x0: int, y0: int, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
        """Optical densities of haematoxylin and eosin, float32 (height, width) each."""
        canvas = np.zeros((height, width, 3), np.uint8)
        canvas[..., 0], canvas[..., 1] = (round(value / DYE_STEP) for value in self.base)
        if self.shapes is not None:
            self.shapes.paint(canvas, x0, y0)
        planes = canvas.astype(np.float32)
        inside = planes[..., 2] / 255
        factor = self.eosin_field(x0, y0, width, height)
        factor += (1 - factor) * inside
        return planes[..., 0] * DYE_STEP * factor, planes[..., 1] * DYE_STEP * factor


@dataclass(frozen=True)
class Maker:
    """What the makers of textures need: the slide's random numbers, place and pixel size."""

    rng: np.random.Generator
    layout: Layout
    value: int
    mpp: float
    growth: float  # size of this class on this slide, relative to its mean

    def px(self, length_um: float) -> float:
        return length_um * self.growth / self.mpp

    def centres(self, spacing_um: float, jitter: float = 0.38) -> np.ndarray:
        """Scattered places inside this class, (n, 2) level-0 pixels."""
        places = scatter(self.rng, self.layout.size_px, self.px(spacing_um), jitter)
        return places[self.layout.at(places[:, 0], places[:, 1]) == self.value]

    def angles(self, count: int) -> np.ndarray:
        return self.rng.uniform(0, np.pi, count)

    def grain(self, wavelength_um: float, depth: float) -> Field:
        """Isotropic variation around 1 of a wavelength."""
        tile = 1 + depth * band_noise(self.rng, TILE_PX, self.px(wavelength_um))
        tile = np.maximum(tile, 0).astype(np.float32)
        return lambda x0, y0, width, height: window(tile, x0, y0, width, height)


def cells(maker: Maker, factor: float) -> Texture:
    """Sheets of round nuclei of 6.5 um x `factor`, one per (8.6 um x factor) squared."""
    nuclei = maker.centres(8.6 * factor)
    size = maker.px(6.5 * factor)
    rim = blobs(maker.rng, nuclei, size * 1.06, size * 0.94, maker.angles(len(nuclei)), (0.95, 0.25))
    inner = shrink(rim, 0.74, 0.80)
    spots = blobs(
        maker.rng,
        nuclei + maker.rng.normal(0, 0.10 * size, nuclei.shape),
        size * 0.24,
        size * 0.22,
        0.0,
        (1.15, 0.3),
    )
    return Texture((0.16, 0.42), maker.grain(4 * factor, 0.22), interleave(rim, inner, spots))


def atypical_cells(maker: Maker) -> Texture:
    """Tumour: nuclei TWIN times as large as lymphocytes, uneven and vesicular, each in a cell body."""
    rng, nuclei = maker.rng, maker.centres(13.5)
    tilt, size = maker.angles(len(nuclei)), maker.px(6.5 * TWIN)
    body = blobs(rng, nuclei, 1.38 * size, 1.16 * size, tilt, (0.22, 0.55), 0.08, 0.05)
    rim = blobs(rng, nuclei, 1.14 * size, 0.88 * size, tilt, (1.0, 0.3), 0.2, 0.09)
    places = nuclei + rng.normal(0, 0.09 * size, nuclei.shape)
    spots = blobs(rng, places, 0.26 * size, 0.24 * size, 0.0, (1.35, 0.4))
    return Texture((0.06, 0.20), maker.grain(7.0, 0.2), interleave(body, rim, shrink(rim, 0.76, 0.58), spots))


@dataclass(frozen=True)
class Weave:
    """How fibres lie. Lengths in um before `factor`.

    Attributes:
        factor: size of everything.
        stretch: length of a bundle, in bundle widths.
        waviness_um: how far bundles swing to the sides.
        nuclei_um: (distance, length, width) of the spindle nuclei.
        clefts: share of the splits between bundles, as a shift of their threshold.
    """

    factor: float
    stretch: float = 7.0
    waviness_um: float = 22.0
    nuclei_um: tuple[float, float, float] = (24.0, 15.0, 3.6)
    clefts: float = 1.75


MUSCLE = Weave(1.0)
COLLAGEN = Weave(TWIN, stretch=4.0, waviness_um=40.0, nuclei_um=(27.0, 15.0, 2.2), clefts=1.1)


def fibres(maker: Maker, weave: Weave) -> Texture:
    """Wavy bundles, 9 um x factor from one to the next, with spindle nuclei along them."""
    factor, course = weave.factor, _Course(maker, weave.waviness_um)
    tile = band_noise(maker.rng, TILE_PX, maker.px(9.0 * factor) / 2, weave.stretch)
    fine = band_noise(maker.rng, TILE_PX, maker.px(3.0 * factor) / 2, stretch=5.0)

    def field(x0: int, y0: int, width: int, height: int) -> np.ndarray:
        y, x = np.mgrid[y0 : y0 + height : 2, x0 : x0 + width : 2].astype(np.float32)
        along, across = course(x, y)
        bundles = sample(tile, along / 2, across / 2)
        dye = 1 + 0.34 * bundles + 0.12 * sample(fine, along / 2, across / 2)
        dye *= np.clip(1 + 1.6 * (bundles + weave.clefts), 0, 1)
        return cv2.resize(np.maximum(dye, 0), (width, height), interpolation=cv2.INTER_LINEAR)

    distance, length, width = (factor * value for value in weave.nuclei_um)
    nuclei = maker.centres(distance)
    angles = course.angles(nuclei)
    rim = blobs(maker.rng, nuclei, maker.px(length), maker.px(width), angles, (1.0, 0.3), 0.2, 0.06)
    return Texture((0.20, 0.60), field, interleave(rim, shrink(rim, 0.7, 0.82)))


class _Course:
    """The direction of fibres: a slowly turning pair of coordinates (along, across) in level-0 pixels."""

    def __init__(self, maker: Maker, waviness_um: float = 22.0) -> None:
        turn = maker.rng.uniform(0, 2 * np.pi)
        self.cosine, self.sine = np.cos(turn), np.sin(turn)
        self.step = 16.0
        self.warp = band_noise(maker.rng, TILE_PX, maker.px(260) / self.step)
        self.depth = maker.px(waviness_um)

    def __call__(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        bend = self.depth * sample(self.warp, x / self.step, y / self.step)
        return x * self.cosine + y * self.sine, y * self.cosine - x * self.sine + bend

    def angles(self, places: np.ndarray) -> np.ndarray:
        """Direction in which `across` stays the same."""
        x, y = places.T[:, None].astype(np.float32)
        step = self.step
        slope_x = (self(x + step, y)[1] - self(x - step, y)[1])[0]
        slope_y = (self(x, y + step)[1] - self(x, y - step)[1])[0]
        return np.arctan2(-slope_x, slope_y)


def glands(maker: Maker) -> Texture:
    """Crypts of 70 um, one per (88 um) squared: basal nuclei, pale vacuoles, an open lumen."""
    rng = maker.rng
    middles = maker.centres(88.0, 0.16)
    small = maker.centres(15.0)
    lamina = blobs(rng, small, maker.px(6.0), maker.px(5.0), maker.angles(len(small)), (0.95, 0.25))
    tilt = maker.angles(len(middles))
    epithelium = blobs(rng, middles, maker.px(76), maker.px(64), tilt, (0.22, 0.42), 0.08, 0.04, 0.1)
    vacuoles = _ring(rng, epithelium, 0.62, 12, maker.px(9.0), maker.px(7.5), (0.10, 0.12))
    nuclei = _ring(rng, epithelium, 0.86, 24, maker.px(8.0), maker.px(5.0), (0.95, 0.25))
    lumen = Shapes(shrink(epithelium, 0.30, 1.0).corners_px, np.zeros_like(epithelium.dyes))
    shapes = join(lamina, epithelium, vacuoles, lumen, nuclei)
    return Texture((0.12, 0.45), maker.grain(5.0, 0.3), shapes)


def _ring(
    rng: np.random.Generator,
    glands: Shapes,
    share: float,
    count: int,
    length_px: float,
    width_px: float,
    dye: tuple[float, float],
) -> Shapes:
    """`count` blobs around every gland at a share of its radius, pointing inwards."""
    middle = glands.corners_px.mean(axis=1, keepdims=True)
    turn = (np.arange(count) + rng.uniform(-0.3, 0.3, (len(middle), count))) / count * CORNERS
    corner = np.floor(turn).astype(int)
    rows = np.arange(len(middle))[:, None]
    part = (turn - corner)[..., None]
    before, after = (glands.corners_px[rows, (corner + step) % CORNERS] for step in (0, 1))
    places = (middle + share * ((1 - part) * before + part * after - middle)).reshape(-1, 2)
    inwards = places - np.repeat(middle[:, 0], count, axis=0)
    return blobs(rng, places, length_px, width_px, np.arctan2(inwards[:, 1], inwards[:, 0]), dye)


def adipose(maker: Maker) -> Texture:
    """Fat cells, one per (58 um) squared: empty, with thin walls and a few flat nuclei."""
    middles = scatter(maker.rng, maker.layout.size_px, maker.px(58.0), 0.3)
    diagram = Voronoi(middles)
    rounded, walls = [], []
    for region in diagram.point_region:
        corners = diagram.vertices[diagram.regions[region]]
        if -1 in diagram.regions[region] or len(corners) < 3:
            continue
        middle = corners.mean(axis=0)
        corners = corners[np.argsort(np.arctan2(*(corners - middle).T))]
        rounded.append(_round_corners(corners, middle, maker.px(1.1)))
        walls.append(corners[0])
    empty = Shapes(np.array(rounded), np.zeros((len(rounded), 2)))
    places = np.array(walls)
    nuclei = blobs(maker.rng, places, maker.px(9), maker.px(3.6), maker.angles(len(places)), (1.0, 0.3))
    return Texture((0.10, 0.75), maker.grain(6.0, 0.3), join(empty, nuclei))


def _round_corners(corners: np.ndarray, middle: np.ndarray, inset_px: float) -> np.ndarray:
    """CORNERS points on the outline, pulled in by `inset_px` and averaged along it."""
    closed = np.vstack([corners, corners[:1]])
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=1))])
    fine = np.linspace(0, length[-1], 4 * CORNERS, endpoint=False)
    points = np.stack([np.interp(fine, length, closed[:, axis]) for axis in (0, 1)], -1)
    smooth = np.mean([np.roll(points, shift, axis=0) for shift in range(-3, 4)], axis=0)[::4]
    outwards = smooth - middle
    distance = np.linalg.norm(outwards, axis=1, keepdims=True)
    return middle + outwards * np.maximum(1 - inset_px / np.maximum(distance, 1e-6), 0.2)


def mucus(maker: Maker) -> Texture:
    """Pale pools with curling strands 30 um apart and single floating cells."""
    course = _Course(maker)
    tile = band_noise(maker.rng, TILE_PX, maker.px(30.0) / 4, stretch=2.0)
    fine = band_noise(maker.rng, TILE_PX, maker.px(7.0) / 4, stretch=1.5)

    def field(x0: int, y0: int, width: int, height: int) -> np.ndarray:
        y, x = np.mgrid[y0 : y0 + height : 4, x0 : x0 + width : 4].astype(np.float32)
        along, across = (value / 4 for value in course(x, y))
        strands = np.exp(-((sample(tile, along, across) / 0.28) ** 2))
        factor = 0.45 + 1.5 * strands + 0.22 * sample(fine, along, across)
        return cv2.resize(np.maximum(factor, 0), (width, height), interpolation=cv2.INTER_CUBIC)

    floating = maker.centres(42.0)
    size = maker.px(8.0)
    nuclei = blobs(maker.rng, floating, size, size * 0.8, maker.angles(len(floating)), (0.9, 0.25), 0.2)
    return Texture((0.14, 0.22), field, nuclei)


def glass(maker: Maker) -> Texture:
    """Nothing but a little dust, one grain per (150 um) squared."""
    grains = maker.centres(150.0)
    dust = blobs(maker.rng, grains, maker.px(4), maker.px(2), maker.angles(len(grains)), (0.1, 0.1), 0.6)
    return Texture((0.0, 0.0), maker.grain(50.0, 0.1), dust)


def trabeculae(maker: Maker) -> Texture:
    """Foreign: bars of 50 um between holes, with sparse lacunae."""
    tile = band_noise(maker.rng, TILE_PX, maker.px(100.0) / 4)

    def field(x0: int, y0: int, width: int, height: int) -> np.ndarray:
        coarse = window(tile, x0 // 4, y0 // 4, width // 4, height // 4)
        bars = np.clip(6 * (coarse + 0.15), 0, 1).astype(np.float32)
        return cv2.resize(bars, (width, height), interpolation=cv2.INTER_LINEAR)

    lacunae = maker.centres(34.0)
    angles = maker.angles(len(lacunae))
    pale = blobs(maker.rng, lacunae, maker.px(12), maker.px(7), angles, (0.0, 0.12))
    return Texture((0.10, 0.85), field, pale)


def weave(maker: Maker) -> Texture:
    """Foreign: a regular cloth with threads every 14 um."""
    course = _Course(maker)
    pitch = maker.px(14.0)

    def field(x0: int, y0: int, width: int, height: int) -> np.ndarray:
        y, x = np.mgrid[y0 : y0 + height : 2, x0 : x0 + width : 2].astype(np.float32)
        along, across = (2 * np.pi / pitch * value for value in course(x, y))
        threads = 1 + 0.9 * np.sin(along) * np.sin(across)
        return cv2.resize(threads.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)

    return Texture((0.35, 0.40), field)


def whorls(maker: Maker) -> Texture:
    """Foreign: onion-like rings of 6 um around centres 120 um apart."""
    middles = maker.centres(120.0, 0.3)
    steps = np.arange(9)
    rings = [
        blobs(
            maker.rng,
            middles,
            maker.px(108 - 12 * step),
            maker.px(96 - 11 * step),
            0.3 * step,
            (0.1, 0.75) if step % 2 else (0.55, 0.35),
            0.02,
            0.03,
        )
        for step in steps
    ]
    return Texture((0.2, 0.5), maker.grain(3.0, 0.2), join(*rings))


def fractal(maker: Maker) -> Texture:
    """Scale-free: 1/f noise, the same variance in every octave up to 512 um."""
    tile = np.exp(0.45 * scale_free_noise(maker.rng, 2 * TILE_PX))
    return Texture((0.38, 0.42), lambda x0, y0, width, height: window(tile, x0, y0, width, height))


def smooth(maker: Maker) -> Texture:
    """Scale-free: no texture at all, only the slow change of thickness that every section has."""
    return Texture((0.30, 0.42), lambda x0, y0, width, height: np.ones((height, width), np.float32))


BACKGROUND = "background"
FAMILIES: dict[str, dict[str, Callable[[Maker], Texture]]] = {
    "tissue": {
        "adipose": adipose,
        "lymphocytes": lambda maker: cells(maker, 1.0),
        "mucus": mucus,
        "muscle": lambda maker: fibres(maker, MUSCLE),
        "mucosa": glands,
        "stroma": lambda maker: fibres(maker, COLLAGEN),
        "tumour": atypical_cells,
    },
    "foreign": {"trabeculae": trabeculae, "weave": weave, "whorls": whorls},
    "scale_free": {"fractal": fractal},
    "smooth": {"smooth": smooth},
}
FAMILIES["twins"] = FAMILIES["tissue"] | {
    "stroma": lambda maker: fibres(maker, Weave(TWIN)),
    "tumour": lambda maker: cells(maker, TWIN),
}
