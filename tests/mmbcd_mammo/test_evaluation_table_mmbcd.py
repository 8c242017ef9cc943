"""Levels, subgroups and tables of scores whose figures are counted by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common.errors import ConfigError
from mmbcd.calibration import Calibration, fit_level
from mmbcd.case_scores import CaseScore, combine_levels, format_csv, to_case, to_scores
from mmbcd.datalist import Entry, Header
from mmbcd.evaluation_figures import plot_evaluation, roc_points
from mmbcd.evaluation_table import format_groups, format_levels, summarize_groups, summarize_level
from mmbcd.inferer import Prediction


def case(patient: str, side: str, view: str, malignant: bool, score: float, **changes: object) -> CaseScore:
    plain = CaseScore(
        f"{patient}{side}{view}", patient, "s", side, view, malignant, score, 0.5, 3, True, 45, "B", "Toy"
    )
    return plain._replace(**changes)


CASES = [
    case("p1", "L", "CC", True, 0.9, image_only=0.8),
    case("p1", "L", "MLO", True, 0.4),
    case("p1", "R", "CC", False, 0.6),
    case("p1", "R", "MLO", False, 0.1),
    case("p2", "L", "CC", False, 0.3, age=None, density=None, vendor=None),
    case("p2", "L", "MLO", False, 0.2, age=72, has_history=False, regions=0),
]


def test_levels_by_hand() -> None:
    levels = combine_levels(CASES, "max", "max")
    breasts = {(c.patient, c.laterality): c for c in levels["breast"]}
    assert {key: c.score for key, c in breasts.items()} == {
        ("p1", "L"): 0.9,
        ("p1", "R"): 0.6,
        ("p2", "L"): 0.3,
    }
    first = breasts["p1", "L"]
    assert first.malignant and first.view == "" and first.regions == 6 and first.name == "p1 s L"
    studies = {c.patient: c for c in levels["study"]}
    assert studies["p1"].malignant and studies["p1"].laterality == "" and studies["p1"].score == 0.9
    assert not studies["p2"].malignant and studies["p2"].laterality == "L" and studies["p2"].has_history
    means = combine_levels(CASES, "mean", "max")["breast"]
    # the view without a region has no say, as in inference
    assert [c.score for c in means] == pytest.approx([0.65, 0.35, 0.3])
    assert [c.image_only for c in means] == pytest.approx([0.65, 0.5, 0.5])
    empty = [one._replace(regions=0) for one in CASES[:2]]
    assert [c.score for c in combine_levels(empty, "mean", "max")["breast"]] == [0.0]
    with pytest.raises(ConfigError, match="rule: expected one of max, mean, got 'sum'"):
        combine_levels(CASES, "sum", "max")


def test_a_mammogram_without_regions_scores_nothing() -> None:
    entry = Entry(Header("toy", "none", "real"), Path("a.dcm"), "p", "s", "L", "CC", True)
    empty, found = (
        to_case(entry, "", None),
        to_case(entry, "lump", Prediction(0.7, 0.6, np.array([0.5, 0.5]))),
    )
    assert (empty.score, empty.regions, empty.has_history) == (0.0, 0, False)
    assert (found.score, found.image_only, found.regions, found.has_history) == (0.7, 0.6, 2, True)


def test_figures_of_a_level_by_hand() -> None:
    """0.9 wins 4 pairs, 0.4 three of 4: 7 of 8. Called from 0.5 on: one hit, one alarm."""
    row = summarize_level(CASES, "image", Calibration(), 0.75, 200, 0)
    assert (row["cases"], row["patients"], row["malignant"], row["without_region"]) == (6, 2, 2, 1)
    assert row["auc"][0] == pytest.approx(7 / 8) and row["auc_delong"][0] == pytest.approx(7 / 8)
    assert row["accuracy"][0] == pytest.approx(4 / 6) and row["f1"][0] == pytest.approx(0.5)
    assert row["sensitivity_at_specificity"][0] == 1.0
    assert row["operating_threshold"] == 0.5 and row["operating_sensitivity"][0] == 0.5
    assert row["ece_calibrated"] is None and "brier_calibrated" not in row
    assert row["history_effect"]["mean_absolute_change"] == pytest.approx(
        (0.1 + 0.1 + 0.1 + 0.4 + 0.2 + 0.3) / 6
    )
    # the picture alone: 0.8 wins four pairs, 0.5 ties four: 6 of 8
    assert row["history_effect"]["auc_difference"] == pytest.approx(1 / 8)


def test_calibrated_levels_use_their_operating_point() -> None:
    scores = to_scores(CASES)
    fitted = fit_level(scores.scores.tolist(), scores.labels.astype(int).tolist(), "isotonic", 1.0)
    row = summarize_level(CASES, "image", Calibration({"image": fitted}), 0.9, 0, 0)
    assert row["operating_threshold"] == 0.4 and row["operating_sensitivity"][0] == 1.0
    assert row["brier_calibrated"][0] < row["brier"][0] and row["ece_calibrated"] < row["ece"]
    assert np.isnan(row["auc"][1])
    table = format_levels({"image": row}, 0.9)
    assert "| image | 6 | 2 | 0.667 | 0.500 | 0.875 | 0.750 |" in table and "specificity 0.9" in table


def test_one_malignant_case_has_no_comparison() -> None:
    row = summarize_level(CASES[1:], "image", Calibration(), 0.9, 0, 0)
    assert row["history_effect"]["auc_difference"] is None and row["auc"][0] == 0.75


def test_subgroups_by_hand() -> None:
    rows = {(r["attribute"], r["value"]): r for r in summarize_groups(CASES, Calibration(), 50, 0)}
    assert set(rows) == {
        ("age", "40 to 49"),
        ("age", "70 and over"),
        ("age", "unknown"),
        ("density", "B"),
        ("density", "unknown"),
        ("vendor", "Toy"),
        ("vendor", "unknown"),
        ("view", "CC"),
        ("view", "MLO"),
        ("history", "present"),
        ("history", "missing"),
    }
    assert rows["view", "CC"]["cases"] == 3 and rows["view", "CC"]["auc"][0] == 1.0
    assert rows["view", "CC"]["specificity"][0] == 0.5
    assert np.isnan(rows["history", "missing"]["auc"][0])
    text = format_groups(list(rows.values()))
    assert "| history | missing | 1 | 0 | - | - | 1.000 |" in text
    young = summarize_groups([CASES[0]._replace(age=30)], Calibration(), 0, 0)
    assert young[0]["value"] == "under 40"


def test_rows_as_csv() -> None:
    lines = format_csv(CASES[4:5], {"probability": np.array([0.25])}).splitlines()
    assert lines[0].endswith("has_history,age,density,vendor,probability")
    assert lines[1] == "p2LCC,p2,s,L,CC,0,0.300000,0.500000,3,1,,,,0.250000"


def test_roc_by_hand_and_its_picture(tmp_path: Path) -> None:
    scores = to_scores(CASES[:4])  # malignant 0.9, 0.4; others 0.6, 0.1
    alarms, hits = roc_points(scores)
    assert alarms.tolist() == [0, 0, 0.5, 0.5, 1] and hits.tolist() == [0, 0.5, 0.5, 1, 1]
    assert float(np.trapezoid(hits, alarms)) == pytest.approx(0.75)
    assert np.isnan(roc_points(to_scores(CASES[4:]))[1]).all()
    curves = {"image": (scores, None), "breast": (scores, fit_level([0.1, 0.9], [0, 1]))}
    plot_evaluation(tmp_path / "scores.png", curves, "toy weights, not for diagnosis")
    assert Image.open(tmp_path / "scores.png").size[0] > 1000
