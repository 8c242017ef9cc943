"""Figures of merit of scores, and their confidence over patients.

Every measure takes weights (..., N), one for each case: ones for the measure itself, the counts of a
bootstrap for its interval. A draw takes patients, so that the views of a breast stay together.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.stats import norm, rankdata

from common.errors import ConfigError, InputError

INTERVAL = (2.5, 97.5)
BINS = 10
_CHUNK = 100

Measure = Callable[[np.ndarray], Mapping[str, np.ndarray]]


@dataclass(frozen=True)
class Scores:
    """Cases of one level.

    Attributes:
        scores: (N,) 0..1, higher is more malignant.
        labels: (N,) bool.
        patients: of the N cases.

    Raises:
        InputError: no case, other lengths, or a score that is not a number.
    """

    scores: np.ndarray
    labels: np.ndarray
    patients: tuple[Hashable, ...]

    def __post_init__(self) -> None:
        sizes = len(self.scores), len(self.labels), len(self.patients)
        if not sizes[0] or len(set(sizes)) > 1:
            raise InputError(
                f"scores: expected as many scores, labels and patients, got {sizes}: correct them"
            )
        if not np.isfinite(self.scores).all():
            raise InputError("scores: expected numbers, got NaN or infinity: check the weights")

    def select(self, chosen: np.ndarray) -> Scores:
        """The cases of a mask (N,)."""
        kept = tuple(patient for patient, keep in zip(self.patients, chosen, strict=True) if keep)
        return Scores(self.scores[chosen], self.labels[chosen], kept)

    @property
    def has_both_classes(self) -> bool:
        return 0 < int(self.labels.sum()) < len(self.labels)


class Interval(NamedTuple):
    """A value with its 95 % interval over patients; NaN where there is none."""

    value: float
    low: float
    high: float


def auc(cases: Scores, weights: np.ndarray | None = None) -> np.ndarray:
    """Area under the ROC curve: the chance that a malignant case scores higher; equal scores count half.

    Args:
        cases: N of them.
        weights: (..., N); None for ones.

    Returns:
        (...), NaN where a class is missing.
    """
    _, positive, negative = _by_score(cases, weights)
    below = np.cumsum(negative, -1) - negative
    pairs = positive.sum(-1) * negative.sum(-1)
    return _divide((positive * (below + negative / 2)).sum(-1), pairs)


def sensitivity_at(cases: Scores, specificity: float, weights: np.ndarray | None = None) -> np.ndarray:
    """Sensitivity at the lowest threshold that keeps a specificity; a case is called at or above it.

    Args:
        cases: N of them.
        specificity: wanted at least, 0..1.
        weights: (..., N); None for ones.

    Returns:
        (...), 0 where only a threshold above every score is specific enough, NaN without malignant cases.

    Raises:
        ConfigError: a specificity outside 0..1.
    """
    if not 0 <= specificity <= 1:
        raise ConfigError(f"specificity: expected 0 to 1, got {specificity}: 0.9 is usual")
    _, positive, negative = _by_score(cases, weights)
    spared = _divide(np.cumsum(negative, -1) - negative, negative.sum(-1, keepdims=True))
    missed = np.cumsum(positive, -1) - positive
    enough = spared >= specificity - 1e-12
    first = enough.argmax(-1)[..., None]
    sensitivity = 1 - _divide(np.take_along_axis(missed, first, -1)[..., 0], positive.sum(-1))
    return np.where(enough.any(-1) | np.isnan(sensitivity), sensitivity, 0.0)


def calls(cases: Scores, threshold: float, weights: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """accuracy, f1, sensitivity, specificity, ppv and npv; called malignant at or above the threshold.

    Args:
        cases: N of them.
        threshold: of the scores.
        weights: (..., N); None for ones.

    Returns:
        (...) each; NaN where nothing can be counted.
    """
    chosen = np.ones(len(cases.scores)) if weights is None else weights
    called = cases.scores >= threshold
    hits, alarms, missed, spared = (
        (chosen * mask).sum(-1)
        for mask in (
            called & cases.labels,
            called & ~cases.labels,
            ~called & cases.labels,
            ~called & ~cases.labels,
        )
    )
    return {
        "accuracy": _divide(hits + spared, hits + alarms + missed + spared),
        "f1": _divide(2 * hits, 2 * hits + alarms + missed),
        "sensitivity": _divide(hits, hits + missed),
        "specificity": _divide(spared, spared + alarms),
        "ppv": _divide(hits, hits + alarms),
        "npv": _divide(spared, spared + missed),
    }


def brier(cases: Scores, weights: np.ndarray | None = None) -> np.ndarray:
    """Mean squared difference between probability and truth (...)."""
    chosen = np.ones(len(cases.scores)) if weights is None else weights
    return _divide((chosen * (cases.scores - cases.labels) ** 2).sum(-1), chosen.sum(-1))


def calibration_curve(cases: Scores, bins: int = BINS) -> list[tuple[float, float, int]]:
    """(mean probability, share of malignant cases, cases) of each bin of equal width that has any."""
    places = np.minimum((cases.scores * bins).astype(int), bins - 1)
    found = [places == place for place in range(bins)]
    return [
        (float(cases.scores[mask].mean()), float(cases.labels[mask].mean()), int(mask.sum()))
        for mask in found
        if mask.any()
    ]


def expected_calibration_error(cases: Scores, bins: int = BINS) -> float:
    """Mean gap between probability and share over the bins, each with the weight of its cases."""
    rows = calibration_curve(cases, bins)
    return sum(count * abs(mean - share) for mean, share, count in rows) / len(cases.scores)


def delong(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """AUCs of K readings of the same cases, and their covariance (DeLong et al. 1988), cases independent.

    Args:
        scores: (K, N).
        labels: (N,) bool.

    Returns:
        AUCs (K,) and covariance (K, K).

    Raises:
        InputError: fewer than two cases of a class.
    """
    positive, negative = scores[:, labels], scores[:, ~labels]
    m, n = positive.shape[1], negative.shape[1]
    if min(m, n) < 2:
        raise InputError(f"DeLong: expected two cases of each class, got {m} and {n}: take more cases")
    whole = rankdata(np.concatenate([positive, negative], 1), axis=1)
    above = (whole[:, :m] - rankdata(positive, axis=1)) / n
    below = 1 - (whole[:, m:] - rankdata(negative, axis=1)) / m
    covariance = np.atleast_2d(np.cov(above)) / m + np.atleast_2d(np.cov(below)) / n
    return above.mean(1), covariance


def delong_interval(cases: Scores) -> Interval:
    """AUC with DeLong's 95 % interval (views counted as if independent); NaN with too few cases."""
    if min(cases.labels.sum(), (~cases.labels).sum()) < 2:
        return Interval(float(auc(cases)), float("nan"), float("nan"))
    values, covariance = delong(cases.scores[None], cases.labels)
    half = norm.ppf(0.975) * float(np.sqrt(covariance[0, 0]))
    value = float(values[0])
    return Interval(value, max(0.0, value - half), min(1.0, value + half))


def compare_aucs(first: np.ndarray, second: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Difference of two AUCs on the same cases, first minus second, and its two-sided p (DeLong).

    Raises:
        InputError: see `delong`.
    """
    values, covariance = delong(np.stack([first, second]), labels)
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    difference = float(values[0] - values[1])
    if variance <= 1e-15:
        return difference, 1.0 if difference == 0 else 0.0
    return difference, float(2 * norm.sf(abs(difference) / np.sqrt(variance)))


def bootstrap(patients: Sequence[Hashable], measure: Measure, times: int, seed: int) -> dict[str, Interval]:
    """Every figure of a measure with its 95 % interval: patients are drawn with replacement.

    Args:
        patients: of the N cases.
        measure: weights (..., N) -> figures (...) by name.
        times: draws; 0 for none.
        seed: same seed, same draws.

    Returns:
        The figures; NaN limits with fewer than two patients or draws. Draws without a figure do not count.
    """
    codes = np.unique(np.array([str(patient) for patient in patients]), return_inverse=True)[1]
    people = int(codes.max()) + 1
    whole = measure(np.ones(len(codes)))
    if people < 2 or times < 2:
        return {name: Interval(float(value), np.nan, np.nan) for name, value in whole.items()}
    rng = np.random.default_rng(seed)
    parts = []
    for start in range(0, times, _CHUNK):
        size = min(_CHUNK, times - start)
        parts.append(
            measure(rng.multinomial(people, np.full(people, 1 / people), size)[:, codes].astype(float))
        )
    drawn = {name: np.concatenate([part[name] for part in parts]) for name in whole}
    return {name: Interval(float(value), *_limits(drawn[name])) for name, value in whole.items()}


def _limits(drawn: np.ndarray) -> tuple[float, float]:
    kept = drawn[np.isfinite(drawn)]
    if len(kept) < 2:
        return float("nan"), float("nan")
    low, high = np.percentile(kept, INTERVAL)
    return float(low), float(high)


def _by_score(cases: Scores, weights: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The different scores in rising order (U,), and the weight of malignant and other cases (..., U)."""
    chosen = np.ones(len(cases.scores)) if weights is None else weights
    order = np.argsort(cases.scores, kind="stable")
    values, starts = np.unique(cases.scores[order], return_index=True)
    positive, negative = (
        np.add.reduceat((chosen * mask)[..., order], starts, axis=-1)
        for mask in (cases.labels, ~cases.labels)
    )
    return values, positive, negative


def _divide(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """NaN where the divisor is zero."""
    bottom = np.asarray(bottom, float)
    return np.where(bottom > 0, np.asarray(top, float) / np.where(bottom > 0, bottom, 1), np.nan)
