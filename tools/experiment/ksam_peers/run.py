"""One row after the other: build, train where it is to be trained, score, keep."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from common.errors import InputError
from common.io.files import atomic_path, write_json, write_text
from common.networks.sam_weights import hash_file
from ksam.datalist import load_datalist
from ksam.evaluate import EvaluationMaterial, refuse_training_patients
from ksam.evaluation_table import format_csv, summarize

from .base import Context, Peer
from .knowledge import KnowledgePeer
from .rows import Row, build_peer
from .scoring import ShownSlice, score_peer
from .training import TrainingSettings, train_peer

METRICS, CASES, SHOWN = "metrics.json", "cases.csv", "shown.npz"
BOOTSTRAP = 2000


@dataclass(frozen=True)
class Result:
    """What a row has found.

    Attributes:
        rows: of `summarize`.
        shown: slices for the figure.
    """

    rows: Mapping[str, Mapping[str, Any]]
    shown: list[ShownSlice]


def read_material(datalist: Path, part: str, templates: int, seed: int) -> EvaluationMaterial:
    """The cases that are scored, and the templates that evaluate.json would draw.

    Raises:
        ConfigError, InputError: see `EvaluationMaterial`.
    """
    material = EvaluationMaterial(str(datalist), part, None, None, templates, seed)
    material.task  # noqa: B018
    return material


class RowRunner:
    """Runs rows on one split, or reads what an earlier run with the same settings has left.

    Args:
        material: cases and templates.
        training: settings of trainable rows.
        folder: for a folder of each row.
        hd95: measure distances.
        pictures: cases of the figure.
    """

    def __init__(
        self,
        material: EvaluationMaterial,
        training: TrainingSettings,
        folder: Path,
        hd95: bool,
        pictures: int,
    ) -> None:
        self.material, self.training, self.folder = material, training, folder
        self.hd95, self.pictures = hd95, pictures

    def run(self, row: Row, root: Path) -> Result:
        """Raises BundleError: see the parts."""
        folder = self.folder / row.id
        settings = self._settings(row, root)
        found = read_result(folder, settings)
        if found is not None:
            return found
        peer = build_peer(row, Context(self.material.task, self.material.templates, self.training.seed), root)
        self._check_patients(peer, row)
        if peer.trained is not None:
            self._train(peer.trained, folder, settings)
        scores, shown = score_peer(peer, self.material.cases, self.material.task, self.hd95, self.pictures)
        rows = summarize(scores, self.material.task.structure_names, BOOTSTRAP, self.training.seed)
        write_text(folder / CASES, format_csv(scores))
        _write_shown(folder / SHOWN, shown)
        write_json(folder / METRICS, {"settings": settings, "structures": rows})
        return Result(rows, shown)

    def _settings(self, row: Row, root: Path) -> dict[str, Any]:
        """What a finished row must have been made with to be taken as it is."""
        text = Path(self.material.datalist).read_bytes()
        files = [path for path in (row.weights, row.arguments.get("delta")) if path]
        settings = {
            "row": asdict(row),
            "files": [hash_file(root / path) for path in files],
            "training": asdict(self.training) if row.is_trained else None,
            "seed": self.training.seed,
            "datalist": hashlib.sha256(text).hexdigest()[:16],
            "part": self.material.part,
            "templates": self.material.templates,
            "hd95": self.hd95,
            "pictures": self.pictures,
        }
        return dict(json.loads(json.dumps(settings)))

    def _train(self, network: nn.Module, folder: Path, settings: Mapping[str, Any]) -> None:
        """In a folder named by the settings, so that others are not taken for these."""
        marks = {key: settings[key] for key in ("row", "files", "training", "datalist")}
        name = hashlib.sha256(json.dumps(marks, sort_keys=True).encode()).hexdigest()[:8]
        path = self.material.datalist
        training = load_datalist(path, "training")
        try:
            validation = load_datalist(path, "validation")
        except InputError:
            validation = []
        structures = self.material.task.structures
        train_peer(network, (training, validation), structures, self.training, folder / name)

    def _check_patients(self, peer: Peer, row: Row) -> None:
        """KSAM's training patients are not scored. Raises InputError."""
        if isinstance(peer, KnowledgePeer) and self.material.part != "training":
            refuse_training_patients(self.material.cases, peer.patients, row.name)


def read_result(folder: Path, settings: Mapping[str, Any]) -> Result | None:
    """What an earlier run has left in the folder; None where it had other settings or did not finish."""
    try:
        content = json.loads((folder / METRICS).read_text(encoding="utf-8"))
        shown = _read_shown(folder / SHOWN)
    except (OSError, ValueError, KeyError):
        return None
    if content.get("settings") != settings:
        return None
    rows = {name: _restore(row) for name, row in content["structures"].items()}
    return Result(rows, shown)


def _restore(row: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has no NaN: null becomes NaN again, except where there is no interval."""
    return {
        key: float("nan") if value is None and key != "dice_interval" else value for key, value in row.items()
    }


def _write_shown(path: Path, shown: list[ShownSlice]) -> None:
    arrays = {
        f"{name}{place}": array for place, one in enumerate(shown) for name, array in one._asdict().items()
    }
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, **arrays)


def _read_shown(path: Path) -> list[ShownSlice]:
    with np.load(path) as content:
        count = len(content.files) // len(ShownSlice._fields)
        return [ShownSlice(*(content[f"{n}{place}"] for n in ShownSlice._fields)) for place in range(count)]
