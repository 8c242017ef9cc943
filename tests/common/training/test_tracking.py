"""What was logged can be read back by the tools themselves."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from common.errors import ConfigError
from common.training import tracking
from common.training.tracking import MLFLOW_PACKAGES, build_tracker

ROWS = ({"epoch": 1, "loss": 0.5, "mean_dice": 0.25}, {"epoch": 2, "loss": 0.125})


def test_tensorboard(tmp_path: Path) -> None:
    tracker = build_tracker("tensorboard", tmp_path / "run")
    assert tracker is not None
    for row in ROWS:
        tracker.log(row)
    tracker.close()
    events = EventAccumulator(str(tmp_path / "run")).Reload()
    assert [(e.step, e.value) for e in events.Scalars("loss")] == [(1, 0.5), (2, 0.125)]
    assert [(e.step, e.value) for e in events.Scalars("mean_dice")] == [(1, 0.25)]


@pytest.mark.skipif(
    any(find_spec(name) is None for name in MLFLOW_PACKAGES),
    reason="needs mlflow-skinny, sqlalchemy, alembic",
)
def test_mlflow_goes_on_with_the_run(tmp_path: Path) -> None:
    from mlflow import MlflowClient

    for row in ROWS:  # the second as after an interruption
        tracker = build_tracker("mlflow", tmp_path / "run", {"seed": 3})
        assert tracker is not None
        tracker.log(row)
    tracker.close()
    client = MlflowClient(f"sqlite:///{tmp_path / 'run' / tracking.MLFLOW_FILE}")
    experiment = client.get_experiment_by_name(tracking.EXPERIMENT)
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.data.params == {"seed": "3"} and run.info.status == "FINISHED"
    history = client.get_metric_history(run.info.run_id, "loss")
    assert [(m.step, m.value) for m in history] == [(1, 0.5), (2, 0.125)]


def test_refusals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert build_tracker("none", tmp_path / "run") is None and not (tmp_path / "run").exists()
    with pytest.raises(ConfigError, match="tracker: expected one of none, tensorboard, mlflow, got 'wandb'"):
        build_tracker("wandb", tmp_path)
    monkeypatch.setattr(tracking, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="got no mlflow and no sqlalchemy and no alembic: install"):
        build_tracker("mlflow", tmp_path)
