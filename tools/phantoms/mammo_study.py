"""The four pictures of a study, with the place of every lesion on each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .mammo_film import LARGE_PX, Film, draw_film
from .mammo_lesions import Lesion
from .mammo_patient import Patient
from .mammo_shape import VIEWS
from .mammo_tables import SIDES
from .mammo_tissue import Tiles, draw_tiles
from .mammo_vendor import Vendor, develop, stamp
from .mammo_view import take_view

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Picture:
    """One mammogram as it is hung: chest wall on the left for L, on the right for R.

    Attributes:
        side: "R" or "L".
        view: "CC" or "MLO".
        pixel_mm: edge of a pixel.
        shown: (rows, columns) float32, 0 black to 1 white.
        lesions: each with its box x0, y0, x1, y1 in pixels.
    """

    side: str
    view: str
    pixel_mm: float
    shown: np.ndarray
    lesions: tuple[tuple[Lesion, Box], ...]


def take_study(patient: Patient, vendor: Vendor, size_px: tuple[int, int]) -> Iterator[Picture]:
    """R CC, R MLO, L CC, L MLO of `size_px` (rows, columns)."""
    tiles = draw_tiles(np.random.default_rng([patient.seed, 41]), max(size_px) > LARGE_PX)
    for number, (side, view) in enumerate((side, view) for side in SIDES for view in VIEWS):
        rng = np.random.default_rng([patient.seed, 42, number])
        film = draw_film(rng, size_px, patient.breasts[side].shapes[view])
        yield take_picture(patient, side, view, film, tiles, vendor, rng)


def take_picture(
    patient: Patient,
    side: str,
    view: str,
    film: Film,
    tiles: Tiles,
    vendor: Vendor,
    rng: np.random.Generator,
) -> Picture:
    """One view on a given film; `rng` is for the exposure."""
    breast = patient.breasts[side]
    shown = develop(take_view(breast, view, film, tiles), vendor, film.pixel_mm, rng)
    boxes = [(lesion, lesion.box_px(film, breast.shapes[view])) for lesion in breast.lesions]
    if side == "R":
        shown = np.ascontiguousarray(shown[:, ::-1])
        boxes = [
            (lesion, (film.columns - x1, y0, film.columns - x0, y1)) for lesion, (x0, y0, x1, y1) in boxes
        ]
    if vendor.marker:
        stamp(shown, f"{side} {view}", side == "R")
    return Picture(side, view, film.pixel_mm, shown, tuple(boxes))
