"""Prompt Merge against loops, its size, what it depends on, its refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from loop_layers import Array, convolve, gelu, linear, mean_areas, normalise_rows, to_array

from common.errors import ConfigError
from common.layers.prompt_merge import PromptMerge, PromptMergeBlock


def build(**options: Any) -> PromptMerge:
    torch.manual_seed(2)
    return PromptMerge(8, channels=8, **{"depth": 2, "heads": 2, "mlp_ratio": 1.0, **options}).double()


def features(count: int = 2) -> list[torch.Tensor]:
    return [*torch.randn(4, count, 8, 8, 8).double(), torch.randn(1, 8, 8, 8).double()]


def run_block(
    block: PromptMergeBlock, x: Array, t: Array, p1: Array, p2: Array, position: Array
) -> tuple[Array, Array]:
    """One item. The attention and the parser have references of their own."""

    def call(module: torch.nn.Module, *inputs: Array) -> Array:
        return to_array(module(*(torch.from_numpy(value)[None] for value in inputs))[0])

    def mlp(rows: Array) -> Array:
        return linear(block.mlp[2], gelu(linear(block.mlp[0], rows)))  # type: ignore[arg-type]

    picture, template = normalise_rows(block.x_norm, x), normalise_rows(block.t_norm, t)
    x = x + call(block.attention, picture + position, template + p1 + position, p2)
    t = t + call(block.parser, template, picture, p1, p2)
    return x + mlp(normalise_rows(block.x_norm2, x)), t + mlp(normalise_rows(block.t_norm2, t))


def run_loops(merge: PromptMerge, inputs: list[Array], edge: int) -> Array:
    """One item, five of (C, g, g) -> (n, C)."""
    tokens = [mean_areas(x, 8 // edge).reshape(8, -1).T for x in inputs]
    x, t = tokens[:2]
    for block in merge.blocks:
        x, t = run_block(block, x, t, *tokens[2:])  # type: ignore[arg-type]
    both = np.concatenate((x, t), axis=1).T.reshape(16, edge, edge)
    layers = [merge.out] if isinstance(merge.out, torch.nn.Conv2d) else list(merge.out)  # type: ignore[arg-type]
    for layer in layers:
        both = convolve(layer, both)  # type: ignore[arg-type]
    return both.reshape(8, -1).T


@pytest.mark.parametrize(("options", "edge"), [({}, 8), ({"token_grid": 4}, 4), ({"out": "separable"}, 8)])
def test_equals_loops(options: dict[str, Any], edge: int) -> None:
    merge, inputs = build(**options), features()
    tokens = merge(*inputs)
    for item in range(2):
        arrays = [to_array(x[item if len(x) > 1 else 0]) for x in inputs]
        np.testing.assert_allclose(
            to_array(tokens[item]), run_loops(merge, arrays, edge), rtol=1e-8, atol=1e-9
        )


def test_parameters_and_tokens_of_the_papers_size() -> None:
    with torch.device("meta"):
        merge = PromptMerge(32)
        tokens = merge(*torch.zeros(4, 2, 256, 32, 32), torch.zeros(1, 256, 32, 32))
    assert sum(value.numel() for value in merge.parameters()) / 1e6 == pytest.approx(5.27, abs=0.005)
    assert tokens.shape == (2, 64, 256)


@pytest.mark.parametrize("parser", ["space", "channels"])
def test_item_of_a_batch_equals_the_item_alone(parser: str) -> None:
    merge, inputs = build(parser=parser), features(3)
    alone = merge(*(x[1:2] for x in inputs[:4]), inputs[4])
    torch.testing.assert_close(merge(*inputs)[1:2], alone)


def test_reads_every_feature() -> None:
    merge, inputs = build(), [x.requires_grad_() for x in features()]
    merge(*inputs).square().sum().backward()
    assert all(x.grad is not None and x.grad.abs().sum() > 0 for x in inputs)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"token_grid": 6}, "pm_grid: expected a multiple of 4 that divides the 8x8 features, got 6"),
        ({"token_grid": 16}, "pm_grid: expected a multiple of 4"),
        ({"depth": 0}, "pm_depth: expected 1 block or more"),
        ({"heads": 3}, "pm_heads: expected a divisor of 8 channels, got 3"),
        ({"parser": "time"}, "pm_parser: expected one of space, channels, got 'time'"),
        ({"out": "mean"}, "pm_out: expected one of conv, separable, got 'mean'"),
    ],
)
def test_refuses_options_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(**options)
