"""Knowledge Merge: a small V-Net that mixes the picture's features with those of the knowledge prompt."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from ..errors import ConfigError

WIDTHS: dict[str, tuple[int, int, int]] = {"wide": (256, 256, 256), "narrow": (128, 64, 32)}
_GROUPS = 8


class KnowledgeMerge(nn.Module):
    """mergedE = IE + V(IE, DE0 + DE1 + SE) (paper: section 2.2; depth, widths and the residual are choices).

    Paper: V-Net-like; every block takes two maps, concatenates them, convolves, applies a nonlinearity and
    gives two maps back; the prompt's features are added up.
    Choices: grids g, g/2, g/4, g/2, g with skips by addition (the paper's Figure 4 gives no numbers); group
    norm, because a batch must not change what one picture gets; a last 1x1 convolution that starts at zero
    and is added to IE, so that training starts from what SAM sees.

    Args:
        widths: channels of each of the two maps on the three grids: "wide" (16.1 M parameters at 256
            channels), "narrow" (2.5 M), or three multiples of 4.
        channels: of the features.
        extra: channels of further maps in the picture's coordinates, read by the first block only.
        pool: work on means over areas of `pool` x `pool` tokens, and bring only what is added to IE back to
            the full grid (bilinear). Choice: 1; 2 is 4 times cheaper at the 64x64 tokens of a light backbone.

    Raises:
        ConfigError: no such widths or pool.
    """

    def __init__(
        self, widths: str | Sequence[int] = "wide", channels: int = 256, extra: int = 0, pool: int = 1
    ) -> None:
        super().__init__()
        if pool < 1:
            raise ConfigError(
                f"km_grid: expected a grid that divides the features', got pool {pool}: correct it"
            )
        self.pool = pool
        first, second, third = find_widths(widths)
        self.into = PairBlock(2 * channels + extra, first)
        self.down = nn.ModuleList([_half(first, second), _half(second, third)])
        self.deep = nn.ModuleList([PairBlock(2 * second, second), PairBlock(2 * third, third)])
        self.up = nn.ModuleList([_double(third, second), _double(second, first)])
        self.back = nn.ModuleList([PairBlock(2 * second, second), PairBlock(2 * first, first)])
        self.out = nn.Conv2d(2 * first, channels, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    def forward(
        self, features: torch.Tensor, knowledge: torch.Tensor, extra: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The picture's features with the knowledge merged in.

        Args:
            features: IE (B, C, g, g), g / pool a multiple of 4 and at least 8.
            knowledge: DE0 + DE1 + SE (B, C, g, g).
            extra: (B, extra, g, g).

        Returns:
            mergedE (B, C, g, g).
        """
        pair = [features, knowledge] if extra is None else [features, knowledge, extra]
        high = self.into(self._pool(torch.cat(pair, dim=1)))
        middle = self.deep[0](self.down[0](high))
        low = self.deep[1](self.down[1](middle))
        middle = self.back[0](self.up[0](low) + middle)
        high = self.back[1](self.up[1](middle) + high)
        return features + self._unpool(self.out(high))

    def _pool(self, maps: torch.Tensor) -> torch.Tensor:
        return F.avg_pool2d(maps, self.pool) if self.pool > 1 else maps

    def _unpool(self, maps: torch.Tensor) -> torch.Tensor:
        if self.pool == 1:
            return maps
        return F.interpolate(maps, scale_factor=float(self.pool), mode="bilinear", align_corners=False)


class PairBlock(nn.Module):
    """cat(a, p) -> 3x3 convolution -> norm -> PReLU -> (a, p), which stay side by side in one tensor.

    Args:
        channels: that come in, of all maps together.
        width: channels of each of the two maps that go out.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 2 * width, 3, padding=1)
        self.norm = nn.GroupNorm(_GROUPS, 2 * width)
        self.act = nn.PReLU(2 * width)

    def forward(self, pair: torch.Tensor) -> torch.Tensor:
        """(B, channels, h, w) -> (B, 2 width, h, w)."""
        return self.act(self.norm(self.conv(pair)))


def find_widths(widths: str | Sequence[int]) -> tuple[int, int, int]:
    """Three widths by name or as numbers. Raises ConfigError."""
    found = WIDTHS.get(widths) if isinstance(widths, str) else tuple(widths)
    if found is None or len(found) != 3 or any(width < 4 or width % 4 for width in found):
        raise ConfigError(
            f"km_widths: expected {', '.join(WIDTHS)} or three multiples of 4, got {widths}: correct it"
        )
    return found[0], found[1], found[2]


def _half(width: int, deeper: int) -> nn.Conv2d:
    return nn.Conv2d(2 * width, 2 * deeper, 2, 2)


def _double(width: int, higher: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(2 * width, 2 * higher, 2, 2)
