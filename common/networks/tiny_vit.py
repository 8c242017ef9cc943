"""LiteMedSAM's encoder: TinyViT that keeps a quarter of the picture's resolution, from timm's blocks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from segment_anything.modeling.common import LayerNorm2d
from timm.models.tiny_vit import Attention, ConvNorm, MBConv, PatchMerging, TinyVitBlock
from torch import nn

from .sam_vit import Pixels


@dataclass(frozen=True)
class TinyVitSizes:
    """What makes one TinyViT: per stage its channels, blocks, heads and window edge (in tokens)."""

    pixels: Pixels
    widths: tuple[int, ...] = (64, 128, 160, 320)
    depths: tuple[int, ...] = (2, 2, 6, 2)
    heads: tuple[int, ...] = (2, 4, 5, 10)
    windows: tuple[int, ...] = (7, 7, 14, 7)
    strides: tuple[int, ...] = (2, 2, 1)  # between the stages; TinyViT itself has 2 in the last place, too
    stride_px: int = 4


class TinyVitEncoder(nn.Module):
    """Pixel normalisation, a stem of 1x1 convolutions, a stage of MBConv, three of windows, SAM's neck.

    Batch normalisation always uses the statistics of the checkpoint (choice: a frozen backbone, and batches
    of a few pictures). State-dict names are timm's; `rename_keys` maps the checkpoint's.

    Args:
        sizes: the numbers of the network.
        image_size: edge of the picture in pixels, a multiple of 4; 256 is what LiteMedSAM was trained at.
        channels: of the embedding.
    """

    pixel_mean: torch.Tensor
    pixel_std: torch.Tensor

    def __init__(self, sizes: TinyVitSizes, image_size: int, channels: int = 256) -> None:
        super().__init__()
        self.img_size = image_size
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in sizes.pixels)
        self.register_buffer("pixel_mean", mean, persistent=False)
        self.register_buffer("pixel_std", std, persistent=False)
        first = sizes.widths[0]
        self.patch_embed = nn.Sequential(ConvNorm(3, first // 2), nn.GELU(), ConvNorm(first // 2, first))
        self.stages = nn.ModuleList([_convolutions(first, sizes.depths[0])])
        for stage in range(1, len(sizes.widths)):
            self.stages.append(_Stage(sizes, stage))
        self.neck = _neck(sizes.widths[-1], channels)
        self.train()

    def train(self, mode: bool = True) -> TinyVitEncoder:
        """As usual, but batch normalisation stays in eval mode."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """RGB 0..255 (B, 3, S, S) -> embedding (B, 256, S/4, S/4)."""
        x = self.patch_embed((image - self.pixel_mean) / self.pixel_std)
        for stage in self.stages:
            x = stage(x)
        return self.neck(x)


class _Stage(nn.Module):
    """Merging of patches (or the same resolution in more channels), then attention in windows."""

    def __init__(self, sizes: TinyVitSizes, stage: int) -> None:
        super().__init__()
        width, heads, window = sizes.widths[stage], sizes.heads[stage], sizes.windows[stage]
        self.downsample = PatchMerging(sizes.widths[stage - 1], width, nn.GELU)
        self.downsample.conv2.conv.stride = (sizes.strides[stage - 1],) * 2
        self.blocks = nn.Sequential(*(_block(width, heads, window) for _ in range(sizes.depths[stage])))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, h, w) -> (B, C', h/stride, w/stride)."""
        x = self.downsample(x).permute(0, 2, 3, 1)
        return self.blocks(x).permute(0, 3, 1, 2)


class _Attention(Attention):
    """timm's attention without its cache of biases.

    The cache outlives `load_state_dict`, and what is cached under `inference_mode` cannot be trained with.
    """

    attention_bias_idxs: torch.Tensor

    def get_attention_biases(self, device: torch.device) -> torch.Tensor:
        """(heads, tokens, tokens)."""
        return self.attention_biases[:, self.attention_bias_idxs]


def _block(width: int, heads: int, window: int) -> TinyVitBlock:
    block = TinyVitBlock(width, heads, window)
    block.attn = _Attention(width, width // heads, heads, attn_ratio=1, resolution=(window, window))
    return block


def _convolutions(width: int, depth: int) -> nn.Sequential:
    blocks = (MBConv(width, width, 4.0, nn.GELU, 0.0) for _ in range(depth))
    return nn.Sequential(*blocks)


def _neck(width: int, channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(width, channels, kernel_size=1, bias=False),
        LayerNorm2d(channels),
        nn.Conv2d(channels, channels, kernel_size=3, padding=1, bias=False),
        LayerNorm2d(channels),
    )


# The checkpoint's names of the encoder -> ours; its stages end with the merging, ours begin with it.
_RENAMES = (
    (r"\.patch_embed\.seq\.", ".patch_embed."),
    (r"\.layers\.0\.blocks\.", ".stages.0."),
    (r"\.layers\.(\d)\.blocks\.", r".stages.\1.blocks."),
    (r"\.layers\.(\d)\.downsample\.", lambda found: f".stages.{int(found[1]) + 1}.downsample."),
    (r"\.c\.weight$", ".conv.weight"),
)


def rename_keys(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The state dict of LiteMedSAM under the names of `TinyVitEncoder`; other names stay."""
    return {_rename(key): value for key, value in state.items()}


def _rename(key: str) -> str:
    if not key.startswith("image_encoder."):
        return key
    for pattern, ours in _RENAMES:
        key = re.sub(pattern, ours, key)
    return key
