"""Validation during training: AUC of images and breasts, with and without the history."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from ignite.engine import Engine
from ignite.metrics import Metric

from .datalist import Entry
from .scores import combine_by, to_score
from .statistics import Scores, auc

METRIC = "auc"


class ValidationAuc(Metric):
    """AUC over the validation mammograms (the metric), over breasts, of the picture alone, and the loss.

    Args:
        entries: gives the validation part when it is first needed.
        breast_rule: how the views of a breast are combined, see `scores.RULES`.
    """

    def __init__(self, entries: Callable[[], list[Entry]], breast_rule: str = "max") -> None:
        self.entries, self.breast_rule = entries, breast_rule
        self.found: dict[int, tuple[float, float, float]] = {}
        super().__init__(metrics_result_mode="flatten")

    def reset(self) -> None:
        self.found = {}

    def iteration_completed(self, engine: Engine) -> None:
        output: Any = engine.state.output
        batch: Any = engine.state.batch
        self.update((output["pred"].logits, output["pred"].image_logits, batch["number"]))

    def update(self, output: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> None:
        """Logits (B, 2) twice, places of the mammograms (B,)."""
        logits, image_logits, numbers = (value.float().cpu() for value in output)
        scores, image_scores = to_score(logits.numpy()), to_score(image_logits.numpy())
        labels = torch.tensor([int(self.entries()[int(number)].malignant) for number in numbers])
        losses = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
        rows = zip(numbers.int().tolist(), scores, image_scores, losses.tolist(), strict=True)
        self.found |= {number: (float(score), float(alone), loss) for number, score, alone, loss in rows}

    def compute(self) -> dict[str, float]:
        """{"auc", "auc_breast", "auc_image_only", "val_loss"}."""
        found = gather(self.found)
        numbers = sorted(found)
        entries = [self.entries()[number] for number in numbers]
        values = np.array([found[number] for number in numbers])
        labels = np.array([entry.malignant for entry in entries])
        patients = tuple(entry.patient for entry in entries)
        return {
            METRIC: float(auc(Scores(values[:, 0], labels, patients))),
            "auc_breast": float(auc(self._breasts(entries, values[:, 0]))),
            "auc_image_only": float(auc(Scores(values[:, 1], labels, patients))),
            "val_loss": float(values[:, 2].mean()),
        }

    def _breasts(self, entries: list[Entry], scores: np.ndarray) -> Scores:
        keys = [(entry.patient, entry.study, entry.laterality) for entry in entries]
        combined = combine_by(keys, scores.tolist(), self.breast_rule)
        truth = {key: entry.malignant for key, entry in zip(keys, entries, strict=True)}
        values = np.array([combined[key] for key in truth], dtype=float)
        return Scores(values, np.array(list(truth.values())), tuple(key[0] for key in truth))


def gather(found: dict[int, tuple[float, float, float]]) -> dict[int, tuple[float, float, float]]:
    """What all processes found."""
    if not dist.is_initialized():
        return found
    parts: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(parts, found)
    return {number: row for part in parts for number, row in part.items()}
