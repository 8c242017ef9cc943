"""Several templates' answers as one: their mean, how far they are apart, and how much they overlap."""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import numpy as np
import torch

from common.errors import ConfigError

AVERAGES = ("probability", "logit")
PROBABILITY_EDGE = 1e-6
"""Probabilities are kept this far from 0 and 1, so that the logit of a mean stays finite (within 13.8)."""


class Combined(NamedTuple):
    """The answer of k templates for one structure.

    Attributes:
        logits: (H, W), above 0 inside.
        disagreement: (H, W) standard deviation of the k probabilities, 0..0.5.
        overlaps: (pairs, 2) twice the common pixels, and the pixels of both, of each pair of templates.
    """

    logits: torch.Tensor
    disagreement: torch.Tensor
    overlaps: np.ndarray


def combine(members: torch.Tensor, average: str = "probability") -> Combined:
    """Average the answers of several templates.

    Choice: probabilities. There a template has one bounded vote; in logits one that is wrong and sure of
    itself (a logit of -20) outvotes all others. "logit" is kept for comparison.

    Args:
        members: (k, H, W) logits, one map for each template.
        average: "probability" or "logit".

    Raises:
        ConfigError: another average.
    """
    if average not in AVERAGES:
        raise ConfigError(f"average: expected {' or '.join(AVERAGES)}, got '{average}': correct the setting")
    members = members.float()
    probabilities = members.sigmoid()
    mean = probabilities.mean(0).clamp(PROBABILITY_EDGE, 1 - PROBABILITY_EDGE).logit()
    if average == "logit" or len(members) == 1:
        mean = members.mean(0)
    return Combined(mean, probabilities.std(0, correction=0), count_overlaps(members > 0))


def count_overlaps(masks: torch.Tensor) -> np.ndarray:
    """(k, H, W) bool -> (k (k - 1) / 2, 2): 2 |A and B| and |A| + |B| of each pair."""
    flat = masks.flatten(1).float()
    common, sizes = flat @ flat.T, flat.sum(1)
    pairs = [
        (2 * float(common[a, b]), float(sizes[a] + sizes[b])) for a, b in combinations(range(len(flat)), 2)
    ]
    return np.array(pairs, dtype=np.float64).reshape(-1, 2)


def add_overlaps(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Sum of two (pairs, 2) counts; (0, 2) where nobody was asked adds nothing."""
    return first + second if len(first) and len(second) else first if len(first) else second


def expected_dice(overlaps: np.ndarray) -> float:
    """Mean Dice between the masks that the templates give, each taken alone.

    What it is: how well a further template would be expected to agree with the ones at hand; the Dice with
    the truth only if the truth differs from the answers as much as they differ from each other. What it is
    not: a measurement against the truth. Templates that share an error agree on it, so that the number is too
    high where all templates come from one patient or one scanner.

    Args:
        overlaps: (pairs, 2) of `count_overlaps`, or their sum over slices.

    Returns:
        0..1; 1 where all are empty; NaN where there is one template only.
    """
    if not len(overlaps):
        return float("nan")
    common, sizes = overlaps.T
    return float(np.mean(np.divide(common, sizes, out=np.ones_like(common), where=sizes > 0)))
