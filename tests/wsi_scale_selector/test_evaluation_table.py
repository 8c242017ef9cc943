"""Table 1's numbers by hand and against scikit-learn's definitions."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest

from scale_selector.evaluation_table import (
    class_accuracy,
    class_f1,
    format_csv,
    format_markdown,
    mean_over_classes,
    resample_groups,
    summarize,
)

CONFUSION = np.array([[8, 2, 0], [5, 5, 0], [0, 0, 0]])
NAMES = ("AT", "BG", "LP")


def two_groups() -> np.ndarray:
    """(1 scale, 2 groups, 3, 3), together `CONFUSION`; group 0 is all right, group 1 half."""
    first, second = np.zeros((2, 3, 3), int)
    first[0, 0], second[0, 0], second[0, 1], second[1] = 4, 4, 2, [5, 5, 0]
    return np.stack([first, second])[None]


def test_accuracy_by_hand() -> None:
    accuracy = class_accuracy(CONFUSION)
    assert accuracy[:2].tolist() == [0.8, 0.5] and np.isnan(accuracy[2])
    assert mean_over_classes(accuracy) == pytest.approx(0.65)
    assert np.isnan(mean_over_classes(np.full(3, np.nan)))


def test_f1_by_hand() -> None:
    """AT: precision 8/13, recall 8/10; BG: precision 5/7, recall 5/10."""
    f1 = class_f1(CONFUSION)
    expected = [2 * p * r / (p + r) for p, r in ((8 / 13, 0.8), (5 / 7, 0.5))]
    assert f1[:2].tolist() == pytest.approx(expected) and np.isnan(f1[2])


def test_paper_table_1_mean() -> None:
    """The paper's mean is the mean of the five class accuracies (row x20: 76.04)."""
    row = np.array([84.42, 99.58, 82.41, 15.74, 98.04])
    assert mean_over_classes(row) == pytest.approx(76.04, abs=0.005)


def test_bootstrap_draws_whole_groups() -> None:
    draws = resample_groups(two_groups(), 500, seed=0)[:, 0]
    first, second = two_groups()[0]
    possible = [2 * first, first + second, 2 * second]
    kinds = [next(k for k, m in enumerate(possible) if np.array_equal(m, draw)) for draw in draws]
    assert np.bincount(kinds) / 500 == pytest.approx([0.25, 0.5, 0.25], abs=0.06)


def test_every_scale_gets_the_same_draw() -> None:
    draws = resample_groups(np.concatenate([two_groups(), two_groups()]), 50, seed=1)
    assert np.array_equal(draws[:, 0], draws[:, 1])


def test_summary() -> None:
    counts = np.concatenate([two_groups(), 10 * two_groups()[:, :, ::-1]])
    scales = [{"scale": "x10", "mpp": 1.0}, {"scale": "x20", "mpp": 0.5}]
    first, second = summarize(counts, scales, NAMES, 200, 0)
    assert (first["scale"], first["patches"], first["mean_accuracy"]) == ("x10", 20, pytest.approx(0.65))
    assert first["classes"]["AT"]["accuracy"] == 0.8 and first["confusion"] == CONFUSION.tolist()
    low, high = first["classes"]["AT"]["accuracy_interval"]
    assert low == pytest.approx(2 / 3) and high == 1.0  # AT: group 1 alone 4 of 6, group 0 alone 4 of 4
    assert first["best_share"] + second["best_share"] == pytest.approx(1.0)


def test_one_group_has_no_interval() -> None:
    row = summarize(CONFUSION[None, None], [{"scale": "x20", "mpp": 0.5}], NAMES, 100, 0)[0]
    assert row["mean_accuracy_interval"] is None and row["best_share"] is None
    assert row["classes"]["AT"]["accuracy_interval"] is None


def test_formats() -> None:
    rows = summarize(two_groups(), [{"scale": "x20", "mpp": 0.5}], NAMES, 100, 0)
    table = format_markdown(rows, 2)
    assert table.splitlines()[0] == "| scale | AT | BG | mean | 95 % interval | macro F1 | patches |"
    assert table.splitlines()[2].startswith("| x20 | 80.00 | 50.00 | 65.00 |") and "2 patients" in table
    lines = list(csv.DictReader(io.StringIO(format_csv(rows))))
    assert [(x["class"], x["patches"], x["accuracy"]) for x in lines] == [
        ("AT", "10", "0.800000"),
        ("BG", "10", "0.500000"),
        ("LP", "0", ""),
    ]
    one = summarize(CONFUSION[None, None], [{"scale": "x20", "mpp": 0.5}], NAMES, 100, 0)
    assert "| - to - |" in format_markdown(one, 1)
