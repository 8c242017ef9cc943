"""Multiple-instance pooling: the features of a picture's regions become one, some of the places empty."""

from __future__ import annotations

import math

import torch
from einops import rearrange
from torch import nn

from ..errors import ConfigError

_LOWEST = -1e4  # far below any score, and finite in bf16 and fp16


def max_pool(regions: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
    """The largest value of each feature over the regions that are there (paper: equation 1).

    Args:
        regions: (B, K, D).
        present: (B, K) bool; a picture may have no region at all.

    Returns:
        (B, D); zero where a picture has no region (choice: no evidence for anything).
    """
    found = regions.masked_fill(~present[..., None], torch.finfo(regions.dtype).min).amax(dim=1)
    return found.masked_fill(~present.any(dim=1, keepdim=True), 0.0)


def find_shares(regions: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
    """The share of features in which a region is the largest: its part in `max_pool`.

    Args:
        regions: (B, K, D).
        present: (B, K) bool.

    Returns:
        (B, K), 1 in all; several largest ones divide a feature; zero where a picture has no region.
    """
    largest = (regions == max_pool(regions, present)[:, None]) & present[..., None]
    wins = largest.to(regions.dtype)
    return (wins / wins.sum(dim=1, keepdim=True).clamp(min=1)).mean(dim=2)


class MilAttention(nn.Module):
    """Regions weighted by what one query asks of them: softmax(q k^T / sqrt(d_k)) v (paper: equation 3).

    As in the paper there are no weights to train: query, keys and values are the embeddings themselves.
    With `projections` they pass linear layers first and the answer one more, in several heads if wanted
    (the released code: one head, dropout 0.3); this is what `nn.MultiheadAttention` computes.

    Args:
        size: D of query, regions and answer.
        projections: train linear layers.
        heads: number of heads; the paper's form has one.
        dropout: of the weights, in training.

    Raises:
        ConfigError: heads that do not divide the size, or several without projections; dropout not in [0, 1).
    """

    def __init__(self, size: int, projections: bool = False, heads: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        if heads < 1 or size % heads or (heads > 1 and not projections):
            raise ConfigError(
                f"attention_heads: expected a divisor of {size}, and 1 without projections, got {heads}: "
                "take 1"
            )
        if not 0 <= dropout < 1:
            raise ConfigError(f"attention_dropout: expected a number in [0, 1), got {dropout}: take 0")
        self.heads = heads
        self.query, self.key, self.value, self.out = (
            nn.Linear(size, size) if projections else nn.Identity() for _ in range(4)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, query: torch.Tensor, regions: torch.Tensor, present: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """One answer for each picture, and where it came from.

        Args:
            query: (B, D), the embedded history.
            regions: (B, K, D).
            present: (B, K) bool.

        Returns:
            (B, D), zero where a picture has no region; and the weights before dropout (B, K), the mean over
            the heads, which sum to 1 over the regions that are there (0 where there are none).
        """
        split = "B K (n d) -> B n K d"
        asked = rearrange(self.query(query)[:, None], split, n=self.heads)
        keys = rearrange(self.key(regions), split, n=self.heads)
        values = rearrange(self.value(regions), split, n=self.heads)
        scores = asked @ keys.transpose(-1, -2) / math.sqrt(keys.shape[-1])
        there = present[:, None, None]
        weights = scores.masked_fill(~there, _LOWEST).softmax(dim=-1).masked_fill(~there, 0.0)
        answer = self.out(rearrange(self.dropout(weights) @ values, "B n 1 d -> B (n d)"))
        return answer.masked_fill(~present.any(dim=1, keepdim=True), 0.0), weights.mean(dim=1)[:, 0]
