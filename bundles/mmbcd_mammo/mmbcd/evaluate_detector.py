"""The detector alone, as `evaluate_detector.json` runs it: which lesions lie in its best boxes."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from common.errors import ConfigError
from common.io.files import write_json, write_text
from common.training.datalist import PARTS

from .datalist import Entry
from .detector import build_detector
from .detector_data import DetectorMaterial
from .detector_training import HIT_IOU, check_hit_iou, count_boxes, find_ranks
from .detector_weights import read_detector
from .evaluate import NOT_CLINICAL, refuse_training_patients
from .rois import IOU, K
from .statistics import Interval, bootstrap

logger = logging.getLogger(__name__)


class DetectorEvaluator:
    """Recall of lesions at 1, 2, 4 ... K boxes of a mammogram, by the steps of inference.

    Args:
        material: datalist, and which of its boxes are lesions.
        weights: detector, a file of `train_detector.json`.
        output_dir: gets metrics.json and metrics.md.
        part: "test", "validation" or "training".
        rois, iou: K, and of the suppression, see `select_rois`.
        hit_iou: see `HIT_IOU`.
        draws: of patients, for the intervals.
        seed: of them.
        allow_training_patients: evaluate them all the same.
        choice: `engine`, `precision` and `device` of `build_detector`.

    Raises:
        ConfigError: a setting outside its range.
        ClassifierError: weights that cannot be read.
    """

    def __init__(
        self,
        material: DetectorMaterial,
        weights: str,
        output_dir: str,
        part: str = "test",
        rois: int = K,
        iou: float = IOU,
        hit_iou: float = HIT_IOU,
        draws: int = 2000,
        seed: int = 0,
        allow_training_patients: bool = False,
        **choice: Any,
    ) -> None:
        if part not in PARTS:
            raise ConfigError(f"part: expected one of {', '.join(PARTS)}, got '{part}': choose one")
        self.material, self.part, self.folder = material, part, Path(output_dir)
        self.trained = read_detector(weights)
        self.detector = build_detector(weights, k=rois, iou=iou, **choice)
        self.rois, self.hit_iou = rois, check_hit_iou(hit_iou)
        self.draws, self.seed = draws, seed
        self.allow_training_patients = allow_training_patients

    def run(self) -> dict[str, Any]:
        """Evaluate and write; returns the content of `metrics.json`. Raises InputError, OutputError."""
        entries = self.material.load(self.part)
        if not self.allow_training_patients:
            refuse_training_patients(entries, self.trained.training_patients, self.trained.card.name)
        ranks = [self.rank(entry) for entry in tqdm(entries, "mammograms", leave=False)]
        content = self._describe(entries, ranks)
        table = format_recalls(content)
        write_json(self.folder / "metrics.json", content)
        write_text(self.folder / "metrics.md", table)
        print(table, end="")
        return content

    def rank(self, entry: Entry) -> list[int]:
        """For each lesion the place of the first box that finds it, see `find_ranks`. Raises InputError."""
        lesions = np.array(self.material.boxes_of(entry) or (), float).reshape(-1, 4)
        return find_ranks(self.detector(entry.read()).boxes_px, lesions, self.hit_iou)

    def _describe(self, entries: Sequence[Entry], ranks: Sequence[Sequence[int]]) -> dict[str, Any]:
        patients = [entry.patient for entry, row in zip(entries, ranks, strict=True) for _ in row]
        recalls = bootstrap(patients, self._measure(np.concatenate(ranks)), self.draws, self.seed)
        return {
            "datalist": entries[0].header.name,
            "part": self.part,
            "lesions_of": self.material.lesions,
            "mammograms": len(entries),
            "lesions": len(patients),
            "patients": len(set(patients)),
            "hit_iou": self.hit_iou,
            "recall": {name: _plain(value) for name, value in recalls.items()},
            "weights": self.trained.card.as_json(),
        }

    def _measure(self, ranks: np.ndarray) -> Any:
        def measure(weights: np.ndarray) -> dict[str, np.ndarray]:
            whole = weights.sum(axis=-1)
            with np.errstate(invalid="ignore"):
                return {
                    str(count): (weights * (ranks < count)).sum(axis=-1) / whole
                    for count in count_boxes(self.rois)
                }

        return measure


def _plain(interval: Interval) -> dict[str, float | None]:
    return {name: None if np.isnan(value) else float(value) for name, value in interval._asdict().items()}


def format_recalls(content: dict[str, Any]) -> str:
    """metrics.md of the content of metrics.json."""
    rows = ["| boxes of a mammogram | lesions found | 95 % interval |", "|---|---|---|"]
    for count, recall in content["recall"].items():
        limits = "-" if recall["low"] is None else f"{recall['low']:.2f} to {recall['high']:.2f}"
        rows.append(f"| {count} | {recall['value']:.2f} | {limits} |")
    counts = tuple(content[key] for key in ("mammograms", "lesions", "patients"))
    told = "{} mammograms, {} lesions of {} patients; ".format(*counts)
    told += f"found: an overlap (IoU) of {content['hit_iou']:g} or more."
    card = content["weights"]
    notes = [] if card["purpose"] == "clinical" else [NOT_CLINICAL.format(**card)]
    return "\n".join([*rows, "", told, *notes]) + "\n"
