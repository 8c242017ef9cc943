"""A patient: two breasts with what is in them, an age, a density and a history, drawn from a seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .mammo_anatomy import draw_vessels
from .mammo_history import write_history
from .mammo_lesions import Lesion
from .mammo_shape import VIEWS, ViewShape, draw_view_shape
from .mammo_tables import SIDES, Case, draw_case
from .mammo_tissue import draw_glands
from .mammo_view import Breast

CONTRAST = {"spiculated": 0.3, "indistinct": 0.2, "circumscribed": 0.2, "cyst": 0.18, "distortion": 0.2}
"""Signal of a plain finding over fat (choice: stands out in fat, about as glands do)."""

FAINT = 0.6
"""Of the contrast, for subtle findings; their radius is three quarters."""

DENSITY_SHARES = {"young": (0.05, 0.25, 0.45, 0.25), "old": (0.2, 0.42, 0.3, 0.08)}


@dataclass(frozen=True)
class Patient:
    """One patient.

    Attributes:
        seed: of everything.
        case: what is the matter.
        age: years.
        density: ACR "a" to "d".
        breasts: side -> breast.
        history: of the doctor, None where missing.
    """

    seed: int
    case: Case
    age: int
    density: str
    breasts: dict[str, Breast]
    history: str | None

    @property
    def name(self) -> str:
        """Pseudonym, also the name of the folder."""
        return f"phantom_{self.seed:05d}"


def draw_patient(seed: int, malignant: float | None = None) -> Patient:
    """A patient; the same seed gives the same one, in every picture size.

    Args:
        seed: 0 or more.
        malignant: share of patients with a cancer, 0..1; None for that of the tables.

    Raises:
        ConfigError: a share outside 0..1.
    """
    rng = np.random.default_rng([seed, 31])
    case = draw_case(rng, malignant)
    age = int(np.clip(rng.normal(54 if case.condition == "cancer" else 47, 11), 25, 88))
    density = str(rng.choice(list("abcd"), p=DENSITY_SHARES["old" if age > 52 else "young"]))
    size = rng.uniform(72, 122), rng.uniform(84, 114)
    hanging, nipple, thickness = rng.uniform(0, 1), rng.uniform(2.8, 4.8), rng.uniform(38, 68)
    breasts = {}
    for number, side in enumerate(SIDES):
        own = np.random.default_rng([seed, 32, number])
        shapes = {kind: draw_view_shape(own, kind, size, thickness, hanging) for kind in VIEWS}
        glands = draw_glands(np.random.default_rng([seed, 33]), own, density)
        lesions = draw_lesions(own, case, side, age, glands, shapes)
        vessels = draw_vessels(own, int(own.integers(2, 6)), age > 58 and own.random() < 0.35)
        breasts[side] = Breast(
            side, shapes, glands, lesions, vessels, nipple, bool(own.random() < 0.12), 10 * seed + number
        )
    place = next(
        (breasts[case.side].lesions[0].place for look in [case.looks[case.side]] if look != "nothing"), None
    )
    return Patient(seed, case, age, density, breasts, write_history(rng, case, place))


def draw_lesions(
    rng: np.random.Generator,
    case: Case,
    side: str,
    age: int,
    glands: np.ndarray,
    shapes: dict[str, ViewShape],
) -> tuple[Lesion, ...]:
    """The finding of a breast first, then what it has besides: a node, specks, a cluster."""
    lesions = []
    look, malignant = case.looks[side], case.is_malignant(side)
    if look != "nothing":
        faint = case.subtle[side]
        radius = rng.uniform(5, 11) * (0.75 if faint else 1)
        contrast = CONTRAST[look] * rng.uniform(0.85, 1.15) * (FAINT if faint else 1)
        place = draw_place(rng, 0.7)
        lesions.append(Lesion(look, place, radius, contrast, malignant, _seed(rng)))
        if rng.random() < (0.3 if malignant else 0.04):
            near = place + rng.normal(0, 0.03, 3)
            lesions.append(Lesion("cluster", near, rng.uniform(3, 7), 0.22, malignant, _seed(rng)))
    if rng.random() < 0.3:
        node = np.array([rng.uniform(0.12, 0.4), rng.uniform(0.45, 0.7), rng.uniform(0.3, 0.55)])
        lesions.append(Lesion("node", node, rng.uniform(2.5, 5), rng.uniform(0.12, 0.2), False, _seed(rng)))
    for _ in range(int(rng.integers(0, 2 + (age > 50)))):
        lesions.append(Lesion("specks", draw_place(rng, 0.8), rng.uniform(6, 25), 0.25, False, _seed(rng)))
    return tuple(lesions)


def draw_place(rng: np.random.Generator, reach: float) -> np.ndarray:
    """A place within `reach` of the half ball, often in the upper outer quadrant as cancers are."""
    while True:
        place = np.array([rng.uniform(0.28, 0.85), rng.normal(0.15, 0.35), rng.normal(0.12, 0.33)])
        if np.linalg.norm(place - [0.3, 0, 0]) < reach:
            return place


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(1 << 30))
