"""The similarity prior against loops and on hand-made features."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from loop_layers import Array, mean_areas, to_array

from common.errors import ConfigError
from common.layers.similarity_prior import SimilarityPrior


def unit(rows: Array) -> Array:
    return np.array([row / np.sqrt((row**2).sum()) for row in rows])


def run_loops(prior: SimilarityPrior, features: Array, template: Array, mask: Array) -> tuple[Array, Array]:
    """One item: (C, g, g), (C, g, g), (1, g, g) -> logits (g g,), maps (2, g g)."""
    edge = prior.template_grid or len(mask[0])
    ratio, grid = len(mask[0]) // edge, len(mask[0])
    template, mask = mean_areas(template, ratio), mean_areas(mask, ratio)
    weight = to_array(prior.project.weight)[:, :, 0, 0]
    wanted = unit((weight @ features.reshape(len(features), -1)).T)
    known = unit((weight @ template.reshape(len(template), -1)).T)
    m = np.clip(mask.ravel(), 1e-4, 1 - 1e-4)
    logits = np.zeros(grid * grid)
    for n, row in enumerate(wanted):
        match = np.array([row @ other for other in known]) * math.exp(prior.log_scale.item())
        if prior.log_distance is not None:
            here = np.array([n // grid + 0.5, n % grid + 0.5]) / grid
            there = [np.array([k // edge + 0.5, k % edge + 0.5]) / edge for k in range(edge * edge)]
            match -= math.exp(prior.log_distance.item()) * np.array([((here - x) ** 2).sum() for x in there])
        shares = np.exp(match)
        logits[n] = math.log((shares * m).sum() / (shares * (1 - m)).sum())
    return logits, np.array(
        [match_cells(prior, wanted, known, x, edge) for x in (mask.ravel(), 1 - mask.ravel())]
    )


def match_cells(prior: SimilarityPrior, wanted: Array, known: Array, share: Array, edge: int) -> Array:
    """Greatest cosine to the mean of the whole part or of a cell of it."""
    prototypes = [(known * share[:, None]).mean(axis=0)]
    size = edge // prior.cells if prior.cells else 0
    for i in range(prior.cells):
        for j in range(prior.cells):
            inside = [k for k in range(edge * edge) if k // edge // size == i and k % edge // size == j]
            if share[inside].mean() > 0.05:
                prototypes.append((known[inside] * share[inside][:, None]).mean(axis=0))
    return (wanted @ unit(np.array(prototypes)).T).max(axis=1)


@pytest.mark.parametrize(
    "options", [{}, {"template_grid": 4}, {"cells": 0}, {"position": True, "template_grid": 4, "cells": 4}]
)
def test_equals_loops(options: dict[str, Any]) -> None:
    torch.manual_seed(3)
    prior = SimilarityPrior(6, size=4, **{"cells": 2, **options})
    features, template = torch.randn(2, 2, 6, 8, 8)
    mask = torch.zeros(2, 1, 8, 8)
    mask[0, :, :4, 1:3], mask[1, :, 6:, :] = 1, 0.7
    found = prior(features, template, mask)
    for item in range(2):
        logits, maps = run_loops(prior, *(to_array(x[item]) for x in (features, template, mask)))
        np.testing.assert_allclose(to_array(found.logits[item]).ravel(), logits, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(to_array(found.maps[item]).reshape(2, -1), maps, rtol=1e-4, atol=1e-5)


def test_finds_the_structure_that_has_moved() -> None:
    """Two kinds of tissue: the template shows one at the left, the picture at the right."""
    prior = SimilarityPrior(8, size=8)
    left, kinds = torch.zeros(1, 1, 8, 8), torch.randn(2, 8)
    left[..., :3] = 1
    right = left.flip(3)

    def paint(mask: torch.Tensor) -> torch.Tensor:
        return mask * kinds[0].view(1, 8, 1, 1) + (1 - mask) * kinds[1].view(1, 8, 1, 1)

    found = prior(paint(right), paint(left), left)
    assert torch.equal(found.logits > 0, right > 0)
    assert torch.equal(found.maps[:, :1] > found.maps[:, 1:], right > 0)


def test_without_mask_everything_is_background() -> None:
    found = SimilarityPrior(6, size=4)(*torch.randn(2, 1, 6, 8, 8), torch.zeros(1, 1, 8, 8))
    assert found.logits.max() < -9
    assert found.maps[:, 0].abs().max() == 0


def test_item_of_a_batch_equals_the_item_alone() -> None:
    prior = SimilarityPrior(6, size=4, position=True)
    features, template, mask = *torch.randn(2, 3, 6, 8, 8), torch.rand(3, 1, 8, 8)
    for one, other in zip(
        prior(features, template, mask), prior(features[1:2], template[1:2], mask[1:2]), strict=True
    ):
        torch.testing.assert_close(one[1:2], other)


def test_every_weight_learns() -> None:
    prior = SimilarityPrior(6, size=4, position=True)
    found = prior(*torch.randn(2, 1, 6, 8, 8), torch.rand(1, 1, 8, 8))
    (found.logits.square().sum() + found.maps.sum()).backward()
    assert all(value.grad is not None and value.grad.abs().sum() > 0 for value in prior.parameters())


@pytest.mark.parametrize("options", [{"size": 0}, {"template_grid": -1}, {"cells": -1}, {"scale": 0.0}])
def test_refuses_numbers_out_of_range(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="prior: expected prior_size >= 1"):
        SimilarityPrior(6, **options)
