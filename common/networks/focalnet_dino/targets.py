"""The boxes that are there, for training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import torch

from ...errors import InputError


class Target(TypedDict):
    """The boxes of one image; without any, n is 0.

    Attributes:
        labels: (n,) int64, 0..num_classes - 1.
        boxes: (n, 4) float cx, cy, w, h in parts of the image without its padding, 0..1.
    """

    labels: torch.Tensor
    boxes: torch.Tensor


def check_targets(targets: Sequence[Target], images: int, num_classes: int) -> None:
    """Refuse what cannot be trained on.

    Raises:
        InputError: not one target for each image, another shape, an unknown label, a box outside or empty.
    """
    if len(targets) != images:
        raise InputError(f"targets: expected {images}, one for each image, got {len(targets)}: give all")
    for number, target in enumerate(targets):
        labels, boxes = target["labels"], target["boxes"]
        if labels.ndim != 1 or boxes.shape != (len(labels), 4):
            raise InputError(
                f"target {number}: expected labels (n,) and boxes (n, 4), got {tuple(labels.shape)} and "
                f"{tuple(boxes.shape)}: give a label for each box"
            )
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < num_classes:
            raise InputError(
                f"target {number}: expected labels from 0 to {num_classes - 1}, got {int(labels.min())} to "
                f"{int(labels.max())}: number the classes from 0"
            )
        if not ((boxes >= 0) & (boxes <= 1)).all() or not (boxes[:, 2:] > 0).all():
            raise InputError(
                f"target {number}: expected boxes cx, cy, w, h inside 0..1 with a size, got another: "
                "divide pixels by the image's width and height, leave empty boxes out"
            )
