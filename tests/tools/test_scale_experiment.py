"""The experiment's bookkeeping: steps from the truth, features computed once, tables that count right."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from benchmark import scale_experiment
from experiment.bank import BankedInferer, FeatureBank
from experiment.material import Case
from experiment.runs import Subject, settings_around
from experiment.tables import condition_table, point_table, verdict_table

from scale_selector.inferer import SearchSettings
from scale_selector.verdict import DECIDED, WIDEN

PAPER = np.array([10, 12, 14, 17, 20, 25, 30, 35, 43])


def make_subject(training_mpp: float) -> Subject:
    return Subject("x", SimpleNamespace(training_mpp=training_mpp), None, None)


def test_steps_count_neighbours_in_the_papers_set():
    downsamples = 10 / PAPER / 0.25
    assert make_subject(0.5).steps_off(downsamples).tolist() == [4, 3, 2, 1, 0, -1, -2, -3, -4]


def test_the_set_around_x10_is_the_papers_halved():
    moved = settings_around(SearchSettings(), make_subject(1.0))
    assert moved.scales == tuple(PAPER / 2)


class CountingEngine:
    """Features that say where they come from: the patch's mean colour."""

    def __init__(self) -> None:
        self.patches = 0

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        self.patches += len(batch)
        return np.asarray(batch, np.float32).mean(axis=(2, 3))


class FlatSlide:
    """Every square shows its own place and scale."""

    def read_square(self, center: tuple[float, float], downsample: float, size_px: int) -> np.ndarray:
        return np.full((size_px, size_px, 3), [center[0], center[1], downsample * 10], np.uint8)


def test_bank_computes_each_patch_once_and_survives_a_restart(tmp_path):
    xy = np.array([[10.0, 20.0], [30.0, 40.0], [50.0, 60.0]])
    mpps, spec, engine = (
        np.array([1.0, 0.5]),
        SimpleNamespace(size_px=8, margin_quantiles=None),
        CountingEngine(),
    )
    bank = FeatureBank(tmp_path / "bank.npz")
    inferer = BankedInferer(SearchSettings(), spec, bank)
    first = inferer._gather(FlatSlide(), engine, xy[:2], mpps, 0.25)
    bank.save()
    again = BankedInferer(SearchSettings(), spec, FeatureBank(tmp_path / "bank.npz"))
    wider = again._gather(FlatSlide(), engine, xy, np.array([2.0, 1.0, 0.5]), 0.25)
    assert engine.patches == 9
    assert np.array_equal(wider.features[:2, 1:], first.features)
    assert wider.features[2, 0].tolist() == [50, 60, 80]


def test_truth_of_points_comes_from_the_annotation(tmp_path):
    annotation = tmp_path / "a.json"
    square = [[0, 0], [100, 0], [100, 100], [0, 100]]
    annotation.write_text(json.dumps([{"class": "tumour", "vertices": square}]))
    case = Case("plain", Path("a.svs"), annotation)
    assert case.classes_at(np.array([[50.0, 50.0], [150.0, 50.0]])) == ["tumour", ""]


def make_row(decision: str, off: int | None, **more) -> dict:
    row = {"condition": "plain", "classifier": "x20", "criterion": "column_norm", "aggregation": "vote"}
    row |= {"decision": decision, "direction": "", "steps_off": off, "content_agrees": None}
    return row | {"content_mpp": None, "contradictions": 0} | more


def test_verdict_table_counts():
    rows = [make_row(DECIDED, 0), make_row(DECIDED, 2), make_row(DECIDED, -4), make_row(WIDEN, 1)]
    line = verdict_table(rows, "x20").splitlines()[-1]
    assert line == "| column_norm | vote | 25% | 25% | 25% | 25% | 0% | 0% | 50% |"


def test_point_and_condition_tables_count():
    points = [{"classifier": "x20", "criterion": "cosine", "steps_off": off} for off in (0, 1, -2, 5)]
    assert point_table(points, "criterion").splitlines()[-1] == "| cosine | 50% ± 49% | 75% ± 42% | +1.0 |"
    rows = [make_row(DECIDED, 0, content_agrees=False, content_mpp=0.25, contradictions=1)]
    line = condition_table(rows, "column_norm", "vote").splitlines()[-1]
    assert line == "| plain | x20 | 1 | 1 decided | 0 / 1 / 0 | 0.250 | 1 |"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--classifier", "20"], "--classifier: expected xNN=PATH"),
        (["--rule", "[1"], "--rule: expected JSON"),
        (["--rule", '{"min_fit": 1}'], "verdict_rule: expected known names, got 'min_fit'"),
    ],
)
def test_refusals_are_one_line(tmp_path, capsys, monkeypatch, arguments, message):
    monkeypatch.setattr(scale_experiment._venv, "enter_venv", lambda: None)
    monkeypatch.setattr("experiment.runs.build_subject", lambda name, path: None)
    given = [*arguments, *([] if "--classifier" in arguments else ["--classifier", "x20=a"])]
    assert scale_experiment.main([*given, "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith(f"error: {message}")
