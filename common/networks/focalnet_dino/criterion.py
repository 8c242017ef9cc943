"""What training makes small: focal loss, L1 and GIoU of every answer of the detector."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch.nn import functional as F
from torchvision.ops import sigmoid_focal_loss

from .boxes import generalised_iou, to_corners
from .matcher import Match, match
from .outputs import DetectorOutput, Prediction
from .targets import Target, check_targets

WEIGHTS = {"ce": 1.0, "bbox": 5.0, "giou": 2.0}
"""Of the focal, L1 and GIoU loss in the total (published)."""

Losses = dict[str, torch.Tensor]


class DinoCriterion:
    """Losses of the detector (DINO, section 3), each divided by the number of boxes, at least 1.

    An image without boxes has no L1 and GIoU loss; all of its scores are pushed down.
    """

    def __call__(self, output: DetectorOutput, targets: Sequence[Target]) -> tuple[Losses, torch.Tensor]:
        """The losses one by one, and their weighted sum.

        Args:
            output: of the network in training; of one in evaluation the last layer alone is judged.
            targets: one for each image.

        Returns:
            Scalars "loss_ce", "loss_bbox", "loss_giou" (last layer), with "_0", "_1" ... (earlier ones),
            "_interm" (query selection), "_dn", "_dn_0" ... (denoising); and the total.

        Raises:
            InputError: the targets do not fit; see `check_targets`.
            ClassifierError: the output is not finite.
        """
        check_targets(targets, *output.logits.shape[::2])
        boxes = _count_boxes(targets, output.logits.device)
        losses: Losses = {}
        for suffix, prediction in _matched(output):
            _add(losses, suffix, measure(prediction, targets, match(prediction, targets), boxes))
        known = match_noised(output, targets)
        for suffix, prediction in _numbered("_dn", output.denoising):
            _add(losses, suffix, measure(prediction, targets, known, boxes * output.groups))
        total = torch.stack([WEIGHTS[name.split("_")[1]] * loss for name, loss in losses.items()]).sum()
        return losses, total


def measure(
    prediction: Prediction, targets: Sequence[Target], matches: Sequence[Match], boxes: float
) -> Losses:
    """The three losses of one answer, not yet weighted.

    Args:
        prediction: of B images.
        targets, matches: B of each.
        boxes: what the sums are divided by.
    """
    logits, found = prediction.logits.float(), prediction.boxes.float()
    wanted = torch.zeros_like(logits)
    for image, (queries, indices) in enumerate(matches):
        wanted[image, queries, targets[image]["labels"][indices]] = 1.0
    answers = torch.cat([found[image, queries] for image, (queries, _) in enumerate(matches)])
    truth = torch.cat([targets[image]["boxes"][indices] for image, (_, indices) in enumerate(matches)])
    overlap = generalised_iou(to_corners(answers), to_corners(truth))
    return {
        "ce": sigmoid_focal_loss(logits, wanted, alpha=0.25, gamma=2.0, reduction="sum") / boxes,
        "bbox": F.l1_loss(answers, truth, reduction="sum") / boxes,
        "giou": (1 - overlap).sum() / boxes,
    }


def match_noised(output: DetectorOutput, targets: Sequence[Target]) -> list[Match]:
    """The positive copy of each box answers for it, in every group."""
    if not output.denoising:
        return []
    group = output.denoising[0].logits.shape[1] // output.groups
    matches = []
    for target in targets:
        boxes = torch.arange(len(target["labels"]), device=target["boxes"].device)
        starts = torch.arange(output.groups, device=boxes.device) * group
        matches.append(((starts[:, None] + boxes).flatten(), boxes.repeat(output.groups)))
    return matches


def _matched(output: DetectorOutput) -> list[tuple[str, Prediction]]:
    answers = _numbered("", (*output.aux, Prediction(output.logits, output.boxes)))
    return answers if output.encoder is None else [*answers, ("_interm", output.encoder)]


def _numbered(suffix: str, answers: Sequence[Prediction]) -> list[tuple[str, Prediction]]:
    """The last answer has no number."""
    names = [f"{suffix}_{number}" for number in range(len(answers) - 1)] + [suffix]
    return list(zip(names, answers, strict=False))


def _add(losses: Losses, suffix: str, parts: Losses) -> None:
    losses.update({f"loss_{name}{suffix}": loss for name, loss in parts.items()})


def _count_boxes(targets: Sequence[Target], device: torch.device) -> float:
    """Of a batch; in training on several processes their mean."""
    count = torch.tensor(float(sum(len(target["labels"]) for target in targets)), device=device)
    if dist.is_initialized():
        dist.all_reduce(count)
        count /= dist.get_world_size()
    return max(float(count), 1.0)
