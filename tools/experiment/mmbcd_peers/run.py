"""One row after the other: build, train where it is to be trained, score, keep."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from common.io.files import write_json
from common.training.datalist import hash_file_text
from mmbcd.datalist import Entry
from mmbcd.evaluate import EvaluationMaterial, refuse_training_patients
from mmbcd.statistics import Interval

from .base import Peer, TrainedPeer
from .ours import OwnPeer
from .rows import Row, Table, build_peer
from .scoring import find_figures, read_scores, to_cases, write_scores
from .training import score_views, train_peer
from .views import Views, ViewSource

METRICS, SCORES = "metrics.json", "scores.csv"
DRAWS = 2000


@dataclass(frozen=True)
class Result:
    """What a row has found.

    Attributes:
        scores: (N,) 0..1, NaN where there is no answer.
        figures: of `find_figures`.
    """

    scores: np.ndarray
    figures: Mapping[str, Interval]

    @property
    def unanswered(self) -> int:
        """Mammograms without an answer."""
        return int(np.isnan(self.scores).sum())


class RowRunner:
    """Runs rows on one split, or reads what an earlier run with the same settings has left.

    Args:
        material: what is scored, and the other parts of its datalist.
        table: settings of training, seeds.
        source: of what peers see.
        folder: for a folder of each row.
        device: of peers that are trained.
        root: that relative paths of rows start from.
    """

    def __init__(
        self,
        material: EvaluationMaterial,
        table: Table,
        source: ViewSource,
        folder: Path,
        device: str,
        root: Path,
    ) -> None:
        self.material, self.table, self.source, self.folder = material, table, source, folder
        self.device, self.root = torch.device(device), root

    @property
    def seed(self) -> int:
        """Of the bootstrap."""
        return next((settings.seed for settings in self.table.training.values()), 0)

    def run(self, row: Row) -> Result:
        """Raises BundleError: see the parts."""
        settings, folder = self._describe(row), self.folder / row.id
        found = read_result(folder, settings)
        if found is not None:
            return found
        training = self.table.training.get(row.family)
        torch.manual_seed(0 if training is None else training.seed)
        peer = build_peer(row, self.root)
        if isinstance(peer, OwnPeer):
            refuse_training_patients(self.material.entries, peer.patients, row.name)
        if isinstance(peer, TrainedPeer):
            peer.network.to(self.device)
            self._train(peer, row, folder, settings)
        scores = self._score(peer, row)
        figures = find_figures(to_cases(scores, self.material.entries), peer.has_confidence, DRAWS, self.seed)
        write_scores(folder / SCORES, scores, self.material.entries)
        write_json(folder / METRICS, {"settings": settings, "figures": figures})
        return Result(scores, figures)

    def _describe(self, row: Row) -> dict[str, Any]:
        """What a finished row must have been made with to be taken as it is."""
        training = self.table.training.get(row.family)
        settings = {
            "row": asdict(row),
            "files": [describe_path(self.root / path) for path in row.files.values()],
            "training": None if training is None else asdict(training),
            "datalist": hash_file_text(self.material.datalist),
            "part": self.material.part,
            "regions": self.source.describe(),
            "draws": DRAWS,
            "seed": self.seed,
        }
        return dict(json.loads(json.dumps(settings)))

    def _open(self, entries: list[Entry], part: str, peer: Peer) -> Views:
        return self.source.open(entries, part, peer.sees, peer.image_size)

    def _train(self, peer: TrainedPeer, row: Row, folder: Path, settings: Mapping[str, Any]) -> None:
        """In a folder named by the settings, so that others are not taken for these."""
        marks = {key: value for key, value in settings.items() if key not in ("part", "draws", "seed")}
        name = hashlib.sha256(json.dumps(marks, sort_keys=True).encode()).hexdigest()[:8]
        training, shown = self.table.training[row.family], None
        if training.val_interval is not None:
            shown = self._open(self.material.load("validation"), "validation", peer)
        views = self._open(self.material.load("training"), "training", peer), shown
        train_peer(peer, views, training, folder / name)

    def _score(self, peer: Peer, row: Row) -> np.ndarray:
        views = self._open(self.material.entries, self.material.part, peer)
        training = self.table.training.get(row.family)
        size, precision = (16, "fp32") if training is None else (training.batch_size, training.precision)
        return score_views(peer, views, size, precision)


def read_result(folder: Path, settings: Mapping[str, Any]) -> Result | None:
    """What an earlier run has left in the folder; None where it had other settings or did not finish."""
    try:
        content = json.loads((folder / METRICS).read_text(encoding="utf-8"))
        scores = read_scores(folder / SCORES)
        figures = {name: Interval(*map(_restore, values)) for name, values in content["figures"].items()}
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Result(scores, figures) if content.get("settings") == settings else None


def describe_path(path: Path) -> list[tuple[str, int, int]]:
    """Name, size and time of change of a file, or of each file in a folder."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    found = [(file, file.stat()) for file in files if file.is_file()]
    return [(file.name, status.st_size, status.st_mtime_ns) for file, status in found]


def _restore(value: float | None) -> float:
    """JSON has no NaN: null becomes NaN again."""
    return float("nan") if value is None else float(value)
