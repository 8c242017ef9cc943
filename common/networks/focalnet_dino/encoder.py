"""The deformable encoder: tokens of all scales look at each other."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from .attention import DeformableAttention
from .levels import Levels
from .sizes import DinoSizes


class EncoderLayer(nn.Module):
    """Deformable attention and a feed-forward layer, each added and normalised.

    Args:
        sizes: the numbers of the network.
    """

    def __init__(self, sizes: DinoSizes) -> None:
        super().__init__()
        self.self_attn = DeformableAttention(sizes)
        self.norm1 = nn.LayerNorm(sizes.width)
        self.linear1 = nn.Linear(sizes.width, sizes.ffn)
        self.linear2 = nn.Linear(sizes.ffn, sizes.width)
        self.norm2 = nn.LayerNorm(sizes.width)

    def forward(
        self, tokens: torch.Tensor, positions: torch.Tensor, places: torch.Tensor, levels: Levels
    ) -> torch.Tensor:
        """(B, N, C) -> (B, N, C)."""
        seen = self.self_attn.attend(tokens + positions, places, tokens, levels)
        tokens = self.norm1(tokens + seen)
        return self.norm2(tokens + self.linear2(F.relu(self.linear1(tokens))))


class Encoder(nn.Module):
    """A row of `EncoderLayer`.

    Args:
        sizes: the numbers of the network.
    """

    def __init__(self, sizes: DinoSizes) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EncoderLayer(sizes) for _ in range(sizes.encoder_layers))

    def forward(self, tokens: torch.Tensor, positions: torch.Tensor, levels: Levels) -> torch.Tensor:
        """Tokens and their positions (B, N, C) -> memory (B, N, C)."""
        places = levels.in_padded(levels.centres())
        for layer in self.layers:
            tokens = layer(tokens, positions, places, levels)
        return tokens
