"""What is the matter with a phantom patient, how it shows, and what the doctor writes: the tables drawn from.

One side is the index side. Its breast has a condition; the other breast is clear. The picture and the
history are drawn from the condition, each for itself, so that each carries a part of the signal and both
together carry more: a spiculated scar looks like a cancer until the history tells of an operation, a round
cancer looks like a fibroadenoma until it tells of a hard, growing lump. `mammo_bayes` works out from these
numbers what the best possible reader of the picture, of the text, and of both would reach.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from common.errors import ConfigError

SIDES = ("R", "L")
CONDITIONS = {"cancer": 0.4, "benign": 0.27, "scar": 0.08, "clear": 0.25}
"""Choice: as many cancers as training needs. With one breast of two ill, 0.2 of the breasts are malignant,
near the 0.19 of the studies of the paper (section 2)."""

APPEARANCES: dict[str, dict[str, float]] = {
    "cancer": {
        "spiculated": 0.56,
        "indistinct": 0.2,
        "circumscribed": 0.1,
        "distortion": 0.09,
        "nothing": 0.05,
    },
    "benign": {
        "circumscribed": 0.5,
        "cyst": 0.24,
        "indistinct": 0.1,
        "spiculated": 0.04,
        "nothing": 0.12,
    },
    "scar": {"distortion": 0.5, "spiculated": 0.35, "nothing": 0.15},
    "clear": {"nothing": 0.86, "cyst": 0.1, "indistinct": 0.04},
}
"""Condition -> how the breast looks. Choice: each look of a cancer has a benign double."""

SUBTLE = 0.25
"""Share of the findings that are drawn faint and small, whatever they are."""

COMPLAINTS: dict[str, dict[str, float]] = {
    "hard lump": {"cancer": 0.24, "benign": 0.06, "scar": 0.05, "clear": 0.02},
    "lump": {"cancer": 0.24, "benign": 0.30, "scar": 0.07, "clear": 0.11},
    "bloody discharge": {"cancer": 0.05, "benign": 0.01, "scar": 0.0, "clear": 0.01},
    "skin": {"cancer": 0.08, "benign": 0.01, "scar": 0.06, "clear": 0.01},
    "axilla": {"cancer": 0.04, "benign": 0.01, "scar": 0.01, "clear": 0.02},
    "pain": {"cancer": 0.05, "benign": 0.16, "scar": 0.08, "clear": 0.22},
    "discharge": {"cancer": 0.01, "benign": 0.04, "scar": 0.0, "clear": 0.05},
    "known benign": {"cancer": 0.03, "benign": 0.13, "scar": 0.02, "clear": 0.01},
    "operation": {"cancer": 0.03, "benign": 0.02, "scar": 0.50, "clear": 0.02},
    "family": {"cancer": 0.05, "benign": 0.04, "scar": 0.02, "clear": 0.10},
    "screening": {"cancer": 0.08, "benign": 0.10, "scar": 0.08, "clear": 0.30},
    "vague": {"cancer": 0.02, "benign": 0.04, "scar": 0.03, "clear": 0.05},
    "missing": {"cancer": 0.08, "benign": 0.08, "scar": 0.08, "clear": 0.08},
}
"""What the history is about, by condition. Choice: hard lumps and skin changes speak for cancer, screening
and pain against it; all occur the other way round, which is what misleads."""

GENERAL = ("family", "screening", "vague", "missing")
"""Complaints that name no side."""

NAMED = {"index": 0.80, "none": 0.11, "both": 0.05, "other": 0.04}
"""The side that a complaint names. Choice: histories are mostly right about it, sometimes silent or wrong."""


@dataclass(frozen=True)
class Case:
    """What is the matter, before anything is drawn.

    Attributes:
        condition: of the index breast.
        side: "R" or "L", the index breast.
        looks: side -> appearance.
        subtle: side -> whether that is faint.
        complaint: of the history.
        named: "index", "none", "both" or "other".
    """

    condition: str
    side: str
    looks: dict[str, str]
    subtle: dict[str, bool]
    complaint: str
    named: str

    def is_malignant(self, side: str) -> bool:
        """Whether that breast has the cancer."""
        return self.condition == "cancer" and side == self.side


def conditions(malignant: float | None = None) -> dict[str, float]:
    """CONDITIONS with another share of cancers. Raises ConfigError."""
    if malignant is None:
        return dict(CONDITIONS)
    if not 0 <= malignant <= 1:
        raise ConfigError(f"malignant: expected a share 0..1, got {malignant:g}: 0.4 is usual")
    rest = {name: share for name, share in CONDITIONS.items() if name != "cancer"}
    scale = (1 - malignant) / sum(rest.values())
    return {"cancer": malignant, **{name: share * scale for name, share in rest.items()}}


def complaints(condition: str) -> dict[str, float]:
    """The column of COMPLAINTS."""
    return {name: row[condition] for name, row in COMPLAINTS.items()}


def draw_case(rng: np.random.Generator, malignant: float | None = None) -> Case:
    """A case. Raises ConfigError: a share outside 0..1."""
    condition = draw(rng, conditions(malignant))
    side = str(rng.choice(SIDES))
    looks, subtle = {}, {}
    for breast in SIDES:
        looks[breast] = draw(rng, APPEARANCES[condition if breast == side else "clear"])
        subtle[breast] = bool(rng.random() < SUBTLE)
    complaint = draw(rng, complaints(condition))
    named = "none" if complaint in GENERAL else draw(rng, NAMED)
    return Case(condition, side, looks, subtle, complaint, named)


def draw(rng: np.random.Generator, table: Mapping[str, float]) -> str:
    """A key of a table, by its share."""
    return str(rng.choice(list(table), p=np.array(list(table.values())) / sum(table.values())))
