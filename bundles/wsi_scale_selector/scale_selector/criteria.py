"""Scores of a patch at every scale: Algorithm 1, line 9, and its alternatives, all through one interface.

Penkin, Khvostikov, Krylov, Programming and Computer Software 2023. Every criterion maps features
X (..., M), hyperplane normals W (M, C) and biases b (C,) to scores (..., K); the largest of the K
scores is the point's value at that scale, and the scale with the largest value is proposed (line 10).
K is C where the criterion speaks of classes, and 1 where it does not.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import log_softmax, softmax

from common.errors import ConfigError

Criterion = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def column_norm(features: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Signed distance to each hyperplane, <w_c, x> / ||w_c|| (paper, line 9; the columns are the normals)."""
    return (features @ weight) / np.linalg.norm(weight, axis=0)


def column_norm_bias(features: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Signed distance to the hyperplane with its bias, (<w_c, x> + b_c) / ||w_c||; no bias in the paper."""
    return (features @ weight + bias) / np.linalg.norm(weight, axis=0)


def matrix_norm(features: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """<w_c, x> / ||W||_F: line 9 read with one Frobenius norm for the whole matrix."""
    return (features @ weight) / np.linalg.norm(weight)


def absolute(features: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """|<w_c, x>| / ||w_c||: rho(x) as the paper's text defines the distance, without its sign."""
    return np.abs(column_norm(features, weight, bias))


def cosine(features: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Cosine of the angle between x and w_c, in [-1, 1]: the distance free of the feature's length."""
    length = np.linalg.norm(features, axis=-1, keepdims=True)
    return column_norm(features, weight, bias) / np.maximum(length, np.finfo(np.float32).tiny)


def max_softmax(features: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Softmax probability of each class, in (0, 1); the bias belongs to it."""
    return softmax(features @ weight + bias, axis=-1)


def entropy(features: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Negative entropy of the softmax in nats, (..., 1), in [-ln C, 0]; the largest is the most certain."""
    logarithm = log_softmax(features @ weight + bias, axis=-1)
    return np.sum(np.exp(logarithm) * logarithm, axis=-1, keepdims=True)


def activation(features: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Length of the feature vector, (..., 1): our reading of the group's earlier method.

    GraphiCon 2022, doi 10.20948/graphicon-2022-668-677; only its abstract is public: the best scale brings
    the activations of inner layers to an extremum.
    """
    return np.linalg.norm(features, axis=-1, keepdims=True)


CRITERIA: dict[str, Criterion] = {
    function.__name__: function
    for function in (
        column_norm,
        column_norm_bias,
        matrix_norm,
        absolute,
        cosine,
        max_softmax,
        entropy,
        activation,
    )
}


def build_criterion(name: str) -> Criterion:
    """The criterion of that name.

    Raises:
        ConfigError: unknown name.
    """
    if name not in CRITERIA:
        raise ConfigError(f"criterion: expected one of {', '.join(CRITERIA)}, got '{name}'")
    return CRITERIA[name]
