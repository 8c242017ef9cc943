"""Features of ROIs and of a history -> logits: pooling, cross-attention, concatenation, an MLP."""

from __future__ import annotations

from typing import NamedTuple

import torch
from einops import rearrange
from torch import nn

from common.errors import ConfigError
from common.layers.mil_attention import MilAttention, find_shares, max_pool

from .options import MmbcdOptions

CLASSES = 2  # benign, malignant


class MmbcdOutput(NamedTuple):
    """What is known of B pictures.

    Attributes:
        logits: (B, 2), benign and malignant, of picture and history.
        image_logits: (B, 2) of the picture alone.
        attention: (B, K), how much each ROI took part; sums to 1 (0 for a picture without ROIs). Without
            attention in the network: the share of features in which the ROI is the largest.
    """

    logits: torch.Tensor
    image_logits: torch.Tensor
    attention: torch.Tensor


class Fusion(nn.Module):
    """y = MLP(E_A, E_T, E_V) (paper: section 3.3), without the parts that the options leave out.

    Args:
        options: which parts, and their sizes.
        image_size, text_size: features of an ROI and of a history.
    """

    def __init__(self, options: MmbcdOptions, image_size: int, text_size: int) -> None:
        super().__init__()
        size = options.projection
        self.batch_norm = bool(size) and options.projection_norm == "batch"
        self.image = _build_projection(options, image_size)
        self.text = _build_projection(options, text_size) if options.use_text else None
        self.attention: MilAttention | None = None
        parts = [size or image_size]
        if options.use_text:
            parts.append(size or text_size)
        if options.uses_attention:
            self.query = nn.Linear(parts[1], parts[0]) if parts[0] != parts[1] else nn.Identity()
            settings = options.attention_projections, options.attention_heads, options.attention_dropout
            self.attention = MilAttention(parts[0], *settings)
            parts.append(parts[0])
        self.head = _build_head(sum(parts), options)
        self.pooled_size = parts[0]

    def forward(
        self, regions: torch.Tensor, present: torch.Tensor, history: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Logits of B pictures.

        Args:
            regions: features of ROIs (B, K, D).
            present: which are there, (B, K) bool.
            history: its embedding (B, Dt); None only in a network without text.

        Returns:
            logits (B, 2), E_V (B, D') and attention (B, K).

        Raises:
            ConfigError: batch normalisation of one row in training.
        """
        embedded = self._embed(regions, present)
        pooled = max_pool(embedded, present)
        if self.text is None or history is None:
            return self.head(pooled), pooled, find_shares(embedded, present)
        text = self.text(history)
        if self.attention is None:
            return self.head(torch.cat((text, pooled), dim=1)), pooled, find_shares(embedded, present)
        attended, weights = self.attention(self.query(text), embedded, present)
        return self.head(torch.cat((attended, text, pooled), dim=1)), pooled, weights

    def _embed(self, regions: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        """(B, K, D) -> (B, K, D'); empty places take no part in the statistics of a batch."""
        rows, there = rearrange(regions, "B K D -> (B K) D"), present.flatten()
        if not (self.training and self.batch_norm):
            return rearrange(self.image(rows), "(B K) D -> B K D", K=regions.shape[1])
        if min(len(regions), int(there.sum())) < 2:
            raise ConfigError(
                "batch_size: expected 2 or more pictures with ROIs for projection_norm 'batch', got 1: "
                "take a larger batch, or projection_norm 'layer'"
            )
        found = self.image(rows[there])
        embedded = found.new_zeros(len(rows), found.shape[1])
        embedded[there] = found
        return rearrange(embedded, "(B K) D -> B K D", K=regions.shape[1])


def build_image_head(options: MmbcdOptions, fusion: Fusion) -> nn.Module:
    """E_V (B, D') -> logits (B, 2), of the same form as the head of the whole."""
    return _build_head(fusion.pooled_size, options)


def _build_projection(options: MmbcdOptions, size: int) -> nn.Module:
    if not options.projection:
        return nn.Identity()
    norm = nn.BatchNorm1d(size) if options.projection_norm == "batch" else nn.LayerNorm(size)
    return nn.Sequential(norm, nn.Linear(size, options.projection), nn.GELU())


def _build_head(size: int, options: MmbcdOptions) -> nn.Module:
    if not options.hidden:
        return nn.Linear(size, CLASSES)
    first, last = nn.Linear(size, options.hidden), nn.Linear(options.hidden, CLASSES)
    return nn.Sequential(first, nn.GELU(), nn.Dropout(options.dropout), last)
