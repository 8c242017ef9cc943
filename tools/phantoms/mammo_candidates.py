"""Boxes such as a middling detector would give, so that classifiers can be trained before a detector is.

Of the masses (benign and malignant ones alike, by their looks only) 95 % are found, of the faint ones 75 %;
the rest are places with nothing in them. True ones have higher scores on average, but the two overlap. The
boxes never depend on the label.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from .mammo_lesions import MASSES, Lesion
from .mammo_patient import CONTRAST, draw_place
from .mammo_study import Plan

FOUND, FOUND_FAINT = 0.95, 0.75
WRONG = 12
"""Boxes without anything in each picture: more than the eight that are kept."""

_SCORES = {True: (0.5, 0.16), False: (0.28, 0.12)}
_JITTER = 0.12  # of a box's side


def coco_boxes(plans: Iterable[Plan]) -> dict[str, Any]:
    """COCO JSON with scores, as `boxes` of the bundle's configs takes it."""
    images, annotations = [], []
    for number, plan in enumerate(plans):
        size = {"width": plan.film.columns, "height": plan.film.rows}
        images.append({"id": number, "file_name": f"{plan.name}.dcm", **size})
        for (x0, y0, x1, y1), score in find_candidates(plan):
            bbox = [round(float(value), 1) for value in (x0, y0, x1 - x0, y1 - y0)]
            annotations.append({"image_id": number, "category_id": 1, "bbox": bbox, "score": round(score, 4)})
    return {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "mass"}]}


def find_candidates(plan: Plan) -> list[tuple[np.ndarray, float]]:
    """(x0, y0, x1, y1) in pixels and a score 0..1, in no order that tells anything."""
    rng = np.random.default_rng((*plan.seed, 2))
    found = []
    for lesion in plan.lesions:
        share = FOUND_FAINT if is_faint(lesion) else FOUND
        if lesion.kind in MASSES and rng.random() < share:
            found.append((lesion, True))
    for _ in range(WRONG):
        nothing = Lesion("indistinct", draw_place(rng, 0.75), rng.uniform(4, 11), 0.0, False, 0)
        found.append((nothing, False))
    boxes = [(_shake(rng, plan, lesion), _score(rng, real)) for lesion, real in found]
    kept = [row for row in boxes if (row[0][2:] - row[0][:2]).min() > 2]
    return [kept[place] for place in rng.permutation(len(kept))]


def is_faint(lesion: Lesion) -> bool:
    """Whether it was drawn as a subtle one."""
    return lesion.kind in CONTRAST and lesion.contrast < 0.75 * CONTRAST[lesion.kind]


def _shake(rng: np.random.Generator, plan: Plan, lesion: Lesion) -> np.ndarray:
    box = np.array(plan.box_px(lesion))
    box = box + rng.normal(0, _JITTER, 4) * np.tile(box[2:] - box[:2], 2)
    size = np.array([plan.film.columns, plan.film.rows])
    return np.clip(box, 0, np.tile(size, 2))


def _score(rng: np.random.Generator, real: bool) -> float:
    return float(np.clip(rng.normal(*_SCORES[real]), 0.01, 0.99))
