"""SAM's ViT encoder on pictures 0..255, at any size that is a multiple of its patch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch
from segment_anything.modeling import ImageEncoderViT
from torch import nn
from torch.nn import functional as F

Pixels = tuple[tuple[float, float, float], tuple[float, float, float]]  # mean, standard deviation of 0..255

PATCH_PX = 16


@dataclass(frozen=True)
class VitSizes:
    """What makes one ViT: its numbers, and the pixel values that its weights were trained on."""

    pixels: Pixels
    width: int = 768
    depth: int = 12
    heads: int = 12
    global_blocks: tuple[int, ...] = (2, 5, 8, 11)
    stride_px: int = PATCH_PX


class VitEncoder(ImageEncoderViT):
    """segment_anything's encoder with the pixel normalisation in front, as buffers.

    Args:
        sizes: the numbers of the network.
        image_size: edge of the picture in pixels, a multiple of 16; 1024 is what SAM was trained at.
        channels: of the embedding.
    """

    pixel_mean: torch.Tensor
    pixel_std: torch.Tensor

    def __init__(self, sizes: VitSizes, image_size: int, channels: int = 256) -> None:
        super().__init__(
            img_size=image_size,
            patch_size=PATCH_PX,
            embed_dim=sizes.width,
            depth=sizes.depth,
            num_heads=sizes.heads,
            out_chans=channels,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            use_rel_pos=True,
            window_size=14,
            global_attn_indexes=sizes.global_blocks,
        )
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in sizes.pixels)
        self.register_buffer("pixel_mean", mean, persistent=False)
        self.register_buffer("pixel_std", std, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """RGB 0..255 (B, 3, S, S) -> embedding (B, 256, S/16, S/16)."""
        return super().forward((x - self.pixel_mean) / self.pixel_std)


def resize_tables(
    state: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Interpolate the positional tables of a checkpoint to another image size; all else stays.

    Choice, as SAMed does it: `pos_embed` (1, g, g, C) bilinearly, `rel_pos` (2g-1, C) of the global blocks
    linearly along its first axis, corners not aligned. The tables of windows have the right length already.

    Args:
        state: the checkpoint.
        wanted: state dict of the network that will take it.
    """
    return {key: _resize(key, value, wanted.get(key, value)) for key, value in state.items()}


def _resize(key: str, table: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    if table.shape == wanted.shape or table.shape[-1] != wanted.shape[-1]:
        return table
    if key.endswith("pos_embed"):
        grid = F.interpolate(table.permute(0, 3, 1, 2), wanted.shape[1:3], mode="bilinear")
        return grid.permute(0, 2, 3, 1)
    if ".rel_pos_" in key:
        return F.interpolate(table.T[None], wanted.shape[0], mode="linear")[0].T
    return table
