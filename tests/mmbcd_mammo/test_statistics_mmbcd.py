"""Figures of merit against scipy, published numbers and counts by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from common.errors import ConfigError, InputError
from mmbcd import statistics as st

# eight cases: malignant 0.9 0.8 0.4 0.3, others 0.8 0.35 0.2 0.1
VALUES = np.array([0.9, 0.8, 0.4, 0.3, 0.8, 0.35, 0.2, 0.1])
TRUTH = np.array([1, 1, 1, 1, 0, 0, 0, 0], bool)
CASES = st.Scores(VALUES, TRUTH, tuple("abcdefgh"))


def draw(count: int = 300, seed: int = 0, gap: float = 1.0) -> st.Scores:
    rng = np.random.default_rng(seed)
    labels = rng.random(count) < 0.3
    scores = 1 / (1 + np.exp(-np.round(rng.normal(gap * labels, 1), 1)))  # rounded: with ties
    return st.Scores(scores, labels, tuple(range(count)))


def test_auc_by_hand_and_against_scipy() -> None:
    """Pairs won: 0.9 4, 0.8 3 and a tie, 0.4 3, 0.3 2 = 12.5 of 16."""
    assert float(st.auc(CASES)) == pytest.approx(12.5 / 16)
    cases = draw()
    u = mannwhitneyu(cases.scores[cases.labels], cases.scores[~cases.labels]).statistic
    assert float(st.auc(cases)) == pytest.approx(u / (cases.labels.sum() * (~cases.labels).sum()))


def test_weights_are_repetitions() -> None:
    cases = draw(40)
    weights = np.random.default_rng(1).integers(0, 3, (2, 40))
    places = [np.repeat(np.arange(40), row) for row in weights]
    repeated = [st.Scores(cases.scores[p], cases.labels[p], tuple(p)) for p in places]
    assert st.auc(cases, weights) == pytest.approx([float(st.auc(r)) for r in repeated])
    assert st.brier(cases, weights) == pytest.approx([float(st.brier(r)) for r in repeated])
    expected = [float(st.sensitivity_at(r, 0.8)) for r in repeated]
    assert st.sensitivity_at(cases, 0.8, weights) == pytest.approx(expected)
    for name, values in st.calls(cases, 0.5, weights).items():
        assert values == pytest.approx([float(st.calls(r, 0.5)[name]) for r in repeated])


def test_calls_by_hand() -> None:
    """At 0.4: three hits, one alarm, one missed, three spared."""
    found = {name: float(value) for name, value in st.calls(CASES, 0.4).items()}
    rates = ("accuracy", "f1", "sensitivity", "specificity", "ppv", "npv")
    assert found == pytest.approx(dict.fromkeys(rates, 0.75))
    nothing = st.calls(CASES, 0.95)
    assert float(nothing["f1"]) == 0 and np.isnan(nothing["ppv"])


@pytest.mark.parametrize(
    ("specificity", "sensitivity"), [(0.0, 1.0), (0.5, 1.0), (0.75, 0.75), (0.8, 0.25), (1.0, 0.25)]
)
def test_sensitivity_at_a_specificity_by_hand(specificity: float, sensitivity: float) -> None:
    """Called from 0.3 up, two of the others are spared; from 0.4, three; from 0.9, all."""
    assert float(st.sensitivity_at(CASES, specificity)) == pytest.approx(sensitivity)


def test_a_threshold_above_every_score_finds_nothing() -> None:
    cases = st.Scores(np.array([0.1, 0.9]), np.array([True, False]), ("a", "b"))
    assert float(st.sensitivity_at(cases, 0.9)) == 0
    with pytest.raises(ConfigError, match="specificity: expected 0 to 1, got 1.2"):
        st.sensitivity_at(cases, 1.2)


def test_one_class_has_no_auc() -> None:
    cases = st.Scores(np.array([0.1, 0.9]), np.array([False, False]), ("a", "b"))
    assert not cases.has_both_classes and np.isnan(st.auc(cases)) and np.isnan(st.sensitivity_at(cases, 0.5))
    assert np.isnan(st.delong_interval(cases).low)


def test_calibration_by_hand() -> None:
    """Bins of 0.5: below, mean 0.2 with one of two malignant; above, mean 0.8 with both."""
    cases = st.Scores(
        np.array([0.1, 0.3, 0.6, 1.0]), np.array([False, True, True, True]), ("a", "b", "c", "d")
    )
    assert st.calibration_curve(cases, 2) == [
        (pytest.approx(0.2), pytest.approx(0.5), 2),
        (pytest.approx(0.8), pytest.approx(1.0), 2),
    ]
    assert st.expected_calibration_error(cases, 2) == pytest.approx((2 * 0.3 + 2 * 0.2) / 4)
    assert float(st.brier(cases)) == pytest.approx((0.01 + 0.49 + 0.16 + 0) / 4)


def test_delong_by_its_definition() -> None:
    """Structural components from all pairs, as in the publication's equations."""
    cases, other = draw(60), draw(60, seed=3)
    readings = np.stack([cases.scores, other.scores])
    values, covariance = st.delong(readings, cases.labels)
    positive, negative = readings[:, cases.labels, None], readings[:, None, ~cases.labels]
    wins = (positive > negative) + 0.5 * (positive == negative)
    assert values == pytest.approx(wins.mean((1, 2)))
    m, n = wins.shape[1:]
    assert covariance == pytest.approx(np.cov(wins.mean(2)) / m + np.cov(wins.mean(1)) / n)
    with pytest.raises(InputError, match="DeLong: expected two cases of each class, got 1 and 1"):
        st.delong(np.ones((1, 2)), np.array([True, False]))


def test_intervals_agree_where_cases_are_independent() -> None:
    cases = draw(400)
    exact = st.delong_interval(cases)
    drawn = st.bootstrap(cases.patients, lambda w: {"auc": st.auc(cases, w)}, 1000, 0)["auc"]
    assert drawn.value == pytest.approx(exact.value)
    assert (drawn.low, drawn.high) == pytest.approx((exact.low, exact.high), abs=0.01)


def test_patients_are_drawn_and_not_their_images() -> None:
    """Four equal images of each patient say no more than one: the interval stays as wide."""
    cases = draw(100)
    repeated = st.Scores(
        np.repeat(cases.scores, 4), np.repeat(cases.labels, 4), tuple(np.repeat(range(100), 4))
    )

    def width(chosen: st.Scores) -> float:
        found = st.bootstrap(chosen.patients, lambda w: {"auc": st.auc(chosen, w)}, 800, 1)["auc"]
        return found.high - found.low

    assert width(repeated) == pytest.approx(width(cases), rel=0.1)
    alone = st.bootstrap(("a",) * 8, lambda w: {"auc": st.auc(CASES, w)}, 100, 0)["auc"]
    assert alone.value == pytest.approx(12.5 / 16) and np.isnan(alone.low)


def test_comparison_of_two_readings() -> None:
    cases = draw(400, gap=2.0)
    noise = np.random.default_rng(5).random(400)
    difference, p = st.compare_aucs(cases.scores, noise, cases.labels)
    assert difference > 0.3 and p < 1e-6
    assert st.compare_aucs(noise, noise, cases.labels) == (0.0, 1.0)
    better, worse = np.array([4.0, 3, 2, 1]), np.array([1.0, 2, 3, 4])
    assert st.compare_aucs(better, worse, np.array([True, True, False, False])) == (1.0, 0.0)


def test_unusable_scores_are_refused() -> None:
    with pytest.raises(InputError, match=r"scores: expected as many scores, labels and patients, got \(2, 1"):
        st.Scores(np.ones(2), np.ones(1, bool), ("a", "b"))
    with pytest.raises(InputError, match="scores: expected numbers, got NaN"):
        st.Scores(np.array([np.nan]), np.ones(1, bool), ("a",))
    kept = CASES.select(VALUES > 0.5)
    assert kept.patients == ("a", "b", "e") and kept.labels.tolist() == [True, True, False]
