"""Shapes, aggregations and bootstrap on curves small enough to work out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from common.errors import ConfigError
from scale_selector.aggregation import AGGREGATIONS, aggregate, bootstrap, check_aggregation, describe_curves

CURVES = np.array(
    [
        [1.0, 2.0, 4.0, 3.0],  # convex, peak 2, prominence 4 - max(1, 3) = 1
        [1.0, 5.0, 2.0, 0.0],  # convex, peak 1, prominence 5 - max(1, 0) = 4
        [9.0, 8.0, 7.0, 6.0],  # decreasing
        [8.0, 7.0, 6.0, 5.0],  # decreasing
        [0.0, 1.0, 2.0, 3.0],  # increasing
        [10.0, 10.1, 10.2, 10.1],  # flat: range 0.2 of 10.2, prominence 10.2 - max(10, 10.1) = 0.1
    ]
)


def test_shapes_and_prominence():
    curves = describe_curves(CURVES)
    assert curves.shapes.tolist() == ["convex", "convex", "decreasing", "decreasing", "increasing", "flat"]
    assert curves.proposed.tolist() == [2, 1, 0, 0, 3, 2]
    np.testing.assert_allclose(curves.prominence, [1.0, 4.0, 0.0, 0.0, 0.0, 0.1], atol=1e-12)


def test_flat_is_judged_by_the_tolerance():
    assert describe_curves(CURVES, flat_tolerance=0.01).shapes[-1] == "convex"
    assert describe_curves(np.zeros((1, 4))).shapes.tolist() == ["flat"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("vote", [2, 1, 2, 1]),
        ("interior_vote", [0, 1, 1, 0]),
        ("interior_median", [0, 1, 0, 0]),
        ("prominence_vote", [0, 4, 1, 0]),
        ("mean_curve", [29 / 6 - 27.1 / 6, 33.1 / 6 - 27.1 / 6, 31.2 / 6 - 27.1 / 6, 0]),
    ],
)
def test_scores(name, expected):
    np.testing.assert_allclose(
        AGGREGATIONS[name](describe_curves(CURVES), np.ones((1, 6)))[0], expected, atol=1e-12
    )


@pytest.mark.parametrize("name", AGGREGATIONS)
def test_counts_are_repetitions(name):
    """A point that counts three times is three equal points; one that counts zero times is absent."""
    counts = np.array([[1, 3, 0, 1, 2, 1], [0, 1, 2, 0, 0, 2.0]])
    scores = AGGREGATIONS[name](describe_curves(CURVES), counts)
    for row, score in zip(counts.astype(int), scores, strict=True):
        repeated = describe_curves(np.repeat(CURVES, row, axis=0))
        alone = AGGREGATIONS[name](repeated, np.ones((1, row.sum())))[0]
        np.testing.assert_allclose(score, alone, atol=1e-12)


def test_ties_go_to_the_higher_mean_curve():
    curves = describe_curves(CURVES)
    assert curves.values.mean(axis=0)[2] > curves.values.mean(axis=0)[0]
    assert aggregate(curves, "vote") == 2


def test_no_convex_point_means_no_interior_choice():
    curves = describe_curves(CURVES[2:5])
    assert aggregate(curves, "interior_vote") is None
    assert aggregate(curves, "interior_median") is None
    assert aggregate(curves, "prominence_vote") is None
    assert aggregate(curves, "vote") == 0


def test_bootstrap_of_points_that_agree():
    curves = describe_curves(np.repeat(CURVES[:1], 20, axis=0))
    interval = bootstrap(curves, "vote", np.random.default_rng(0), resamples=200)
    assert (interval.low, interval.high) == (2, 2)
    assert interval.shares.tolist() == [0, 0, 1, 0]


def test_bootstrap_share_matches_the_binomial():
    """Three of five points propose scale 1: a resample chooses it with probability P(Bin(5, 0.6) >= 3)."""
    curves = describe_curves(np.array([[0, 2, 1.0]] * 3 + [[2, 0, 1.0]] * 2))
    share = bootstrap(curves, "vote", np.random.default_rng(1), resamples=20000).shares[1]
    assert abs(share - 0.68256) < 0.01


def test_bootstrap_without_any_choice():
    interval = bootstrap(
        describe_curves(CURVES[2:4]), "interior_vote", np.random.default_rng(0), resamples=10
    )
    assert interval.low is None and interval.shares.sum() == 0


def test_unknown_aggregation():
    with pytest.raises(ConfigError, match="aggregation: expected one of vote, .* got 'mode'"):
        check_aggregation("mode")
