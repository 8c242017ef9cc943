"""Prompt Merge: picture, template and task become the prompt tokens of SAM's decoder."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import nn
from torch.nn import functional as F

from ..errors import ConfigError
from .mask_attention import MaskAttention
from .prompt_parser import PromptParser

FORMS = ("space", "channels")
OUTPUTS = ("conv", "separable")
_PATCH = 4


class PromptMerge(nn.Module):
    """Blocks of two branches, then one token for each 4x4 patch of both (paper: section 2.3; details below).

    Paper: four blocks, each given four features (picture, template, DE0, DE1), two symmetrical branches, a
    Prompt Parser in the prompt branch, mask attention, one MLP shared by both branches.
    Choices: pre-norm residual blocks; the features are IE (not mergedE), so that either module works without
    the other; positions are SAM's own encoding, as in its decoder; the way out is a convolution over both
    branches side by side, 64 tokens for a 32x32 grid.

    Args:
        grid: edge of the features' grid, a multiple of 4.
        channels: C.
        depth: number of blocks; paper: 4.
        heads: of the mask attention; choice: 8, as SAM's decoder.
        mlp_ratio: hidden width of the MLP over C; choice: 4, the custom of transformers.
        token_grid: edge of the grid of tokens that the blocks work on, by means over areas; 0: `grid`.
            Choice: at the 64x64 tokens of a light backbone full attention costs 16 times that of 32x32.
        parser: "space" or "channels", see `PromptParser`.
        out: "conv", a full 4x4 convolution (2.1 M parameters), or "separable", 1x1 and then 4x4 for each
            channel (0.14 M), for small deltas.

    Raises:
        ConfigError: a number or name out of range.
    """

    def __init__(
        self,
        grid: int,
        channels: int = 256,
        depth: int = 4,
        heads: int = 8,
        mlp_ratio: float = 4.0,
        token_grid: int = 0,
        parser: str = "space",
        out: str = "conv",
    ) -> None:
        super().__init__()
        self.edge = token_grid or grid
        _check_grid(grid, self.edge)
        _check(channels, heads, depth, parser, out)
        hidden = max(1, round(mlp_ratio * channels))
        self.blocks = nn.ModuleList(
            [PromptMergeBlock(channels, heads, hidden, self.edge, parser) for _ in range(depth)]
        )
        self.out = _build_out(out, channels)

    def forward(
        self,
        features: torch.Tensor,
        template: torch.Tensor,
        image_prompt: torch.Tensor,
        task: torch.Tensor,
        position: torch.Tensor,
    ) -> torch.Tensor:
        """The prompt tokens.

        Args:
            features: IE (B, C, g, g).
            template: SE (B, C, g, g).
            image_prompt: DE0 (B, C, g, g).
            task: DE1 (B, C, g, g).
            position: SAM's encoding (1, C, g, g).

        Returns:
            promptE (B, n, C), n the square of a quarter of the grid of tokens.
        """
        x, t, image_prompt, task, position = (
            self._to_tokens(maps) for maps in (features, template, image_prompt, task, position)
        )
        for block in self.blocks:
            x, t = block(x, t, image_prompt, task, position)
        both = rearrange(torch.cat((x, t), dim=2), "B (h w) C -> B C h w", h=self.edge)
        return rearrange(self.out(both), "B C h w -> B (h w) C")

    def _to_tokens(self, maps: torch.Tensor) -> torch.Tensor:
        ratio = maps.shape[-1] // self.edge
        return rearrange(F.avg_pool2d(maps, ratio) if ratio > 1 else maps, "B C h w -> B (h w) C")


class PromptMergeBlock(nn.Module):
    """One step of both branches: x reads the template by mask attention, t reads the picture by the parser.

    Args:
        channels: C.
        heads: of the mask attention.
        hidden: width of the MLP.
        grid: edge of the grid of tokens.
        parser: "space" or "channels".
    """

    def __init__(self, channels: int, heads: int, hidden: int, grid: int, parser: str) -> None:
        super().__init__()
        self.x_norm, self.t_norm = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.attention = MaskAttention(channels, heads)
        self.parser = PromptParser(channels, grid, parser)
        self.x_norm2, self.t_norm2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.mlp = nn.Sequential(nn.Linear(channels, hidden), nn.GELU(), nn.Linear(hidden, channels))

    def forward(
        self,
        x: torch.Tensor,
        t: torch.Tensor,
        image_prompt: torch.Tensor,
        task: torch.Tensor,
        position: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Five of (B, N, C), the position (1, N, C) -> x and t, each (B, N, C)."""
        picture, template = self.x_norm(x), self.t_norm(t)
        x = x + self.attention(picture + position, template + image_prompt + position, task)
        t = t + self.parser(template, picture, image_prompt, task)
        return x + self.mlp(self.x_norm2(x)), t + self.mlp(self.t_norm2(t))


def _check_grid(grid: int, edge: int) -> None:
    if edge < _PATCH or edge % _PATCH or grid % edge:
        raise ConfigError(
            f"pm_grid: expected a multiple of {_PATCH} that divides the {grid}x{grid} features, got {edge}: "
            f"take {grid} or {max(_PATCH, grid // 2)}"
        )


def _check(channels: int, heads: int, depth: int, parser: str, out: str) -> None:
    if heads < 1 or channels % heads:
        raise ConfigError(f"pm_heads: expected a divisor of {channels} channels, got {heads}: take 8")
    if depth < 1:
        raise ConfigError(f"pm_depth: expected 1 block or more (paper: 4), got {depth}: set pm to false")
    for name, value, known in (("pm_parser", parser, FORMS), ("pm_out", out, OUTPUTS)):
        if value not in known:
            raise ConfigError(f"{name}: expected one of {', '.join(known)}, got '{value}': correct it")


def _build_out(out: str, channels: int) -> nn.Module:
    if out == "conv":
        return nn.Conv2d(2 * channels, channels, _PATCH, _PATCH)
    return nn.Sequential(
        nn.Conv2d(2 * channels, channels, 1), nn.Conv2d(channels, channels, _PATCH, _PATCH, groups=channels)
    )
