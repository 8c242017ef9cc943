"""Deformable attention over several scales: transformers' own, with the published start values."""

from __future__ import annotations

import math

import torch
from torch import nn
from transformers import DeformableDetrConfig
from transformers.models.deformable_detr.modeling_deformable_detr import (
    DeformableDetrMultiscaleDeformableAttention,
)

from .levels import Levels
from .sizes import DinoSizes


class DeformableAttention(DeformableDetrMultiscaleDeformableAttention):
    """Each query samples `points` places at each scale (Zhu et al. 2021, equation 3).

    Args:
        sizes: the numbers of the network.
    """

    def __init__(self, sizes: DinoSizes) -> None:
        config = DeformableDetrConfig(d_model=sizes.width, num_feature_levels=sizes.levels)
        super().__init__(config, sizes.heads, sizes.points)
        self.reset()

    @torch.no_grad()
    def reset(self) -> None:
        """Offsets point outwards, one direction for each head, further for each point; equal weights."""
        angles = torch.arange(self.n_heads) * (2 * math.pi / self.n_heads)
        rays = torch.stack((angles.cos(), angles.sin()), dim=-1)
        rays = rays / rays.abs().amax(dim=-1, keepdim=True)
        steps = torch.arange(1, self.n_points + 1)
        offsets = (rays[:, None, None] * steps[:, None]).expand(-1, self.n_levels, -1, -1)
        for layer in (self.sampling_offsets, self.attention_weights):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.sampling_offsets.bias.copy_(offsets.flatten())
        for layer in (self.value_proj, self.output_proj):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def attend(
        self, queries: torch.Tensor, places: torch.Tensor, memory: torch.Tensor, levels: Levels
    ) -> torch.Tensor:
        """Look at `memory` around `places`.

        Args:
            queries: (B, Q, C).
            places: (B, Q, L, 2) or (B, Q, L, 4), in parts of the padded scales; offsets from
                boxes are in their sizes.
            memory: (B, N, C).
            levels: of the memory.

        Returns:
            (B, Q, C).
        """
        return self(
            hidden_states=queries,
            attention_mask=~levels.padding,
            encoder_hidden_states=memory,
            reference_points=places,
            spatial_shapes=torch.tensor(levels.shapes, device=memory.device),
            spatial_shapes_list=list(levels.shapes),
        )[0]
