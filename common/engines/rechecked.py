"""bf16 for speed, fp32 where it could change the class."""

from __future__ import annotations

import numpy as np

from .base import Engine

# What of |f| |w_a - w_b| / sqrt(M) a logit difference may be wrong by. Measured on the centred DenseNet121 in
# OpenVINO bf16, 161 patches x 8 rivals: standard deviation 0.012; with 0.03 every class was that of fp32.
TIE_WIDTH = 0.03


class RecheckedEngine(Engine):
    """Features of the fast engine; patches whose class is then in doubt are computed again in fp32.

    Args:
        fast: bf16, (B, 3, H, W) -> (B, M).
        weight: (M, C) hyperplane normals.
        bias: (C,).
    """

    def __init__(self, fast: Engine, weight: np.ndarray, bias: np.ndarray) -> None:
        self.engine, self.device, self.version = fast.engine, fast.device, fast.version
        self.precision = "bf16, near ties fp32"
        self.shape_px = fast.shape_px
        self._fast, self._exact, self._weight, self._bias = fast, fast.in_fp32(), weight, bias

    def _infer(self, batch: np.ndarray) -> np.ndarray:
        features = self._fast(batch)
        near = near_ties(features, self._weight, self._bias)
        if near.any():
            features[near] = self._exact(batch[near])
        return features


def near_ties(
    features: np.ndarray, weight: np.ndarray, bias: np.ndarray, width: float = TIE_WIDTH
) -> np.ndarray:
    """Patches whose winner a is less than width |f| |w_a - w_b| / sqrt(M) above some rival b.

    Args:
        features: (B, M).
        weight: (M, C).
        bias: (C,).

    Returns:
        (B,) bool.
    """
    logits = features @ weight + bias
    winner = logits.argmax(1)
    apart = np.linalg.norm(weight[:, :, None] - weight[:, None, :], axis=0)[winner]
    error = width * np.linalg.norm(features, axis=1, keepdims=True) * apart / np.sqrt(len(weight))
    doubtful = logits.max(1, keepdims=True) - logits < error  # never the winner itself: 0 < 0
    return doubtful.any(1)
