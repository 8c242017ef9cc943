"""Random changes of a training patch that keep its class. Each is exact, fast and repeatable by its seed."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from skimage.color import hed_from_rgb, rgb_from_hed

from common.errors import ConfigError

_OPTICAL_DENSITY = -np.log(np.maximum(np.arange(256), 1) / 255).astype(np.float32)
"""Optical density of every grey value (0 counts as 1)."""

_HED_UNIT = -np.log(1e-6)
"""Optical density of one unit of scikit-image's HED space."""


@dataclass(frozen=True)
class Augmentation:
    """What may change in a training patch; zeros and False switch a change off.

    Attributes:
        flips: mirror and turn by quarter turns (the eight symmetries of the square).
        stain: HED jitter; each stain is multiplied by 1 + u and shifted by u' HED units, |u|, |u'| <= stain
            (Tellez et al. 2018, doi 10.1109/TMI.2018.2820199: 0.05 is light, 0.2 strong).
        scale: zoom by a factor log-uniform in [1 / (1 + scale), 1 + scale]. Off by default: it teaches the
            network to accept neighbouring scales, and so flattens the very curve by which the scale of a
            slide is found.
    """

    flips: bool = True
    stain: float = 0.0
    scale: float = 0.0

    def __post_init__(self) -> None:
        for name in ("stain", "scale"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(
                    f"augmentation {name}: expected 0 (off) to below 1, got {getattr(self, name)}: 0.05 is "
                    f"light"
                )

    def __call__(self, patch: np.ndarray, size_px: int, rng: np.random.Generator) -> np.ndarray:
        """Change one patch.

        Args:
            patch: uint8 RGB (s, s, 3), s = size_px, or wider where `scale` needs room.
            size_px: edge of the result.
            rng: source of randomness.

        Returns:
            uint8 RGB (size_px, size_px, 3).
        """
        factor = np.exp(rng.uniform(-1, 1) * np.log1p(self.scale)) if self.scale else 1.0
        patch = crop_middle(patch, size_px, float(factor))
        if self.stain:
            gains, shifts = rng.uniform(-self.stain, self.stain, (2, 3))
            patch = jitter_stain(patch, 1 + gains, shifts)
        return turn(patch, int(rng.integers(8))) if self.flips else patch


def crop_middle(patch: np.ndarray, size_px: int, factor: float = 1.0) -> np.ndarray:
    """The middle `size_px * factor` pixels (at most the whole patch), brought to `size_px`."""
    width = min(patch.shape[0], round(size_px * factor))
    start = (patch.shape[0] - width) // 2
    middle = patch[start : start + width, start : start + width]
    if width == size_px:
        return middle
    method = cv2.INTER_AREA if width > size_px else cv2.INTER_LANCZOS4
    return cv2.resize(np.ascontiguousarray(middle), (size_px, size_px), interpolation=method)


def jitter_stain(patch: np.ndarray, gains: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """HED jitter: separate the stains, multiply by `gains` (3,), add `shifts` (3,), recombine.

    Both separations are linear in optical density, so that one 3 x 3 matrix does the whole:
    od' = od M^-1 diag(g) M + s M, with M scikit-image's `rgb_from_hed` (Ruifrok and Johnston 2001).
    """
    matrix = (hed_from_rgb * gains) @ rgb_from_hed
    offset = (shifts * _HED_UNIT) @ rgb_from_hed
    density = _OPTICAL_DENSITY[patch].reshape(-1, 3) @ matrix.astype(np.float32) + offset.astype(np.float32)
    rgb = 255 * np.exp(-density)
    return np.clip(np.rint(rgb), 0, 255).astype(np.uint8).reshape(patch.shape)


def turn(patch: np.ndarray, symmetry: int) -> np.ndarray:
    """One of the eight symmetries of the square: quarter turns 0..3, and from 4 on mirrored first."""
    mirrored = patch[:, ::-1] if symmetry >= 4 else patch
    return np.ascontiguousarray(np.rot90(mirrored, symmetry % 4))
