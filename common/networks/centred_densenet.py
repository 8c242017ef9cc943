"""torchvision's DenseNet written so that bf16 keeps its features: the same function, other roundings.

The stem's channels hardly vary around a large mean: bf16 keeps 8 bits of the value, so few of the
variation, and every batch normalisation of the first block subtracts that mean and enlarges what is left.
Here the mean c of each channel is subtracted before the value is stored: relu(y) - c = max(y - c, -c), max
pooling commutes with it, and the running means of all readers shrink by c. In fp32 the result is equal up
to summation order.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn
from torchvision.models import DenseNet


class Floor(nn.Module):
    """max(x, floor) with one floor a channel: a ReLU whose zero has moved."""

    floor: torch.Tensor

    def __init__(self, floor: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("floor", floor.reshape(1, -1, 1, 1).clone())

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return torch.maximum(image, self.floor)


def centre_stems(network: nn.Module) -> nn.Module:
    """A copy in which every torchvision DenseNet stores its stem centred; without any, `network` itself."""
    if not any(isinstance(module, DenseNet) for module in network.modules()):
        return network
    network = copy.deepcopy(network)
    for module in network.modules():
        if isinstance(module, DenseNet):
            _centre(module.features)
    return network


@torch.no_grad()
def _centre(features: Any) -> None:
    readers = [layer.norm1 for layer in features.denseblock1.children()] + [features.transition1.norm]
    mean = readers[0].running_mean.clone()
    features.norm0.bias -= mean
    features.relu0 = Floor(-mean)
    for norm in readers:
        norm.running_mean[: len(mean)] -= mean
