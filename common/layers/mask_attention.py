"""Attention whose weights are multiplied by the task's mask features."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import nn
from torch.nn import functional as F


class MaskAttention(nn.Module):
    """X_maskAtt = sigmoid(DE1) * Att (paper: equation 3, after H-SAM's learnable mask attention).

    The softmax over the keys is multiplied by sigmoid(Linear(DE1)), one weight for each head and key, and
    not normalised again. Choice: the key axis, because DE1 lives in the template's coordinates, and so do
    the keys. (A weight on a key is the same as the weight on its value, which is how it is computed.)

    Args:
        channels: of the tokens.
        heads: of the attention.
    """

    def __init__(self, channels: int = 256, heads: int = 8) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(channels, channels)
        self.key = nn.Linear(channels, channels)
        self.value = nn.Linear(channels, channels)
        self.out = nn.Linear(channels, channels)
        self.task = nn.Linear(channels, heads)

    def forward(self, query: torch.Tensor, key: torch.Tensor, task: torch.Tensor) -> torch.Tensor:
        """What the queries read from the keys.

        Args:
            query: (B, N, C).
            key: (B, M, C), the values too.
            task: DE1 (B, M, C).

        Returns:
            (B, N, C).
        """
        weight = rearrange(torch.sigmoid(self.task(task)), "B M h -> B h M 1")
        value = self._split(self.value(key)) * weight
        found = F.scaled_dot_product_attention(
            self._split(self.query(query)), self._split(self.key(key)), value
        )
        return self.out(rearrange(found, "B h N d -> B N (h d)"))

    def _split(self, tokens: torch.Tensor) -> torch.Tensor:
        return rearrange(tokens, "B N (h d) -> B h N d", h=self.heads)
