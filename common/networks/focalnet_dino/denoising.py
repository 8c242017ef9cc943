"""Contrastive denoising (DINO, section 3.3): noised boxes that are to be restored, or recognised as none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from .boxes import inverse_sigmoid, to_corners
from .sizes import DinoSizes
from .targets import Target


@dataclass(frozen=True)
class NoisedQueries:
    """Queries put before the others; P = 2 groups slots.

    Attributes:
        contents: (B, P, C), embedded labels; zero where an image has fewer boxes than slots.
        places: (B, P, 4) logits of the boxes.
        blocked: (P + Q, P + Q) bool, true where a query (row) must not see another.
        groups: each holds every box twice: a positive copy in its first `slots`, a negative one behind them.
    """

    contents: torch.Tensor
    places: torch.Tensor
    blocked: torch.Tensor
    groups: int


def build_noised_queries(
    targets: Sequence[Target], labels: nn.Embedding, sizes: DinoSizes
) -> NoisedQueries | None:
    """Draw them; None when no image of the batch has a box, or when `sizes.denoising` is 0.

    The image with the most boxes decides the groups: `denoising` // its boxes, at least 1.

    Args:
        targets: one for each image.
        labels: embeds a class, (num_classes + 1, C); the last row belongs to none (published, not used).
        sizes: the numbers of the network.
    """
    slots = max(len(target["labels"]) for target in targets)
    if not slots or not sizes.denoising:
        return None
    groups = max(1, sizes.denoising // slots)
    known = torch.cat([target["labels"] for target in targets]).repeat(2 * groups)
    boxes = torch.cat([target["boxes"] for target in targets]).repeat(2 * groups, 1)
    image, slot = _places(targets, slots, groups)
    negative = (slot // slots) % 2 == 1
    contents = labels.weight.new_zeros(len(targets), 2 * groups * slots, labels.embedding_dim)
    places = boxes.new_zeros(*contents.shape[:2], 4)
    embedded = labels(_noise_labels(known, sizes)).to(contents.dtype)
    contents = contents.index_put((image, slot), embedded)
    places[image, slot] = inverse_sigmoid(_noise_boxes(boxes, negative, sizes.box_noise))
    blocked = block_groups(groups, slots, sizes.queries).to(boxes.device)
    return NoisedQueries(contents, places, blocked, groups)


def block_groups(groups: int, slots: int, queries: int) -> torch.Tensor:
    """(P + Q, P + Q) bool: noised boxes are seen by their own group only, never by the Q other queries."""
    noised = torch.arange(groups).repeat_interleave(2 * slots)
    group = torch.cat((noised, noised.new_full((queries,), -1)))
    return (group[:, None] != group) & (group >= 0)


def _places(targets: Sequence[Target], slots: int, groups: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Image and place among P of each copy of each box, copy after copy."""
    device = targets[0]["boxes"].device
    counts = [len(target["labels"]) for target in targets]
    image = torch.repeat_interleave(torch.tensor(counts, device=device))
    slot = torch.cat([torch.arange(count, device=device) for count in counts])
    copies = torch.arange(2 * groups, device=device)
    return image.repeat(2 * groups), (slot + slots * copies[:, None]).flatten()


def _noise_labels(labels: torch.Tensor, sizes: DinoSizes) -> torch.Tensor:
    chosen = torch.rand(labels.shape, device=labels.device) < sizes.label_noise / 2
    return labels.masked_scatter(chosen, torch.randint_like(labels[chosen], sizes.num_classes))


def _noise_boxes(boxes: torch.Tensor, negative: torch.Tensor, scale: float) -> torch.Tensor:
    """Each edge moves by up to `scale` half sizes, those of negative copies by `scale` to twice that."""
    sign = torch.randint_like(boxes, 2) * 2 - 1
    part = (torch.rand_like(boxes) + negative[:, None]) * sign
    half = boxes[:, 2:].repeat(1, 2) / 2
    low, high = (to_corners(boxes) + part * half * scale).clamp(0, 1).split(2, dim=1)
    return torch.cat(((low + high) / 2, high - low), dim=1)
