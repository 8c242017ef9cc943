"""Where the figures of each epoch are shown beside `history.json`: TensorBoard or MLflow."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from ..errors import ConfigError
from .processes import is_first_process

TRACKERS = ("none", "tensorboard", "mlflow")
MLFLOW_PACKAGES = ("mlflow", "sqlalchemy", "alembic")
MLFLOW_FILE = "mlflow.db"
EXPERIMENT = "training"


class Tracker(Protocol):
    """Takes one row per epoch."""

    def log(self, row: Mapping[str, float]) -> None:
        """`row["epoch"]` is the step, everything else a figure."""

    def close(self) -> None:
        """The run has ended."""


def build_tracker(
    kind: str, output_dir: str | Path, settings: Mapping[str, Any] | None = None
) -> Tracker | None:
    """A place for the figures; every row reaches the disk at once. Only the first process has one.

    Args:
        kind: "none", "tensorboard" (event files in the run's folder), or "mlflow" (a SQLite file
            `mlflow.db` in the run's folder; MLflow 3.13 and later refuse plain folders).
        output_dir: the run's folder; its name becomes the run's.
        settings: noted with the run where the tracker can.

    Raises:
        ConfigError: another kind, or MLflow is not installed.
    """
    if kind not in TRACKERS:
        raise ConfigError(f"tracker: expected one of {', '.join(TRACKERS)}, got '{kind}': none is usual")
    if kind == "none" or not is_first_process():
        return None
    Path(output_dir).mkdir(parents=True, exist_ok=True)
    if kind == "tensorboard":
        return _TensorBoard(Path(output_dir))
    return _MLflow(Path(output_dir), settings or {})


class _TensorBoard:
    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(folder))

    def log(self, row: Mapping[str, float]) -> None:
        for name in sorted(row.keys() - {"epoch"}):
            self.writer.add_scalar(name, row[name], int(row["epoch"]))
        self.writer.flush()

    def close(self) -> None:
        self.writer.close()


class _MLflow:
    """One run per folder: a resumed training goes on with the run that is there."""

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        missing = [name for name in MLFLOW_PACKAGES if find_spec(name) is None]
        if missing:
            raise ConfigError(
                f"tracker mlflow: expected {', '.join(MLFLOW_PACKAGES)} to be installed, got no "
                f"{' and no '.join(missing)}: install requirements.txt, or take tensorboard"
            )
        from mlflow import MlflowClient
        from mlflow.entities import ViewType

        for name in ("mlflow", "alembic"):  # MLflow tells of each table that it makes
            logging.getLogger(name).setLevel(logging.ERROR)
        self.client = MlflowClient(f"sqlite:///{(folder / MLFLOW_FILE).resolve()}")
        known = self.client.get_experiment_by_name(EXPERIMENT)
        place = (folder / "mlruns").resolve().as_uri()
        experiment = known.experiment_id if known else self.client.create_experiment(EXPERIMENT, place)
        runs = self.client.search_runs([experiment], run_view_type=ViewType.ACTIVE_ONLY, max_results=1)
        run = runs[0] if runs else self.client.create_run(experiment, run_name=folder.resolve().name)
        self.run = run.info.run_id
        for name, value in settings.items() if not runs else ():
            self.client.log_param(self.run, name, value)

    def log(self, row: Mapping[str, float]) -> None:
        for name in sorted(row.keys() - {"epoch"}):
            self.client.log_metric(self.run, name, float(row[name]), step=int(row["epoch"]))

    def close(self) -> None:
        self.client.set_terminated(self.run)
