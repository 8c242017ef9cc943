"""The detector's step of training, and the recall of lesions by which it is validated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from ignite.engine import Engine
from ignite.metrics import Metric
from torchvision.ops import box_iou

from common.errors import ConfigError
from common.networks.focalnet_dino.criterion import DinoCriterion
from common.networks.focalnet_dino.outputs import DetectorOutput
from common.networks.focalnet_dino.targets import Target
from common.training.optimisation import PrecisionInferer

from .detector_data import Breasts
from .rois import IOU, K, select_rois

METRIC = "mean_recall"
MISSED = int(np.iinfo(np.int32).max)
"""Rank of a lesion that no box finds."""
HIT_IOU = 0.2
"""A lesion is found by a box that overlaps it so much (choice: usual for mammography, whose lesions have no
sharp border; the region around the box is what is read)."""


class DetectorInferer(PrecisionInferer):
    """The forward pass in the wanted precision; see `PrecisionInferer`."""

    def __call__(self, inputs: torch.Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """(B, 3, H, W) -> `DetectorOutput`."""
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            return network(inputs, *args, **kwargs)


class DetectorLoss:
    """The total of `DinoCriterion`."""

    def __init__(self) -> None:
        self.criterion = DinoCriterion()

    def __call__(self, output: DetectorOutput, targets: Sequence[Target]) -> torch.Tensor:
        """Output of the network in training and B targets -> the loss."""
        return self.criterion(output, targets)[1]


def prepare_breasts(
    batch: Mapping[str, Any], device: torch.device, non_blocking: bool = False, **_: Any
) -> tuple[torch.Tensor, Any, tuple[()], dict[str, Any]]:
    """What MONAI's engines make of a batch: images, targets, and mask and targets for the network."""
    image, mask = (batch[key].to(device, non_blocking=non_blocking) for key in ("image", "mask"))
    targets = [
        Target(labels=target["labels"].to(device), boxes=target["boxes"].to(device))
        for target in batch.get("targets", ())
    ]
    given = {"mask": mask, "targets": targets} if targets else {"mask": mask}
    return image, targets, (), given


class LesionRecall(Metric):
    """Share of lesions found among the best 1, 2, 4 ... K boxes; their mean is the metric.

    Args:
        breasts: validation part.
        rois, iou: K, and of the suppression, see `select_rois`.
        hit_iou: see `HIT_IOU`.

    Raises:
        ConfigError: hit_iou outside 0..1.
    """

    def __init__(self, breasts: Breasts, rois: int = K, iou: float = IOU, hit_iou: float = HIT_IOU) -> None:
        self.breasts, self.rois, self.iou, self.hit_iou = breasts, rois, iou, check_hit_iou(hit_iou)
        self.found: dict[int, list[int]] = {}
        super().__init__(metrics_result_mode="flatten")

    def reset(self) -> None:
        self.found = {}

    def iteration_completed(self, engine: Engine) -> None:
        output: Any = engine.state.output
        batch: Any = engine.state.batch
        self.update((output["pred"].boxes, output["pred"].logits, batch["number"]))

    def update(self, output: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> None:
        """Boxes (B, Q, 4) cx, cy, w, h in parts of the breast, logits (B, Q, 1), places (B,)."""
        boxes, logits, numbers = (value.detach().float().cpu() for value in output)
        scores = logits.amax(-1).sigmoid()
        for number, own, values in zip(numbers.int().tolist(), boxes.numpy(), scores.numpy(), strict=True):
            frame = self.breasts.frames[number]
            chosen = select_rois(frame.to_pixels(own), values, self.rois, self.iou)
            lesions = frame.to_pixels(self.breasts.targets(number))
            missed = self.breasts.lesions(number) - len(lesions)  # outside of the breast that was found
            self.found[number] = find_ranks(chosen.boxes_px, lesions, self.hit_iou) + [MISSED] * missed

    def compute(self) -> dict[str, float]:
        """{"mean_recall", "recall_at_1", ..., "recall_at_K"}."""
        ranks = np.array([rank for row in _gather(self.found).values() for rank in row])
        recalls = {f"recall_at_{count}": float((ranks < count).mean()) for count in count_boxes(self.rois)}
        return {METRIC: float(np.mean(list(recalls.values()))), **recalls}


def check_hit_iou(hit_iou: float) -> float:
    """`hit_iou`. Raises ConfigError: outside 0..1."""
    if not 0 < hit_iou <= 1:
        raise ConfigError(f"hit_iou: expected above 0 up to 1, got {hit_iou}: {HIT_IOU} is usual")
    return hit_iou


def count_boxes(rois: int) -> list[int]:
    """Numbers of boxes at which recall is told: 1, 2, 4 ... below K, and K."""
    return [*(2**power for power in range(rois.bit_length()) if 2**power < rois), rois]


def find_ranks(boxes_px: np.ndarray, lesions_px: np.ndarray, hit_iou: float = HIT_IOU) -> list[int]:
    """For each lesion the place of the first box that finds it, `MISSED` where none does.

    Args:
        boxes_px: (k, 4) best first.
        lesions_px: (n, 4).
        hit_iou: overlap of a box that finds a lesion.
    """
    if not len(boxes_px):
        return [MISSED] * len(lesions_px)
    first, second = (torch.as_tensor(np.array(v, dtype=float).reshape(-1, 4)) for v in (lesions_px, boxes_px))
    hits = (box_iou(first, second) >= hit_iou).numpy()
    return [int(row.argmax()) if row.any() else MISSED for row in hits]


def _gather(found: dict[int, list[int]]) -> dict[int, list[int]]:
    """What all processes found."""
    if not dist.is_initialized():
        return found
    parts: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(parts, found)
    return {number: row for part in parts for number, row in part.items()}
