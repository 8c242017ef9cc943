"""How far a template is to be trusted on a slice, without the truth: the way there and back."""

from __future__ import annotations

import torch

from .template_reader import PromptNetwork


def round_trip_dice(
    network: PromptNetwork,
    embedding: torch.Tensor,
    image: torch.Tensor,
    logits: torch.Tensor,
    template_embedding: torch.Tensor,
    template_mask: torch.Tensor,
) -> float:
    """Segment the template with the slice's own prediction as prompt, and compare with the template's mask.

    A template that does not suit the slice gives a prediction that, as a prompt, does not lead back to the
    template's mask. Costs one reading and one segmentation; nothing is encoded.

    Args:
        network: engine.
        embedding: (1, C, g, g) of the slice.
        image: (1, 3, S, S) of the slice, RGB 0..255.
        logits: (1, 1, S, S) of the slice, predicted with the template.
        template_embedding: (1, C, g, g).
        template_mask: (1, 1, S, S) 0..1.

    Returns:
        Dice 0..1; 0 where the prediction is empty, because nothing leads back.
    """
    predicted = (logits > 0).float()
    if not predicted.any():
        return 0.0
    knowledge = network.read_prompt(embedding, image, predicted)
    back = network.segment(template_embedding, knowledge).cpu() > 0
    truth = template_mask >= 0.5
    return float(2 * (back & truth).sum() / (back.sum() + truth.sum()).clamp(min=1))
