"""Features for matching a picture with a template: SAM's, put into context, with the pixels beside them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from ..errors import ConfigError

PATCH = 4
"""Edge in fine pixels that one token stands for in the fine picture, which is 4g x 4g."""

_GROUPS = 8


class ConvUnit(nn.Sequential):
    """3x3 convolution, group norm, ReLU: (B, channels, h, w) -> (B, width, h, w)."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__(
            nn.Conv2d(channels, width, 3, padding=1), nn.GroupNorm(_GROUPS, width), nn.ReLU(inplace=True)
        )


class ResidualUnit(nn.Module):
    """Two 3x3 convolutions beside a 1x1: (B, channels, h, w) -> (B, width, h, w)."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.first = ConvUnit(channels, width)
        self.second = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.GroupNorm(_GROUPS, width))
        self.beside = nn.Conv2d(channels, width, 1)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, channels, h, w) -> (B, width, h, w)."""
        return F.relu(self.second(self.first(maps)) + self.beside(maps))


class GridUNet(nn.Module):
    """A U-Net over a token grid: one convolution on the finest level, where it costs most, two below.

    Args:
        channels: that come in.
        widths: of the levels, each half as fine as the one before; multiples of 8.
    """

    def __init__(self, channels: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.into = ConvUnit(channels, widths[0])
        pairs = list(itertools.pairwise(widths))
        self.down = nn.ModuleList([ResidualUnit(fine, coarse) for fine, coarse in pairs])
        self.up = nn.ModuleList(
            [
                (ResidualUnit if level else ConvUnit)(fine + coarse, fine)
                for level, (fine, coarse) in enumerate(pairs)
            ]
        )

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, channels, g, g) -> (B, widths[0], g, g), g a multiple of 2 to the power of the levels below."""
        levels = [self.into(maps)]
        for block in self.down:
            levels.append(block(F.avg_pool2d(levels[-1], 2)))
        found = levels.pop()
        for level in range(len(self.up) - 1, -1, -1):
            fine = F.interpolate(found, scale_factor=2.0, mode="bilinear", align_corners=False)
            found = self.up[level](torch.cat((fine, levels[level]), dim=1))
        return found


class MatchFeatures(nn.Module):
    """IE -> IE, matching features and pixel detail side by side (choice; not in the paper).

    A frozen encoder cannot know which places of two pictures should be alike. A small U-Net over its grid,
    the same for picture and template, learns it; it runs once for each picture, however many structures are
    asked. It also sees the pixels (each token its 4x4 of the fine picture) and the place in the picture.

    Args:
        grid: g.
        channels: of IE.
        widths: of the U-Net; the first is the number of matching features.
        detail: channels of pixel detail, for sharp borders in the decoder.

    Raises:
        ConfigError: widths that do not fit, or a grid that cannot be halved often enough.
    """

    place: torch.Tensor

    def __init__(
        self, grid: int, channels: int = 256, widths: Sequence[int] = (64, 96, 128, 128), detail: int = 32
    ) -> None:
        super().__init__()
        check_widths("match_widths", widths, grid)
        self.grid, self.size, self.detail_size = grid, widths[0], detail
        self.into = nn.Sequential(nn.Conv2d(channels, widths[0], 1), nn.GroupNorm(_GROUPS, widths[0]))
        self.pixels = nn.Conv2d(3 * PATCH**2, widths[0], 3, padding=1)
        self.detail = nn.Conv2d(3 * PATCH**2, detail, 3, padding=1)
        self.context = GridUNet(widths[0] + 6, widths)
        self.register_buffer("place", _find_place(grid), persistent=False)

    def forward(self, features: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        """All features of a picture.

        Args:
            features: IE (B, C, g, g).
            image: (B, 3, S, S), RGB 0..255, S a multiple of 4g.

        Returns:
            (B, C + widths[0] + detail, g, g).
        """
        fine = F.avg_pool2d(image, image.shape[-1] // (PATCH * self.grid)) / 127.5 - 1
        fine = F.pixel_unshuffle(fine, PATCH)
        mixed = self.into(features) + self.pixels(fine)
        place = self.place.to(mixed.dtype).expand(mixed.shape[0], -1, -1, -1)
        matching = self.context(torch.cat((mixed, place), dim=1))
        detail = F.relu(self.detail(fine))
        return torch.cat((features, matching.to(features.dtype), detail.to(features.dtype)), dim=1)


def check_widths(name: str, widths: Sequence[int], grid: int) -> None:
    """Raises ConfigError: not multiples of 8, or more levels than the grid can be halved."""
    if len(widths) < 2 or any(width < 8 or width % 8 for width in widths) or grid % 2 ** (len(widths) - 1):
        raise ConfigError(
            f"{name}: expected two or more multiples of 8, and a grid of {grid} that can be halved for each "
            f"but the first, got {tuple(widths)}: correct the setting"
        )


def _find_place(grid: int) -> torch.Tensor:
    """(1, 6, g, g): x and y from -1 to 1 and their sines and cosines over the picture."""
    line = (torch.arange(grid) + 0.5) * 2 / grid - 1
    y, x = torch.meshgrid(line, line, indexing="ij")
    waves = [wave(math.pi * axis) for axis in (x, y) for wave in (torch.sin, torch.cos)]
    return torch.stack([x, y, *waves])[None]
