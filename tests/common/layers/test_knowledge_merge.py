"""Knowledge Merge against loops, its size, its start, and what it depends on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from loop_layers import Array, convolve, convolve_transposed, mean_areas, normalise_groups, to_array
from torch import nn

from common.errors import ConfigError
from common.layers.knowledge_merge import KnowledgeMerge, PairBlock


def build(pool: int = 1, extra: int = 0) -> KnowledgeMerge:
    """Tiny, in float64, with every weight random."""
    torch.manual_seed(0)
    merge = KnowledgeMerge((8, 4, 4), channels=6, extra=extra, pool=pool).double()
    for value in merge.parameters():
        nn.init.normal_(value, std=0.3)
    return merge


def run_block(block: PairBlock, x: Array) -> Array:
    x = normalise_groups(block.norm, convolve(block.conv, x))
    slope = to_array(block.act.weight)[:, None, None]
    return np.where(x > 0, x, slope * x)


def run_loops(merge: KnowledgeMerge, features: Array, knowledge: Array) -> Array:
    """The whole module on one item, each of (C, g, g)."""
    high = run_block(merge.into, np.concatenate((features, knowledge)))
    middle = run_block(merge.deep[0], convolve(merge.down[0], high))  # type: ignore[arg-type]
    low = run_block(merge.deep[1], convolve(merge.down[1], middle))  # type: ignore[arg-type]
    middle = run_block(merge.back[0], convolve_transposed(merge.up[0], low) + middle)  # type: ignore[arg-type]
    high = run_block(merge.back[1], convolve_transposed(merge.up[1], middle) + high)  # type: ignore[arg-type]
    return convolve(merge.out, high)


@pytest.mark.parametrize(("widths", "millions"), [("wide", 16.1), ("narrow", 2.5)])
def test_parameters(widths: str, millions: float) -> None:
    with torch.device("meta"):
        merge = KnowledgeMerge(widths)
    assert sum(value.numel() for value in merge.parameters()) / 1e6 == pytest.approx(millions, abs=0.05)


def test_equals_loops() -> None:
    merge = build()
    features, knowledge = torch.randn(2, 2, 6, 8, 8).double()
    merged = merge(features, knowledge)
    for item in range(2):
        expected = run_loops(merge, to_array(features[item]), to_array(knowledge[item]))
        np.testing.assert_allclose(
            to_array(merged[item]), to_array(features[item]) + expected, rtol=1e-9, atol=1e-9
        )


def test_pool_works_on_means_and_comes_back_bilinearly() -> None:
    merge = build(pool=2)
    features, knowledge = torch.randn(2, 1, 6, 16, 16).double()
    added = to_array((merge(features, knowledge) - features)[0])
    coarse = run_loops(merge, *(mean_areas(to_array(x[0]), 2) for x in (features, knowledge)))
    # fine pixel (4, 7) lies at (1.75, 3.25) of the coarse grid
    expected = 0.75 * (0.75 * coarse[:, 2, 3] + 0.25 * coarse[:, 1, 3])
    expected += 0.25 * (0.75 * coarse[:, 2, 4] + 0.25 * coarse[:, 1, 4])
    np.testing.assert_allclose(added[:, 4, 7], expected, rtol=1e-9)


def test_starts_as_the_pictures_features() -> None:
    features, knowledge = torch.randn(2, 1, 16, 8, 8)
    torch.testing.assert_close(KnowledgeMerge((8, 8, 8), 16)(features, knowledge), features, rtol=0, atol=0)


def test_item_of_a_batch_equals_the_item_alone() -> None:
    merge = build()
    features, knowledge = torch.randn(2, 3, 6, 8, 8).double()
    torch.testing.assert_close(merge(features, knowledge)[1:2], merge(features[1:2], knowledge[1:2]))


def test_reads_knowledge_and_extra() -> None:
    merge = build(extra=2)
    features, knowledge, extra = torch.randn(1, 6, 8, 8), torch.randn(1, 6, 8, 8), torch.randn(1, 2, 8, 8)
    inputs = [x.double().requires_grad_() for x in (features, knowledge, extra)]
    merge(*inputs).square().sum().backward()
    assert all(x.grad is not None and x.grad.abs().min() > 0 for x in inputs)


@pytest.mark.parametrize("widths", ["broad", (8, 8), (8, 8, 6), (8, 8, 0)])
def test_refuses_other_widths(widths: object) -> None:
    with pytest.raises(ConfigError, match="km_widths: expected wide, narrow or three multiples of 4, got"):
        KnowledgeMerge(widths)  # type: ignore[arg-type]
