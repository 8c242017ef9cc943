"""Figures show what they are given, and means leave out what was not measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from common.report.score_figures import mean_over, plot_curves, plot_scores, plot_variants

NAN = float("nan")


def count_ink(path: Path) -> int:
    return int((np.asarray(Image.open(path).convert("L")) < 200).sum())


def test_means_leave_out_what_is_missing() -> None:
    values = np.array([[0.5, NAN, 0.7], [NAN, NAN, NAN], [0.3, NAN, NAN]])
    assert mean_over(values, 1).round(6).tolist() == [0.6, 0.3]
    assert mean_over(values, 0).round(6).tolist() == [0.4, 0.7]
    assert mean_over(np.full((2, 2), NAN), 0).size == 0


def test_figures(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    groups = [("disc", (230, 159, 0), rng.uniform(0.8, 1, (20, 5))), ("cup", (0, 0, 0), np.full((0, 0), NAN))]
    plot_scores(tmp_path / "scores.png", groups, "Dice", "not for diagnosis")
    plot_scores(tmp_path / "less.png", [("disc", (230, 159, 0), groups[0][2][:1, :1]), groups[1]], "Dice", "")
    plot_variants(tmp_path / "variants.png", {"KP": (0.3, NAN), "all": (0.9, 0.02)}, "Dice", "")
    curves = {"kidney": [(10, 0.2), (20, 0.5)], "fundus": [(10, 0.9), (20, 0.8)]}
    plot_curves(tmp_path / "curves.png", curves, "Dice", "")
    assert {path.name for path in tmp_path.iterdir()} == {
        "scores.png",
        "less.png",
        "variants.png",
        "curves.png",
    }
    assert count_ink(tmp_path / "scores.png") > count_ink(tmp_path / "less.png") > 1000
