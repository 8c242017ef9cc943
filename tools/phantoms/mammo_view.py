"""A view of a breast before any vendor's processing: relative attenuation, noise-free or noisy."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .mammo_anatomy import Vessel, paint_fold, paint_nipple, paint_pectoral, paint_vessels
from .mammo_film import Film
from .mammo_lesions import Lesion
from .mammo_shape import ViewShape
from .mammo_tissue import CELLS, Tiles, project_glands
from .noise import sample

FAT, GLAND = 0.30, 0.52
"""Signal of full thickness of fat, and what glands add to it (choice: as displayed mammograms)."""


@dataclass(frozen=True)
class Breast:
    """One breast.

    Attributes:
        side: "L" or "R".
        shapes: view -> its outline.
        glands: see `draw_glands`.
        lesions: masses and distractors.
        vessels: under the skin.
        nipple_mm: radius.
        fold: a skin fold shows in MLO.
        seed: of what differs between its views.
    """

    side: str
    shapes: dict[str, ViewShape]
    glands: np.ndarray
    lesions: tuple[Lesion, ...]
    vessels: tuple[Vessel, ...]
    nipple_mm: float
    fold: bool
    seed: int


def take_view(breast: Breast, view: str, film: Film, tiles: Tiles) -> np.ndarray:
    """Signal of a view, (rows, columns) float32: 0 air, 0.3 fat, 0.8 dense tissue; chest wall on the left."""
    shape = breast.shapes[view]
    near = film.narrow(shape.depth_mm + breast.nipple_mm + 4)
    signal = np.zeros((film.rows, film.columns), np.float32)
    signal[:, : near.columns] = _take(breast, view, near, tiles)
    return signal


def _take(breast: Breast, view: str, film: Film, tiles: Tiles) -> np.ndarray:
    shape = breast.shapes[view]
    rng = np.random.default_rng([breast.seed, view == "MLO"])
    below_skin = film.depth_below_skin(shape, breast.nipple_mm)
    d, v = film.grid()
    for lesion in breast.lesions:
        lesion.pull(film, shape, d, v)
    signal = tissue_signal(breast, shape, tiles, d, v, float(rng.uniform(0, 400)), below_skin)
    paint_vessels(signal, film, shape, breast.vessels)
    if view == "MLO":
        paint_pectoral(signal, film, shape, tiles, d, v)
    for lesion in breast.lesions:
        lesion.paint(signal, film, shape)
    signal *= compressed_thickness(below_skin, shape.thickness_mm)
    skin = np.exp(np.square((below_skin - np.float32(0.9)) * np.float32(1 / 0.7)) * np.float32(-1))
    signal += np.float32(0.045) * skin * (below_skin > 0)
    if breast.fold and view == "MLO":
        paint_fold(signal, film, shape, rng)
    paint_nipple(signal, film, shape, breast.nipple_mm)
    return signal


def compressed_thickness(below_skin_mm: np.ndarray, thickness_mm: float) -> np.ndarray:
    """Flat under the paddle, round at its edge, 0..1."""
    rest = 1 - np.clip(below_skin_mm * np.float32(2 / thickness_mm), 0, 1)
    return np.sqrt(np.maximum(1 - rest * rest, 0))


def tissue_signal(
    breast: Breast,
    shape: ViewShape,
    tiles: Tiles,
    d_mm: np.ndarray,
    v_mm: np.ndarray,
    offset: float,
    below_skin_mm: np.ndarray,
) -> np.ndarray:
    """Fat, glands and ligaments at view coordinates; `offset` is where the view looks into the tiles."""
    bend = tiles.clouds(d_mm * 4, v_mm * 4, offset)
    x = d_mm + bend * np.float32(1.3)
    y = v_mm + tiles.clouds(v_mm * 4, d_mm * 4, offset + 150) * np.float32(1.3)
    a, height = shape.to_breast(x, y)
    share = cv2.remap(
        project_glands(breast.glands, shape),
        (height + 1) * np.float32((CELLS[1] - 1) / 2),
        a * np.float32(CELLS[0] - 1),
        cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
    deep = np.clip((below_skin_mm - 3) * np.float32(0.09), 0, 1)
    share = np.clip(share, 0, 1.1) * deep
    net = ligaments(shape, tiles, x, y, offset) * np.clip(np.float32(0.6) + np.float32(0.5) * bend, 0, 1.4)
    fine = tiles.clouds(d_mm * 9, v_mm * 9, offset + 60)
    grain = 1 + np.float32(0.09) * fine + np.float32(0.1) * bend + np.float32(0.12) * net
    glands = np.clip(share ** np.float32(0.7) * grain, 0, 1.15)
    fat = np.float32(FAT) * (1 + np.float32(0.03) * fine + np.float32(0.05) * bend)
    net *= deep * (np.float32(0.1) - np.float32(0.05) * share)
    return fat + np.float32(GLAND) * glands + net


def ligaments(
    shape: ViewShape, tiles: Tiles, d_mm: np.ndarray, v_mm: np.ndarray, offset: float
) -> np.ndarray:
    """Thin lines: a net of 12 mm and threads that run towards the nipple, about 0..1."""
    net = _lines(tiles.net, d_mm * np.float32(2.6), v_mm * np.float32(2.6), offset, 0.2)
    fine = _lines(tiles.net, v_mm * np.float32(4.3), d_mm * np.float32(4.3), offset + 90, 0.4)
    from_nipple = np.float32(shape.depth_mm + 12) - d_mm
    turn = cv2.phase(from_nipple, v_mm) * np.float32(230)
    threads = _lines(tiles.thread, cv2.magnitude(from_nipple, v_mm) * np.float32(2.5), turn, offset, 0.25)
    return np.float32(0.4) * net + np.float32(0.2) * fine + np.float32(0.5) * threads


def _lines(tile: np.ndarray, x: np.ndarray, y: np.ndarray, offset: float, width: float) -> np.ndarray:
    """Where noise of unit variance is near zero."""
    value = sample(tile, x + np.float32(offset), y + np.float32(offset))
    return np.exp(value * value * np.float32(-1 / width**2))
