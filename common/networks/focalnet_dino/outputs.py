"""What the detector says."""

from __future__ import annotations

from typing import NamedTuple

import torch


class Prediction(NamedTuple):
    """One answer of Q queries.

    Attributes:
        logits: (B, Q, num_classes), independent (sigmoid) scores.
        boxes: (B, Q, 4) cx, cy, w, h in parts of the image without its padding, 0..1.
    """

    logits: torch.Tensor
    boxes: torch.Tensor


class DetectorOutput(NamedTuple):
    """The answer of the last decoder layer, and in training all that is supervised beside it.

    Attributes:
        logits, boxes: as in `Prediction`.
        aux: of the decoder layers before the last; empty in evaluation.
        encoder: of the query selection; None in evaluation.
        denoising: of every decoder layer for the noised boxes, (B, 2 groups slots, ...); empty without any.
        groups: of the noised boxes, each with a positive and a negative copy of every box of an image.
    """

    logits: torch.Tensor
    boxes: torch.Tensor
    aux: tuple[Prediction, ...] = ()
    encoder: Prediction | None = None
    denoising: tuple[Prediction, ...] = ()
    groups: int = 0
