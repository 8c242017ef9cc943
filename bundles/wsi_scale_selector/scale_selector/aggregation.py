"""From the points' curves to one scale per slide: shapes, aggregations, bootstrap.

The paper votes over the proposals (Algorithm 1, output) and names three shapes of a curve (section 4).
The other aggregations are choices of this project; all are reported beside the vote.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from common.errors import ConfigError

FLAT_TOLERANCE = (
    0.05  # of the curve's largest absolute value; below it the scales are equivalent (paper, Fig. 4b)
)
SHAPES = ("convex", "increasing", "decreasing", "flat")


@dataclass(frozen=True)
class Curves:
    """One row per point, one column per scale, ascending magnification.

    Attributes:
        values: (P, N) the largest score over the classes.
        proposed: (P,) argmax over the scales.
        shapes: (P,) one of `SHAPES`.
        prominence: (P,) peak minus the higher of the two lowest values on its sides; 0 at an edge.
    """

    values: np.ndarray
    proposed: np.ndarray
    shapes: np.ndarray
    prominence: np.ndarray


def describe_curves(values: np.ndarray, flat_tolerance: float = FLAT_TOLERANCE) -> Curves:
    """Shape and prominence of each curve (P, N); N >= 2."""
    proposed = values.argmax(axis=1)
    last = values.shape[1] - 1
    spread = values.max(axis=1) - values.min(axis=1)
    flat = spread <= flat_tolerance * np.abs(values).max(axis=1)
    shapes = np.where(proposed == 0, "decreasing", np.where(proposed == last, "increasing", "convex"))
    prominence = np.array([_prominence(curve, peak) for curve, peak in zip(values, proposed, strict=True)])
    return Curves(values, proposed, np.where(flat, "flat", shapes), prominence)


def _prominence(curve: np.ndarray, peak: int) -> float:
    if peak in (0, len(curve) - 1):
        return 0.0
    return float(curve[peak] - max(curve[:peak].min(), curve[peak + 1 :].min()))


def vote(curves: Curves, counts: np.ndarray) -> np.ndarray:
    """Number of proposals per scale (paper: the slide's scale is the most proposed one)."""
    return counts @ _one_hot(curves)


def interior_vote(curves: Curves, counts: np.ndarray) -> np.ndarray:
    """Proposals of convex points only: an edge peak says where to look next, not where the optimum is."""
    return vote(curves, counts * (curves.shapes == "convex"))


def interior_median(curves: Curves, counts: np.ndarray) -> np.ndarray:
    """1 at the (lower) median proposal of the convex points."""
    below = interior_vote(curves, counts).cumsum(axis=1)
    total = below[:, -1:]
    first = (below > (total - 1) // 2).argmax(axis=1)
    return np.eye(below.shape[1])[first] * (total > 0)


def prominence_vote(curves: Curves, counts: np.ndarray) -> np.ndarray:
    """Proposals of convex points, each weighted by how far its peak stands out."""
    return interior_vote(curves, counts * curves.prominence)


def mean_curve(curves: Curves, counts: np.ndarray) -> np.ndarray:
    """The mean of all curves, shifted so that its lowest value is 0."""
    mean = _mean(curves, counts)
    return mean - mean.min(axis=1, keepdims=True)


def _one_hot(curves: Curves) -> np.ndarray:
    return np.eye(curves.values.shape[1])[curves.proposed]


def _mean(curves: Curves, counts: np.ndarray) -> np.ndarray:
    return counts @ curves.values / counts.sum(axis=1, keepdims=True)


AGGREGATIONS: dict[str, Callable[[Curves, np.ndarray], np.ndarray]] = {
    function.__name__: function
    for function in (vote, interior_vote, interior_median, prominence_vote, mean_curve)
}
"""Score of every scale, (R, N), from the curves of P points and how often each counts, (R, P)."""


def check_aggregation(name: str) -> str:
    """Raises ConfigError on an unknown name."""
    if name not in AGGREGATIONS:
        raise ConfigError(f"aggregation: expected one of {', '.join(AGGREGATIONS)}, got '{name}'")
    return name


def aggregate(curves: Curves, name: str) -> int | None:
    """Index of the slide's scale, or None where no point has a say (e.g. no convex point)."""
    chosen = int(_choose(curves, name, np.ones((1, len(curves.values))))[0])
    return None if chosen < 0 else chosen


def _choose(curves: Curves, name: str, counts: np.ndarray) -> np.ndarray:
    """Index of the scale for every row of counts (R, P), -1 where no point has a say.

    Ties go to the scale where the mean curve is higher, then to the lower magnification.
    """
    score = AGGREGATIONS[name](curves, counts)
    top = score.max(axis=1, keepdims=True)
    tied = np.isclose(score, top, rtol=1e-9, atol=0)
    best = np.where(tied, _mean(curves, counts), -np.inf).argmax(axis=1)
    return np.where(top[:, 0] > 0, best, -1)


@dataclass(frozen=True)
class Bootstrap:
    """Resampling of the points.

    Attributes:
        shares: (N,) share of the resamples that chose each scale; they sum to 1 less the undecided ones.
        low, high: indices that bound the central 95 % of the decided resamples; None where none decided.
    """

    resamples: int
    shares: np.ndarray
    low: int | None
    high: int | None


def bootstrap(curves: Curves, name: str, rng: np.random.Generator, resamples: int = 2000) -> Bootstrap:
    """Percentile interval of the aggregated scale over points drawn with replacement."""
    count, scales = curves.values.shape
    rows = rng.integers(0, count, (resamples, count))
    counts = np.apply_along_axis(np.bincount, 1, rows, minlength=count).astype(float)
    chosen = _choose(curves, name, counts)
    chosen = chosen[chosen >= 0]
    shares = np.bincount(chosen, minlength=scales) / resamples
    if not len(chosen):
        return Bootstrap(resamples, shares, None, None)
    low, high = np.percentile(chosen, [2.5, 97.5], method="nearest")
    return Bootstrap(resamples, shares, int(low), int(high))
