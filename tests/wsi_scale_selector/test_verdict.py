"""Each of the four decisions, from curves drawn for it."""

from __future__ import annotations

import numpy as np
import pytest

from common.errors import ConfigError
from scale_selector.aggregation import aggregate, bootstrap, describe_curves
from scale_selector.verdict import DECIDED, EQUIVALENT, NO_FIT, WIDEN, VerdictRule, decide

NAMES = ["x10", "x12", "x14", "x17", "x20", "x25", "x30"]
REFERENCE = {"0.25": 2.0, "0.5": 6.0}
STEPS = np.arange(len(NAMES))


def curves_with_peaks(peaks, height=10.0):
    return describe_curves(np.array([height - np.abs(STEPS - peak) for peak in peaks], dtype=float))


def judge(curves, distances=None, reference=REFERENCE, aggregation="vote", rule=None):
    distances = np.full(len(curves.values), 8.0) if distances is None else distances
    interval = bootstrap(curves, aggregation, np.random.default_rng(0), resamples=300)
    chosen = aggregate(curves, aggregation)
    return decide(curves, distances, chosen, interval, NAMES, reference, rule or VerdictRule())


def test_decided():
    verdict = judge(curves_with_peaks([4] * 14 + [3] * 3 + [5] * 3))
    assert (verdict.decision, verdict.index, verdict.direction) == (DECIDED, 4, None)
    assert "x20 was chosen by" in verdict.evidence[2]
    assert "20 have their best scale inside" in verdict.evidence[1]


@pytest.mark.parametrize(("peak", "direction"), [(0, "lower"), (6, "higher")])
def test_widen(peak, direction):
    verdict = judge(curves_with_peaks([peak] * 12 + [3] * 8))
    assert (verdict.decision, verdict.direction) == (WIDEN, direction)


def test_widen_when_the_chosen_scale_is_an_edge_though_most_points_are_not():
    verdict = judge(curves_with_peaks([0] * 8 + [2] * 6 + [4] * 6))
    assert (verdict.decision, verdict.index, verdict.direction) == (WIDEN, 0, "lower")


def test_equivalent():
    verdict = judge(curves_with_peaks([3] * 20, height=1000.0))
    assert verdict.decision == EQUIVALENT
    assert "20 do not depend on the scale" in verdict.evidence[1]


def test_no_fit_by_reference_distance():
    verdict = judge(curves_with_peaks([4] * 20), distances=np.array([1.0] * 15 + [3.0] * 5))
    assert verdict.decision == NO_FIT
    assert verdict.evidence[0].startswith("25% of the points lie at least 2.00")


@pytest.mark.parametrize(("far", "decision"), [(14, DECIDED), (15, NO_FIT)])
def test_no_fit_where_most_points_lie_farther_out_than_the_reference(far, decision):
    """70 % of 20 points are 14."""
    distances = np.array([9.5] * far + [8.0] * (20 - far))
    verdict = judge(curves_with_peaks([4] * 20), distances=distances, reference=REFERENCE | {"0.95": 9.0})
    assert verdict.decision == decision
    said = "75% of the points lie farther from it than 9.00, which only 5%" in verdict.evidence[1]
    assert said == (decision == NO_FIT)
    assert judge(curves_with_peaks([4] * 20), distances=distances).decision == DECIDED


def test_without_reference_the_sign_decides():
    distances = np.array([-1.0] * 15 + [1.0] * 5)
    verdict = judge(curves_with_peaks([4] * 20), distances=distances, reference=None)
    assert verdict.decision == NO_FIT
    assert "brings no reference distances" in verdict.evidence[0]
    assert judge(curves_with_peaks([4] * 20), distances=-distances, reference=None).decision == DECIDED


def test_no_fit_when_points_disagree():
    peaks = [1] * 10 + [5] * 10
    verdict = judge(curves_with_peaks(peaks))
    assert verdict.decision == NO_FIT
    assert verdict.evidence[-1] == "The points do not agree on a scale: x12 to x25."


def test_no_fit_without_any_interior_point():
    verdict = judge(curves_with_peaks([0] * 5 + [6] * 5), aggregation="interior_vote")
    assert (verdict.decision, verdict.index) == (NO_FIT, None)
    assert verdict.evidence[-1] == "No point has its best scale inside the search set."


def test_the_reference_quantile_sets_the_limit():
    distances = np.array([3.0] * 15 + [7.0] * 5)
    verdict = judge(
        curves_with_peaks([4] * 20), distances=distances, rule=VerdictRule(reference_quantile=0.5)
    )
    assert verdict.decision == NO_FIT
    assert "25% of the points lie at least 6.00" in verdict.evidence[0]
    assert "what 50% of its validation patches reach" in verdict.evidence[0]


def test_a_quantile_that_the_classifier_lacks_is_refused():
    with pytest.raises(ConfigError, match=r"expected one that classifier.json has \(0.25, 0.5\), got 0.1"):
        judge(curves_with_peaks([4] * 20), rule=VerdictRule(reference_quantile=0.1))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"min_fit_share": 1.1}, "min_fit_share: expected a number from 0 to 1, got 1.1"),
        ({"max_beyond_share": 2}, "max_beyond_share: expected a number from 0 to 1"),
        ({"max_flat_share": -0.1}, "max_flat_share: expected a number from 0 to 1"),
        ({"max_edge_share": True}, "max_edge_share: expected a number"),
        ({"reference_quantile": "0.25"}, "reference_quantile: expected a number from 0 to 1, got '0.25'"),
        ({"max_interval_steps": float("nan")}, "max_interval_steps: expected a number from 0 to inf"),
    ],
)
def test_thresholds_out_of_range(values, message):
    with pytest.raises(ConfigError, match=message):
        VerdictRule(**values)
