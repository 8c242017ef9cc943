"""Arithmetic of boxes (cx, cy, w, h) in parts of the image's width and height."""

from __future__ import annotations

import torch
from torchvision.ops import box_convert

_EPS = 1e-3  # of the inverse sigmoid (published code): boxes are clamped to 0.001..0.999
_AREA_EPS = 1e-6  # keeps the ratios of empty boxes finite (published code)


def inverse_sigmoid(boxes: torch.Tensor) -> torch.Tensor:
    """0..1 -> log(p / (1 - p)), of the same shape; finite at both ends."""
    boxes = boxes.clamp(0, 1)
    return torch.log(boxes.clamp(min=_EPS) / (1 - boxes).clamp(min=_EPS))


def to_corners(boxes: torch.Tensor) -> torch.Tensor:
    """(..., 4) cx, cy, w, h -> x0, y0, x1, y1."""
    return box_convert(boxes, "cxcywh", "xyxy")


def generalised_iou(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """GIoU = IoU - (hull - union) / hull (Rezatofighi et al. 2019), -1..1.

    Args:
        first, second: corners (..., 4) whose leading shapes broadcast: (n, 1, 4) and (m, 4) give all pairs.
    """
    low_1, high_1 = first.split(2, dim=-1)
    low_2, high_2 = second.split(2, dim=-1)
    inner = _area(torch.maximum(low_1, low_2), torch.minimum(high_1, high_2))
    hull = _area(torch.minimum(low_1, low_2), torch.maximum(high_1, high_2))
    union = _area(low_1, high_1) + _area(low_2, high_2) - inner
    return inner / (union + _AREA_EPS) - (hull - union) / (hull + _AREA_EPS)


def _area(low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
    return (high - low).clamp(min=0).prod(-1)
