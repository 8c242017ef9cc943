"""The slide's verdict: one of four decisions, never without the evidence that led to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from common.errors import ConfigError

from .aggregation import Bootstrap, Curves

DECIDED = "decided"
WIDEN = "widen the search"
EQUIVALENT = "scales equivalent"
NO_FIT = "classifier does not fit this slide"
FARTHEST = "0.95"
"""Quantile of the validation distances that few patches exceed; `train.json` writes it."""


@dataclass(frozen=True)
class VerdictRule:
    """Thresholds, chosen on the development phantoms (docs/scale_experiment.md).

    Attributes:
        min_fit_share: share of points whose distance to their class's hyperplane must reach the classifier's
            reference (below it the classifier does not know this tissue).
        reference_quantile: quantile of the classifier's own validation distances that serves as reference.
        max_beyond_share: share of points that may lie beyond the 0.95 quantile of these distances; content
            without texture lies farther out than any patch that the classifier was made for.
        max_flat_share: above it the scales are equivalent.
        max_edge_share: above it, among points that are not flat, the search must be widened to that side.
        max_interval_steps: widest bootstrap interval, in steps of the search set, that is still agreement.
    """

    min_fit_share: float = 0.7
    reference_quantile: float = 0.25
    max_beyond_share: float = 0.7
    max_flat_share: float = 0.5
    max_edge_share: float = 0.5
    max_interval_steps: int = 2

    def __post_init__(self) -> None:
        for name, highest in (
            ("min_fit_share", 1),
            ("reference_quantile", 1),
            ("max_beyond_share", 1),
            ("max_flat_share", 1),
            ("max_edge_share", 1),
            ("max_interval_steps", float("inf")),
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= highest:
                raise ConfigError(
                    f"verdict_rule {name}: expected a number from 0 to {highest:g}, got {value!r}: correct it"
                )

    def reference_distance(self, quantiles: Mapping[str, float] | None) -> float | None:
        """The classifier's validation distance at `reference_quantile`; None if it brings no distances.

        Raises:
            ConfigError: it brings other quantiles.
        """
        if not quantiles:
            return None
        key = f"{self.reference_quantile:g}"
        if key not in quantiles:
            raise ConfigError(
                f"verdict_rule reference_quantile: expected one that classifier.json has "
                f"({', '.join(quantiles)}), got {key}: choose one of them"
            )
        return float(quantiles[key])


@dataclass(frozen=True)
class Verdict:
    """decision: one of the four; index: the chosen scale, None unless a scale can be named."""

    decision: str
    index: int | None
    direction: str | None
    evidence: tuple[str, ...]


def decide(
    curves: Curves,
    distances: np.ndarray,
    chosen: int | None,
    interval: Bootstrap,
    names: list[str],
    reference: Mapping[str, float] | None,
    rule: VerdictRule,
) -> Verdict:
    """Fit, then flatness, then edges, then agreement.

    Args:
        curves: (P, N) curves of the criterion in use.
        distances: (P,) signed distance (feature units) to the winning hyperplane at the proposed scale.
        chosen: index that the aggregation chose.
        interval: bootstrap of the same aggregation.
        names: (N,) readable names of the scales.
        reference: quantiles of the classifier's validation distances by name, or None if it has none.
        rule: thresholds.
    """
    fits, fit_sentence = _check_fit(distances, reference, rule)
    beyond = _check_beyond(distances, reference, rule)
    evidence = [fit_sentence, *beyond, _count_shapes(curves.shapes)]
    if chosen is not None:
        evidence.append(_describe_interval(interval, chosen, names))
    if beyond or not fits:
        return Verdict(NO_FIT, chosen, None, tuple(evidence))
    if np.mean(curves.shapes == "flat") > rule.max_flat_share:
        return Verdict(EQUIVALENT, chosen, None, tuple(evidence))
    direction = _find_edge(curves, chosen, rule)
    if direction:
        return Verdict(WIDEN, chosen, direction, tuple(evidence))
    if chosen is None or interval.low is None or interval.high is None:
        return Verdict(NO_FIT, None, None, (*evidence, "No point has its best scale inside the search set."))
    if interval.high - interval.low > rule.max_interval_steps:
        spread = f"The points do not agree on a scale: {names[interval.low]} to {names[interval.high]}."
        return Verdict(NO_FIT, chosen, None, (*evidence, spread))
    return Verdict(DECIDED, chosen, None, tuple(evidence))


def _check_fit(
    distances: np.ndarray, reference: Mapping[str, float] | None, rule: VerdictRule
) -> tuple[bool, str]:
    distance = rule.reference_distance(reference)
    limit = 0.0 if distance is None else distance
    share = float(np.mean(distances >= limit))
    origin = (
        "the winning side of the hyperplane; this classifier brings no reference distances"
        if distance is None
        else f"what {1 - rule.reference_quantile:.0%} of its validation patches reach"
    )
    sentence = (
        f"{share:.0%} of the points lie at least {limit:.2f} from the hyperplane of their class ({origin}); "
        f"median {np.median(distances):.2f}; {rule.min_fit_share:.0%} are expected."
    )
    return share >= rule.min_fit_share, sentence


def _check_beyond(
    distances: np.ndarray, reference: Mapping[str, float] | None, rule: VerdictRule
) -> list[str]:
    """What speaks against the slide because too many points lie too far out; nothing without a reference."""
    limit = (reference or {}).get(FARTHEST)
    share = 0.0 if limit is None else float(np.mean(distances > limit))
    if limit is None or share <= rule.max_beyond_share:
        return []
    return [
        f"{share:.0%} of the points lie farther from it than {limit:.2f}, which only "
        f"{1 - float(FARTHEST):.0%} of its validation patches exceed; {rule.max_beyond_share:.0%} are "
        "accepted: the classifier was not trained on such content, however sure it is."
    ]


def _count_shapes(shapes: np.ndarray) -> str:
    count = {name: int(np.sum(shapes == name)) for name in ("convex", "increasing", "decreasing", "flat")}
    return (
        f"Of {len(shapes)} points, {count['convex']} have their best scale inside the search set, "
        f"{count['decreasing']} at its lowest and {count['increasing']} at its highest magnification, "
        f"{count['flat']} do not depend on the scale."
    )


def _describe_interval(interval: Bootstrap, chosen: int, names: list[str]) -> str:
    if interval.low is None or interval.high is None:
        return f"{names[chosen]} was chosen, but no resample of the points chose a scale."
    return (
        f"{names[chosen]} was chosen by {interval.shares[chosen]:.0%} of {interval.resamples} resamples "
        f"of the points; 95 % of them lie from {names[interval.low]} to {names[interval.high]}."
    )


def _find_edge(curves: Curves, chosen: int | None, rule: VerdictRule) -> str | None:
    curved = curves.shapes[curves.shapes != "flat"]
    last = curves.values.shape[1] - 1
    if np.mean(curved == "decreasing") > rule.max_edge_share or chosen == 0:
        return "lower"
    if np.mean(curved == "increasing") > rule.max_edge_share or chosen == last:
        return "higher"
    return None
