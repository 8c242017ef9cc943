"""Dice and HD95 of one case against its truth, by MONAI's metrics."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from monai.metrics import compute_dice, compute_hausdorff_distance

PERCENTILE = 95


class Score(NamedTuple):
    """One structure of one case with one template.

    Attributes:
        patient: pseudonym.
        case: name of the image, see `datalist.Case`.
        structure: name.
        template: id, or "ensemble".
        dice: 0..1; NaN where the case does not show the structure.
        hd95: in the unit of the spacing; NaN where one of the two masks is empty.
        predicted: size of the prediction in pixels or voxels.
        true: size of the truth in pixels or voxels.
    """

    patient: str
    case: str
    structure: str
    template: str
    dice: float
    hd95: float
    predicted: int
    true: int


def measure(
    predicted: np.ndarray, truth: np.ndarray, spacing: Sequence[float] | None, hd95: bool = True
) -> tuple[float, float]:
    """Dice and 95th percentile of the distances between the surfaces.

    Args:
        predicted: bool (r, c) or (R, C, Z).
        truth: bool, same shape.
        spacing: of the axes in mm; None measures in pixels.
        hd95: False spares the distance, which is then NaN.

    Returns:
        Dice, NaN where nothing is true; distance, NaN where one of the masks is empty.
    """
    found, true = (torch.from_numpy(np.ascontiguousarray(mask))[None, None] for mask in (predicted, truth))
    dice = float(compute_dice(found, true, include_background=True, ignore_empty=True)[0, 0])
    if not hd95 or not predicted.any() or not truth.any():
        return dice, float("nan")
    sizes = None if spacing is None else [float(value) for value in spacing]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # MONAI speaks to itself
        distance = compute_hausdorff_distance(
            found, true, include_background=True, percentile=PERCENTILE, spacing=sizes
        )
    return dice, float(distance[0, 0])
