"""Which query answers for which box: the assignment of least cost."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from scipy.optimize import linear_sum_assignment

from ...errors import ClassifierError
from .boxes import generalised_iou, to_corners
from .outputs import Prediction
from .targets import Target

_COST_CLASS, _COST_L1, _COST_GIOU = 2.0, 5.0, 2.0  # published
_ALPHA, _GAMMA = 0.25, 2.0  # of the focal loss, in the classification cost
_EPS = 1e-8

Match = tuple[torch.Tensor, torch.Tensor]
"""Queries and the boxes that they answer for, both int64 (n,) of one image."""


@torch.no_grad()
def match(prediction: Prediction, targets: Sequence[Target]) -> list[Match]:
    """Hungarian matching of each image by class, L1 distance and GIoU.

    Args:
        prediction: of B images.
        targets: B of them.

    Raises:
        ClassifierError: a cost is NaN or infinite.
    """
    return [
        _assign(logits.float(), boxes.float(), target)
        for logits, boxes, target in zip(prediction.logits, prediction.boxes, targets, strict=True)
    ]


def _assign(logits: torch.Tensor, boxes: torch.Tensor, target: Target) -> Match:
    cost = find_cost(logits, boxes, target)
    if not cost.isfinite().all():
        raise ClassifierError(
            "detector: expected finite scores and boxes, got NaN or infinity: lower the learning rate"
        )
    rows, columns = linear_sum_assignment(cost.cpu().numpy())
    return torch.as_tensor(rows, device=boxes.device), torch.as_tensor(columns, device=boxes.device)


def find_cost(logits: torch.Tensor, boxes: torch.Tensor, target: Target) -> torch.Tensor:
    """What it costs that a query answers for a box.

    Args:
        logits, boxes: (Q, num_classes) and (Q, 4) of one image.
        target: its n boxes.

    Returns:
        (Q, n).
    """
    score = logits.sigmoid()[:, target["labels"]]
    positive = _ALPHA * (1 - score) ** _GAMMA * -torch.log(score + _EPS)
    negative = (1 - _ALPHA) * score**_GAMMA * -torch.log(1 - score + _EPS)
    distance = torch.cdist(boxes, target["boxes"], p=1)
    overlap = generalised_iou(to_corners(boxes)[:, None], to_corners(target["boxes"]))
    return _COST_CLASS * (positive - negative) + _COST_L1 * distance - _COST_GIOU * overlap
