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

    def take(self, rows: np.ndarray) -> Curves:
        return Curves(self.values[rows], self.proposed[rows], self.shapes[rows], self.prominence[rows])


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


def vote(curves: Curves) -> np.ndarray:
    """Number of proposals per scale (paper: the slide's scale is the most proposed one)."""
    return np.bincount(curves.proposed, minlength=curves.values.shape[1]).astype(float)


def interior_vote(curves: Curves) -> np.ndarray:
    """Proposals of convex points only: an edge peak says where to look next, not where the optimum is."""
    return vote(curves.take(curves.shapes == "convex"))


def interior_median(curves: Curves) -> np.ndarray:
    """1 at the (lower) median proposal of the convex points."""
    score = np.zeros(curves.values.shape[1])
    inner = np.sort(curves.proposed[curves.shapes == "convex"])
    if len(inner):
        score[inner[(len(inner) - 1) // 2]] = 1.0
    return score


def prominence_vote(curves: Curves) -> np.ndarray:
    """Proposals of convex points, each weighted by how far its peak stands out."""
    inner = curves.take(curves.shapes == "convex")
    return np.bincount(inner.proposed, weights=inner.prominence, minlength=curves.values.shape[1])


def mean_curve(curves: Curves) -> np.ndarray:
    """The mean of all curves, shifted so that its lowest value is 0."""
    mean = curves.values.mean(axis=0)
    return mean - mean.min()


AGGREGATIONS: dict[str, Callable[[Curves], np.ndarray]] = {
    function.__name__: function
    for function in (vote, interior_vote, interior_median, prominence_vote, mean_curve)
}


def check_aggregation(name: str) -> str:
    """Raises ConfigError on an unknown name."""
    if name not in AGGREGATIONS:
        raise ConfigError(f"aggregation: expected one of {', '.join(AGGREGATIONS)}, got '{name}'")
    return name


def aggregate(curves: Curves, name: str) -> int | None:
    """Index of the slide's scale, or None where no point has a say (e.g. no convex point).

    Ties go to the scale where the mean curve is higher, then to the lower magnification.
    """
    score = AGGREGATIONS[name](curves)
    if score.max(initial=0.0) <= 0:
        return None
    tied = np.flatnonzero(np.isclose(score, score.max(), rtol=1e-9, atol=0))
    return int(tied[curves.values.mean(axis=0)[tied].argmax()])


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
    drawn = (aggregate(curves.take(sample), name) for sample in rows)
    chosen = np.sort([index for index in drawn if index is not None]).astype(int)
    shares = np.bincount(chosen, minlength=scales) / resamples
    if not len(chosen):
        return Bootstrap(resamples, shares, None, None)
    low, high = np.percentile(chosen, [2.5, 97.5], method="nearest")
    return Bootstrap(resamples, shares, int(low), int(high))
