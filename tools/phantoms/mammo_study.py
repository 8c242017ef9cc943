"""The four pictures of a study, with the place of every lesion on each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .mammo_film import LARGE_PX, Film, draw_film
from .mammo_lesions import Lesion
from .mammo_patient import Patient
from .mammo_shape import VIEWS, ViewShape
from .mammo_tables import SIDES
from .mammo_tissue import Tiles, draw_tiles
from .mammo_vendor import Vendor, develop, stamp
from .mammo_view import take_view

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Plan:
    """How one breast lies on one film; the chest wall is hung on the left for L, on the right for R.

    Attributes:
        name: of the picture's file, without suffix.
        side: "R" or "L".
        view: "CC" or "MLO".
        film: where millimetres lie, before it is hung.
        shape: of the breast.
        lesions: in the breast.
        seed: of the exposure.
    """

    name: str
    side: str
    view: str
    film: Film
    shape: ViewShape
    lesions: tuple[Lesion, ...]
    seed: tuple[int, ...]

    def box_px(self, lesion: Lesion) -> Box:
        """x0, y0, x1, y1 on the picture as it is hung."""
        x0, y0, x1, y1 = lesion.box_px(self.film, self.shape)
        return (
            (x0, y0, x1, y1) if self.side == "L" else (self.film.columns - x1, y0, self.film.columns - x0, y1)
        )


def plan_study(patient: Patient, size_px: tuple[int, int]) -> list[Plan]:
    """R CC, R MLO, L CC, L MLO on films of `size_px` (rows, columns); nothing is drawn yet."""
    plans = []
    for number, (side, view) in enumerate((side, view) for side in SIDES for view in VIEWS):
        breast, seed = patient.breasts[side], (patient.seed, 42, number)
        film = draw_film(np.random.default_rng(seed), size_px, breast.shapes[view])
        name = f"{patient.name}_{side}_{view}"
        plans.append(Plan(name, side, view, film, breast.shapes[view], breast.lesions, (*seed, 1)))
    return plans


def take_study(
    patient: Patient, vendor: Vendor, size_px: tuple[int, int]
) -> Iterator[tuple[Plan, np.ndarray]]:
    """Each plan with its picture, (rows, columns) float32, 0 black to 1 white."""
    tiles = draw_tiles(np.random.default_rng([patient.seed, 41]), max(size_px) > LARGE_PX)
    for plan in plan_study(patient, size_px):
        yield plan, take_picture(patient, plan, tiles, vendor)


def take_picture(patient: Patient, plan: Plan, tiles: Tiles, vendor: Vendor) -> np.ndarray:
    """The picture of a plan, as it is hung."""
    signal = take_view(patient.breasts[plan.side], plan.view, plan.film, tiles)
    shown = develop(signal, vendor, plan.film.pixel_mm, np.random.default_rng(plan.seed))
    if plan.side == "R":
        shown = np.ascontiguousarray(shown[:, ::-1])
    if vendor.marker:
        stamp(shown, f"{plan.side} {plan.view}", plan.side == "R")
    return shown
