"""Means, spreads and intervals by hand."""

from __future__ import annotations

import csv
import io
from typing import Any

import numpy as np
import pytest

from ksam.evaluation_table import arrange, bootstrap_interval, format_csv, format_markdown, summarize
from ksam.scores import Score

NAN = float("nan")


def score(patient: str, template: str, dice: float, structure: str = "disc", **changes: Any) -> Score:
    values = {"case": patient, "hd95": 2.0, "predicted": 10, "true": 10} | changes
    return Score(patient=patient, template=template, dice=dice, structure=structure, **values)


SCORES = [
    score("a", "t1", 0.9),
    score("a", "t2", 0.7),
    score("b", "t1", 0.8),
    score("b", "t2", 0.4, hd95=NAN, predicted=0),
    score("b", "t1", 0.6, case="b2"),
    score("b", "t2", 0.4, case="b2"),
    score("a", "ensemble", 0.95),
    score("b", "ensemble", 0.85),
    score("b", "ensemble", 0.65, case="b2"),
    score("a", "t1", NAN, "cup", true=0, hd95=NAN),
    score("b", "t1", 0.5, "cup"),
]


def test_values_by_patient_and_template() -> None:
    values, patients, templates = arrange(SCORES, "disc", "dice")
    assert (patients, templates) == (["a", "b"], ["t1", "t2"])
    assert values.tolist() == [[0.9, 0.7], [pytest.approx(0.7), pytest.approx(0.4)]]


def test_summary_by_hand() -> None:
    """Disc: t1 (0.9 + 0.7) / 2, t2 (0.7 + 0.4) / 2; sd of two values is their distance over sqrt 2."""
    rows = summarize(SCORES, ["disc", "cup"], 500, 0)
    disc, cup, mean = rows["disc"], rows["cup"], rows["mean"]
    assert disc["templates"] == {"t1": pytest.approx(0.8), "t2": pytest.approx(0.55)}
    assert disc["dice"] == pytest.approx(0.675) and disc["dice_sd"] == pytest.approx(0.25 / np.sqrt(2))
    assert disc["dice_interval"] == [pytest.approx(0.55), pytest.approx(0.8)]  # patient b or a alone
    assert disc["ensemble_dice"] == pytest.approx((0.95 + 0.75) / 2) and disc["hd95"] == 2.0
    assert (disc["patients"], disc["cases"], disc["missed"], disc["false_alarms"]) == (2, 3, 1, 0)
    assert (cup["dice"], cup["patients"], cup["cases"], cup["false_alarms"]) == (0.5, 1, 1, 1)
    assert np.isnan(cup["dice_sd"]) and cup["dice_interval"] is None
    assert mean["dice"] == pytest.approx((0.675 + 0.5) / 2) and mean["patients"] == 2
    assert np.isnan(mean["dice_sd"])  # only t1 shows both


def test_interval_narrows_with_patients() -> None:
    values = np.random.default_rng(0).normal(0.8, 0.1, 100)
    low, high = bootstrap_interval(values, 4000, 0) or (0, 0)
    half = 1.96 * values.std() / 10  # of the normal distribution
    assert [low, high] == pytest.approx([values.mean() - half, values.mean() + half], abs=0.004)
    assert bootstrap_interval(np.array([0.5, NAN]), 10, 0) is None


def test_formats() -> None:
    rows = summarize(SCORES, ["disc", "cup"], 100, 0)
    table = format_markdown(rows, "px", 2)
    head = "| structure | Dice | sd over templates | 95 % interval | HD95 (px) | Dice of the ensemble |"
    assert table.splitlines()[0] == f"{head} patients |"
    assert table.splitlines()[2].startswith("| disc | 0.675 | 0.177 | 0.550 to 0.800 | 2.00 | 0.850 | 2 |")
    assert "| cup | 0.500 | - | - to - |" in table and "Each of 2 templates" in table
    alone = [row for row in SCORES if row.template == "t1"]
    assert "ensemble" not in format_markdown(summarize(alone, ["disc"], 100, 0), "mm", 1)
    lines = list(csv.DictReader(io.StringIO(format_csv(SCORES))))
    assert lines[0]["dice"] == "0.900000" and lines[3]["hd95"] == "" and lines[9]["structure"] == "cup"
