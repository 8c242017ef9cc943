"""The mask of a picture from a template's mask by matching features: carried over, then refined."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from einops import rearrange
from torch import nn
from torch.nn import functional as F

from ..errors import ConfigError
from .match_features import PATCH, GridUNet, check_widths

_FLOOR = 0.004  # of a carried share: logits within +-5.5


class Matched(NamedTuple):
    """logits (B, T, 4g, 4g); carried: logits of the mask as attention alone carries it over, (B, T, g, g)."""

    logits: torch.Tensor
    carried: torch.Tensor


class MatchDecoder(nn.Module):
    """T structures of B pairs of a picture and a template (choice; not in the paper).

    1. The mask is carried over: cosine attention from every token of the picture to the template's tokens
       (at half resolution), the values are the template's masks. All structures share the attention.
    2. The features are scaled and shifted by the template's means inside and outside of the mask.
    3. A small U-Net refines what was carried over, beside those features, and 4x4 logits for each token are
       made from it and the pixel detail.

    Reason: the template's mask has no way into the answer but through the match with the picture, so the
    template cannot be left unread; and the path for each structure is cheap (about 1 GFLOP at a grid of 64,
    SAM's decoder: 4), so that many structures can be asked of each pair in training.

    Args:
        grid: g, even.
        size: number of matching features.
        detail: number of channels of pixel detail.
        heads: of the attention.
        head_size: channels of each; as many structures can be carried at once.
        widths: of the refining U-Net.

    Raises:
        ConfigError: a number out of range.
    """

    def __init__(
        self,
        grid: int,
        size: int = 64,
        detail: int = 32,
        heads: int = 2,
        head_size: int = 32,
        widths: Sequence[int] = (32, 64, 64),
    ) -> None:
        super().__init__()
        check_widths("match_refine_widths", widths, grid)
        if heads < 1 or head_size < 1 or grid % 2:
            raise ConfigError(
                f"match_heads: expected 1 or more heads and channels, and an even grid, got {heads}, "
                f"{head_size} and {grid}: correct the setting"
            )
        self.heads, self.head_size = heads, head_size
        self.query = nn.Conv2d(size, heads * head_size, 1)
        self.key = nn.Conv2d(size, heads * head_size, 1)
        self.log_scale = nn.Parameter(torch.full((heads, 1, 1), math.log(12.0)))
        self.means = nn.Sequential(nn.Linear(2 * size, size), nn.ReLU(), nn.Linear(size, 2 * widths[0]))
        with torch.no_grad():  # starts without an effect
            for value in self.means[2].parameters():
                value.zero_()
        self.reduce = nn.Conv2d(size, widths[0], 1)
        self.carried = nn.Conv2d(2 * heads + 2, widths[0], 1)
        self.refine = GridUNet(2 * widths[0], widths)
        self.out = nn.Sequential(
            nn.Conv2d(widths[0] + detail, 48, 3, padding=1), nn.ReLU(), nn.Conv2d(48, PATCH**2, 1)
        )

    def forward(
        self, matching: torch.Tensor, detail: torch.Tensor, template: torch.Tensor, masks: torch.Tensor
    ) -> Matched:
        """All structures of all pairs.

        Args:
            matching: features of the picture (B, size, g, g).
            detail: of the picture (B, detail, g, g).
            template: matching features of the template (B, size, g, g).
            masks: of the template, share of each token, 0..1 (B, T, g, g).
        """
        tasks = masks.shape[1]
        carried = self._carry(matching, template, masks)
        inside, outside = _find_means(template, masks), _find_means(template, 1 - masks)
        scale, shift = self._modulate(inside, outside)
        base = self.reduce(matching).repeat_interleave(tasks, 0) * (1 + scale) + shift
        shown = self._show(carried, _compare(matching, inside), _compare(matching, outside))
        found = self.refine(torch.cat((base, self.carried(shown)), dim=1))
        fine = torch.cat((found, detail.to(found.dtype).repeat_interleave(tasks, 0)), dim=1)
        logits = F.pixel_shuffle(self.out(fine), PATCH)
        share = carried.float().mean(dim=2).clamp(_FLOOR, 1 - _FLOOR)
        return Matched(rearrange(logits, "(B T) 1 H W -> B T H W", T=tasks), _find_logit(share))

    def _carry(self, matching: torch.Tensor, template: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        """Shares of the masks in the picture's coordinates (B, T, heads, g, g)."""
        tasks, grid = masks.shape[1], masks.shape[-1]
        query = self._split(self.query(matching)) * self.log_scale.exp()
        key = self._split(self.key(F.avg_pool2d(template, 2)))
        shares = rearrange(F.avg_pool2d(masks, 2), "B T h w -> B 1 (h w) T")
        groups = [
            self._attend(query, key, shares[..., start : start + self.head_size])
            for start in range(0, tasks, self.head_size)
        ]
        return rearrange(torch.cat(groups, dim=-1), "B n (h w) T -> B T n h w", h=grid)

    def _attend(self, query: torch.Tensor, key: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
        """(B, heads, tokens, T) from T <= head_size values per key, padded because fused kernels want it."""
        count = shares.shape[-1]
        value = F.pad(shares, (0, self.head_size - count)).expand(-1, self.heads, -1, -1).to(query.dtype)
        found = F.scaled_dot_product_attention(query, key.to(query.dtype), value.contiguous(), scale=1.0)
        return found[..., :count]

    def _split(self, maps: torch.Tensor) -> torch.Tensor:
        """Unit vectors (B, heads, tokens, head_size)."""
        return F.normalize(rearrange(maps, "B (n d) h w -> B n (h w) d", n=self.heads), dim=-1).to(maps.dtype)

    def _modulate(self, inside: torch.Tensor, outside: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Scale and shift, each (B T, widths[0], 1, 1)."""
        numbers = self.means(torch.cat((inside, outside), dim=-1).flatten(0, 1))[:, :, None, None]
        return numbers.chunk(2, dim=1)

    def _show(self, carried: torch.Tensor, near: torch.Tensor, far: torch.Tensor) -> torch.Tensor:
        """What the refinement sees of the mask: (B T, 2 heads + 2, g, g)."""
        share = carried.float().flatten(0, 1).clamp(_FLOOR, 1 - _FLOOR)
        both = torch.stack((near, far), dim=2).flatten(0, 1)
        return torch.cat((2 * share - 1, 0.3 * _find_logit(share), both.float()), dim=1).to(carried.dtype)


def _find_logit(share: torch.Tensor) -> torch.Tensor:
    """`torch.logit`, which OpenVINO does not know."""
    return torch.log(share) - torch.log(1 - share)


def _find_means(template: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Means of the features where the masks are: (B, T, C)."""
    weight = masks.flatten(2)
    weight = (weight / (weight.sum(dim=-1, keepdim=True) + 1)).to(template.dtype)
    return weight @ template.flatten(2).transpose(1, 2)


def _compare(matching: torch.Tensor, means: torch.Tensor) -> torch.Tensor:
    """Cosine of every token to each mean: (B, T, g, g)."""
    tokens = F.normalize(matching.flatten(2), dim=1)
    cosine = F.normalize(means, dim=-1).to(tokens.dtype) @ tokens
    return cosine.unflatten(2, matching.shape[2:])
