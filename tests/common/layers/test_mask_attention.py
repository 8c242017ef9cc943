"""Mask attention against loops (equation 3)."""

from __future__ import annotations

import math

import numpy as np
import torch
from loop_layers import Array, linear, sigmoid, softmax, to_array

from common.layers.mask_attention import MaskAttention


def run_loops(attention: MaskAttention, query: Array, key: Array, task: Array) -> Array:
    """One item: softmax over the keys, then times sigmoid(Linear(DE1)), head by head."""
    q, k, v = linear(attention.query, query), linear(attention.key, key), linear(attention.value, key)
    weight = sigmoid(linear(attention.task, task))
    size = q.shape[1] // attention.heads
    found = np.zeros_like(q)
    for head in range(attention.heads):
        part = slice(head * size, (head + 1) * size)
        for n in range(len(q)):
            shares = softmax(np.array([q[n, part] @ row[part] for row in k]) / math.sqrt(size))
            found[n, part] = sum(shares[m] * weight[m, head] * v[m, part] for m in range(len(k)))
    return linear(attention.out, found)


def test_equals_loops() -> None:
    torch.manual_seed(0)
    attention = MaskAttention(8, heads=2).double()
    query, key, task = (
        torch.randn(2, 5, 8).double(),
        torch.randn(2, 7, 8).double(),
        torch.randn(2, 7, 8).double(),
    )
    found = attention(query, key, task)
    for item in range(2):
        expected = run_loops(attention, *(to_array(x[item]) for x in (query, key, task)))
        np.testing.assert_allclose(to_array(found[item]), expected, atol=1e-10)


def test_closed_mask_passes_nothing_but_the_bias() -> None:
    attention = MaskAttention(8, heads=2)
    torch.nn.init.zeros_(attention.task.weight)
    torch.nn.init.constant_(attention.task.bias, -50.0)
    found = attention(*torch.randn(3, 1, 4, 8))
    torch.testing.assert_close(found, attention.out.bias.expand(1, 4, 8))
