"""Sine encodings of pixels and of boxes."""

from __future__ import annotations

import math

import torch

_BOX_TEMPERATURE = 10000.0
_EPS = 1e-6


def encode_sine(values: torch.Tensor, count: int, temperature: float) -> torch.Tensor:
    """(...) in radians -> (..., count): sines and cosines in turn, of wavelengths 2 pi t^(2k / count)."""
    exponents = 2 * torch.arange(count // 2, dtype=torch.float32, device=values.device) / count
    angles = values[..., None] / temperature**exponents
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(-2)


def encode_pixels(padding: torch.Tensor, width: int, temperature: float) -> torch.Tensor:
    """Positions of the pixels of one scale, y before x, from 0 to 2 pi over what is not padding.

    Args:
        padding: (B, h, w) bool, true outside of the image.
        width: channels.
        temperature: of the wavelengths.

    Returns:
        (B, width, h, w) float32.
    """
    inside = (~padding).float()
    encoded = []
    for axis in (1, 2):
        place = inside.cumsum(axis)
        place = place / (place.narrow(axis, place.shape[axis] - 1, 1) + _EPS) * 2 * math.pi
        encoded.append(encode_sine(place, width // 2, temperature))
    return torch.cat(encoded, dim=-1).permute(0, 3, 1, 2)


def encode_boxes(boxes: torch.Tensor, width: int) -> torch.Tensor:
    """(B, Q, 4) cx, cy, w, h in 0..1 -> (B, Q, 2 width), in the order y, x, w, h."""
    encoded = encode_sine(boxes * 2 * math.pi, width // 2, _BOX_TEMPERATURE)
    return encoded[..., (1, 0, 2, 3), :].flatten(-2)
