"""Several scales of one image as one row of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Levels:
    """Where the N tokens of L scales lie.

    Attributes:
        shapes: (rows, columns) of each scale; N is the sum of their products.
        padding: (B, N) bool, true outside of the image.
        valid: (B, L, 2), the part of each scale's width and height that is image, 0..1.
    """

    shapes: tuple[tuple[int, int], ...]
    padding: torch.Tensor
    valid: torch.Tensor

    def centres(self) -> torch.Tensor:
        """Centres of the tokens (B, N, 2) as x, y, in parts of the image (beyond 1 in its padding)."""
        rows = [
            _grid(shape, ratio.device) / (ratio[:, None] * ratio.new_tensor(shape[::-1]))
            for shape, ratio in zip(self.shapes, self.valid.unbind(1), strict=True)
        ]
        return torch.cat(rows, dim=1)

    def in_padded(self, places: torch.Tensor) -> torch.Tensor:
        """(B, Q, 2 or 4), points or boxes in parts of the image -> (B, Q, L, 2 or 4) of the padded scales."""
        ratios = self.valid if places.shape[-1] == 2 else torch.cat((self.valid, self.valid), dim=-1)
        return places[:, :, None] * ratios[:, None]


def build_levels(paddings: Sequence[torch.Tensor]) -> Levels:
    """From the padding (B, h, w) of each scale; padding lies to the right and below."""
    shapes = tuple((int(padding.shape[1]), int(padding.shape[2])) for padding in paddings)
    valid = [
        torch.stack(((~padding[:, 0]).float().mean(1), (~padding[:, :, 0]).float().mean(1)), dim=-1)
        for padding in paddings
    ]
    flat = torch.cat([padding.flatten(1) for padding in paddings], dim=1)
    return Levels(shapes, flat, torch.stack(valid, dim=1))


def to_tokens(maps: Sequence[torch.Tensor]) -> torch.Tensor:
    """Maps (B, C, h, w) -> (B, N, C), in the order of the scales."""
    return torch.cat([features.flatten(2).transpose(1, 2) for features in maps], dim=1)


def _grid(shape: tuple[int, int], device: torch.device) -> torch.Tensor:
    y, x = torch.meshgrid(*(torch.arange(size, device=device) + 0.5 for size in shape), indexing="ij")
    return torch.stack((x, y), dim=-1).reshape(1, -1, 2)
