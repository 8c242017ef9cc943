"""The Prompt Parser against loops, in both forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from loop_layers import Array, gelu, linear, sigmoid, smooth, softmax, to_array

from common.layers.prompt_parser import PromptParser

GRID, CHANNELS = 3, 4


def build(form: str) -> PromptParser:
    torch.manual_seed(1)
    parser = PromptParser(CHANNELS, GRID, form).double()
    for value in parser.mix.parameters():
        torch.nn.init.normal_(value)
    torch.nn.init.constant_(parser.sigma, 0.8)
    return parser


def mix(parser: PromptParser, t: Array, p1: Array, p2: Array) -> Array:
    """e: the element-wise MLP."""
    rows = np.stack((t, p1, p2), axis=-1).reshape(-1, 3)
    return linear(parser.mix[2], gelu(linear(parser.mix[0], rows))).reshape(t.shape)  # type: ignore[arg-type]


def parse_space(parser: PromptParser, t: Array, x: Array, p1: Array, p2: Array) -> Array:
    """Token by token: M is smoothed over the picture's grid, as the docstring says."""
    e, s, scale = mix(parser, t, p1, p2), t + p1 + p2, 1 / math.sqrt(CHANNELS)
    out = np.zeros_like(t)
    for n in range(len(t)):
        likely = smooth(np.array([e[n] @ row for row in x]).reshape(GRID, GRID) * scale, 0.8).ravel()
        similar = np.array([s[n] @ row for row in x]) * scale
        out[n] = softmax(np.maximum(likely * similar, similar)) @ x
    return out * sigmoid(linear(parser.task, p2))


def parse_channels(parser: PromptParser, t: Array, x: Array, p1: Array, p2: Array) -> Array:
    """One-Prompt's form: a plane of channels for each token."""
    e, s = mix(parser, t, p1, p2), t + p1 + p2
    out = np.zeros_like(t)
    for n in range(len(t)):
        likely, similar = smooth(np.outer(e[n], x[n]), 0.8), np.outer(x[n], s[n])
        out[n] = np.maximum(likely * similar, similar) @ s[n] / CHANNELS
    return out * sigmoid(linear(parser.task, p2))


@pytest.mark.parametrize(("form", "reference"), [("space", parse_space), ("channels", parse_channels)])
def test_equals_loops(form: str, reference: object) -> None:
    parser = build(form)
    inputs = torch.randn(4, 2, GRID * GRID, CHANNELS).double()
    parsed = parser(*inputs)
    for item in range(2):
        expected = reference(parser, *(to_array(x[item]) for x in inputs))  # type: ignore[operator]
        np.testing.assert_allclose(to_array(parsed[item]), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("form", ["space", "channels"])
def test_width_of_the_gaussian_is_learned(form: str) -> None:
    parser = build(form)
    parser(*torch.randn(4, 1, GRID * GRID, CHANNELS).double()).square().sum().backward()
    assert parser.sigma.grad is not None and parser.sigma.grad.abs() > 0
