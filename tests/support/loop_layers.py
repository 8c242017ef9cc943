"""Layers written as loops over single numbers: slow, and plain to read beside the formulas."""

from __future__ import annotations

import math

import numpy as np
from torch import nn

Array = np.ndarray


def to_array(value: object) -> Array:
    """A tensor or parameter as float64."""
    return value.detach().double().numpy()  # type: ignore[attr-defined]


def linear(layer: nn.Linear, x: Array) -> Array:
    """(n, in) -> (n, out)."""
    weight, bias = to_array(layer.weight), to_array(layer.bias)
    return np.array([[row @ weight[o] + bias[o] for o in range(len(weight))] for row in x])


def convolve(layer: nn.Conv2d, x: Array) -> Array:
    """(C, h, w) -> (O, h', w'), with the layer's stride, zeros around and groups."""
    weight, bias = to_array(layer.weight), to_array(layer.bias)
    stride, pad, groups = layer.stride[0], int(layer.padding[0]), layer.groups
    edge, each = weight.shape[2], weight.shape[1]
    padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    height, width = ((size - edge) // stride + 1 for size in padded.shape[1:])
    out = np.zeros((len(weight), height, width))
    for o in range(len(weight)):
        first = o // (len(weight) // groups) * each
        for i in range(height):
            for j in range(width):
                window = padded[
                    first : first + each, i * stride : i * stride + edge, j * stride : j * stride + edge
                ]
                out[o, i, j] = (window * weight[o]).sum() + bias[o]
    return out


def convolve_transposed(layer: nn.ConvTranspose2d, x: Array) -> Array:
    """(C, h, w) -> (O, s h, s w) for a kernel as wide as its stride s."""
    weight, bias, step = to_array(layer.weight), to_array(layer.bias), layer.stride[0]
    out = np.zeros((weight.shape[1], x.shape[1] * step, x.shape[2] * step)) + bias[:, None, None]
    for i in range(x.shape[1]):
        for j in range(x.shape[2]):
            for c in range(len(x)):
                out[:, i * step : (i + 1) * step, j * step : (j + 1) * step] += x[c, i, j] * weight[c]
    return out


def normalise_groups(layer: nn.GroupNorm, x: Array) -> Array:
    """(C, h, w) -> (C, h, w)."""
    parts = []
    for part in np.split(x, layer.num_groups):
        parts.append((part - part.mean()) / math.sqrt(part.var() + layer.eps))
    return np.concatenate(parts) * to_array(layer.weight)[:, None, None] + to_array(layer.bias)[:, None, None]


def normalise_rows(layer: nn.LayerNorm, x: Array) -> Array:
    """(n, C) -> (n, C)."""
    rows = [(row - row.mean()) / math.sqrt(row.var() + layer.eps) for row in x]
    return np.array(rows) * to_array(layer.weight) + to_array(layer.bias)


def gelu(x: Array) -> Array:
    """x times the normal distribution function."""
    return x * np.vectorize(lambda value: 0.5 * (1 + math.erf(value / math.sqrt(2))))(x)


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def softmax(row: Array) -> Array:
    """(n,) -> (n,)."""
    powers = np.exp(row - row.max())
    return powers / powers.sum()


def mean_areas(x: Array, edge: int) -> Array:
    """(C, h, w) -> (C, h / edge, w / edge)."""
    channels, height, width = x.shape
    return x.reshape(channels, height // edge, edge, width // edge, edge).mean(axis=(2, 4))


def smooth(x: Array, sigma: float) -> Array:
    """(h, w): 3x3 Gaussian with zeros around."""
    padded, out = np.pad(x, 1), np.zeros_like(x)
    kernel = np.array([[math.exp(-(i * i + j * j) / (2 * sigma**2)) for j in (-1, 0, 1)] for i in (-1, 0, 1)])
    kernel /= kernel.sum()
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            out[i, j] = (padded[i : i + 3, j : j + 3] * kernel).sum()
    return out
