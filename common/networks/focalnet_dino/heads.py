"""Heads of a query: its class logits and the shift of its box."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

from .sizes import DinoSizes

_PRIOR = 0.01  # score of every class before training (published): the focal loss starts small


class Mlp(nn.Module):
    """Linear layers with ReLU between them.

    Args:
        widths: of the input, of each hidden layer and of the output.
    """

    def __init__(self, *widths: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(widths))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., first width) -> (..., last width)."""
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x)


class BoxHead(Mlp):
    """(..., C) -> (..., 4): what is added to the logits of a box; zero before training.

    Args:
        width: C.
    """

    def __init__(self, width: int) -> None:
        super().__init__(width, width, width, 4)
        last = self.layers[-1]
        nn.init.zeros_(last.get_parameter("weight"))
        nn.init.zeros_(last.get_parameter("bias"))


def build_class_head(sizes: DinoSizes) -> nn.Linear:
    """(..., C) -> (..., num_classes) logits."""
    head = nn.Linear(sizes.width, sizes.num_classes)
    nn.init.constant_(head.bias, -math.log((1 - _PRIOR) / _PRIOR))
    return head
