"""Backbones small enough for tests of seconds."""

from __future__ import annotations

import torch

from common.networks.sam import BACKBONES, Sam, build_sam
from common.networks.sam_vit import VitSizes
from common.networks.tiny_vit import TinyVitSizes

_UNIT = BACKBONES["lite"].pixels

TOY_VIT = VitSizes(BACKBONES["vit_b"].pixels, width=32, depth=3, heads=2, global_blocks=(1,))
TOY_TINY = TinyVitSizes(_UNIT, widths=(8, 16, 32, 32), depths=(1, 1, 2, 1), heads=(1, 2, 2, 2))
TOYS = {"vit": (TOY_VIT, 256), "tiny": (TOY_TINY, 64)}  # 256: windows of 14 on 16 tokens need padding


def build_toy(kind: str, seed: int = 0) -> Sam:
    """A small SAM with random weights, none of them zero: "vit" at 256 pixels, "tiny" at 64."""
    torch.manual_seed(seed)
    network = build_sam(*TOYS[kind])
    with torch.no_grad():
        for value in network.parameters():
            value.add_(0.05 * torch.randn_like(value))
    return network


def random_images(count: int, size_px: int, seed: int = 0) -> torch.Tensor:
    """(count, 3, size_px, size_px), whole numbers 0..255 as float."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, size_px, size_px), generator=generator).float()
