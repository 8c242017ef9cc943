"""Ablation and move at toy size: all rows, tables, figures, and nothing is done twice."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from experiment import config_runs, ksam_ablation, ksam_move, ksam_runs
from toy_ksam import draw_datalist

from common.errors import ConfigError, InputError

TRAINING = {
    "network_def": {
        "_target_": "toy_ksam.build_toy",
        "delta": "@start_from",
        "km": "@km",
        "pm": "@pm",
    },
    "camera": None,
    "geometry": None,
    "episodes": 8,
    "epochs": 2,
    "val_interval": 1,
    "precision": "fp32",
    "templates": 1,
}
TESTING = {
    "network_def": {"_target_": "toy_ksam.build_toy", "delta": "@weights"},
    "templates": 2,
    "hd95": False,
    "engine": "torch",
}


def settings(**changes: Any) -> list[str]:
    training = [f"{key}={json.dumps(value)}" for key, value in (TRAINING | changes).items()]
    return ["--train", *training, "--evaluate", *(f"{k}={json.dumps(v)}" for k, v in TESTING.items())]


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_ablation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datalist = draw_datalist(tmp_path / "d", counts=(3, 1, 2))
    command = ["--datalist", str(datalist), "--out", str(tmp_path / "out"), *settings(epochs=1)]
    ksam_ablation.main(command)
    rows = read_rows(tmp_path / "out" / "ablation.csv")
    assert [row["row"] for row in rows] == ["KP", "KP+PM", "KP+KM", "KP+KM+PM"]
    assert all(0 <= float(row["mean"]) <= 1 and row["disc"] and row["cup"] for row in rows)
    assert rows[3]["paper (KAS)"] == "0.893"
    assert {"ablation.md", "ablation.png"} <= {path.name for path in (tmp_path / "out").iterdir()}
    cards = [json.loads(path.read_text()) for path in sorted((tmp_path / "out").glob("*/run/delta.json"))]
    assert {(c["network"]["km"], c["network"]["pm"]) for c in cards} == {
        (km, pm) for km in (True, False) for pm in (True, False)
    }

    def refuse(*_: Any) -> None:
        raise AssertionError("a finished row is not repeated")

    monkeypatch.setattr(config_runs.BundleRuns, "run_config", refuse)
    ksam_ablation.main(command)


def test_move(tmp_path: Path) -> None:
    lists = [
        draw_datalist(tmp_path / name, name, (3, 1, 2), seed)
        for seed, name in enumerate(("fundus", "kidney"))
    ]
    command = ["--first", str(lists[0]), "--second", str(lists[1]), "--out", str(tmp_path / "out")]
    ksam_move.main([*command, *settings()])
    rows = read_rows(tmp_path / "out" / "move.csv")
    assert [(row["weights"], row["task"]) for row in rows] == [
        ("before the move", "fundus"),
        ("before the move", "kidney"),
        ("after the move", "fundus"),
        ("after the move", "kidney"),
    ]
    points = read_rows(tmp_path / "out" / "move_curves.csv")
    assert {(p["task"], p["epoch"]) for p in points} == {
        (task, epoch) for task in ("second task", "fundus") for epoch in ("1", "2")
    }
    assert (tmp_path / "out" / "move.png").is_file()


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="settings: expected key=value, got 'epochs'"):
        config_runs.read_settings(["epochs"])
    assert config_runs.read_settings(["epochs=3", "backbone=lite", "camera=null"]) == {
        "epochs": 3,
        "backbone": "lite",
        "camera": None,
    }
    command = ["--datalist", str(tmp_path / "none.json"), "--out", str(tmp_path / "out"), *settings()]
    with pytest.raises(InputError, match="none.json: expected a datalist, got no such file"):
        ksam_ablation.main(command)


def test_a_run_without_validation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config_runs.BundleRuns, "run_config", lambda *_: None)
    with pytest.raises(ConfigError, match="expected at least one validation, got none: lower val_interval"):
        ksam_runs.RUNS.train(tmp_path, {})
