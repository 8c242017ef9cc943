"""Fusion: the released code's number of weights, the paper's equations by hand, empty places, refusals."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from common.errors import ConfigError
from mmbcd.fusion import Fusion
from mmbcd.options import find_options

ALL = torch.ones(2, 3, dtype=torch.bool)


def build(preset: str = "default", image: int = 8, text: int = 12, **given: Any) -> Fusion:
    torch.manual_seed(0)
    return Fusion(find_options(preset, given), image, text).eval()


def count(fusion: Fusion) -> int:
    return sum(value.numel() for value in fusion.parameters())


def test_the_released_codes_fusion_has_562434_weights() -> None:
    assert count(build("released_code", 384, 768)) == 562_434


def test_the_papers_attention_has_weights_only_where_sizes_differ() -> None:
    same, other = build("paper", 8, 8), build("paper", 8, 12)
    head = (24 * 256 + 256) + (256 * 2 + 2)
    assert count(same) == head
    assert count(other) == head + 4 * 256 + (12 * 8 + 8)


@torch.no_grad()
def test_the_papers_equations_by_hand() -> None:
    """E_V by equation 1, E_A by equation 3, concatenated with E_T, through the MLP."""
    fusion = build("paper", 8, 8)
    regions, history = torch.randn(2, 3, 8), torch.randn(2, 8)
    weights = torch.softmax((regions @ history[..., None])[..., 0] / 8**0.5, dim=1)
    attended = (weights[..., None] * regions).sum(dim=1)
    wanted = fusion.head(torch.cat((attended, history, regions.max(dim=1).values), dim=1))
    logits, pooled, found = fusion(regions, ALL, history)
    assert torch.allclose(logits, wanted, atol=1e-6) and torch.allclose(found, weights, atol=1e-6)
    assert torch.equal(pooled, regions.max(dim=1).values)


@pytest.mark.parametrize("preset", ["paper", "released_code", "default"])
@pytest.mark.parametrize(
    ("text", "attention", "parts"), [(False, False, 1), (True, False, 2), (True, True, 3)]
)
def test_rows_of_table_2(preset: str, text: bool, attention: bool, parts: int) -> None:
    """Vision; + text; + attention: what is concatenated grows by one embedding each."""
    fusion = build(preset, 8, 8, use_text=text, use_attention=attention)
    first = fusion.head if preset == "released_code" else fusion.head[0]  # type: ignore[index]
    assert first.in_features == parts * (8 if preset == "paper" else 256)
    logits, _, shares = fusion(torch.randn(2, 3, 8), ALL, torch.randn(2, 8) if text else None)
    assert logits.shape == (2, 2) and shares.sum(dim=1).tolist() == pytest.approx([1, 1])


@pytest.mark.parametrize("preset", ["paper", "released_code", "default"])
@pytest.mark.parametrize("training", [False, True])
def test_empty_places_change_nothing(preset: str, training: bool) -> None:
    """Nor the statistics of a batch."""
    fusion = build(preset, attention_dropout=0.0, dropout=0.0).train(training)
    regions, history, present = torch.randn(4, 3, 8), torch.randn(4, 12), torch.ones(4, 3, dtype=torch.bool)
    present[0, 1:], present[2, 2] = False, False
    other = torch.where(present[..., None], regions, torch.full_like(regions, 1e3))
    for one, two in zip(fusion(regions, present, history), fusion(other, present, history), strict=True):
        assert torch.equal(one, two)


def test_a_picture_without_rois_has_a_finite_answer() -> None:
    present = torch.tensor([[True, False, False], [False] * 3])
    for preset in ("paper", "released_code", "default"):
        logits, pooled, weights = build(preset)(torch.randn(2, 3, 8), present, torch.randn(2, 12))
        assert logits.isfinite().all() and not pooled[1].any() and not weights[1].any()


def test_batch_statistics_of_one_row_are_refused() -> None:
    fusion = build("released_code").train()
    with pytest.raises(
        ConfigError, match="batch_size: expected 2 or more pictures with ROIs .*, got 1: take"
    ):
        fusion(torch.randn(1, 3, 8), ALL[:1], torch.randn(1, 12))
    with pytest.raises(ConfigError, match="batch_size: expected 2 or more"):
        fusion(torch.randn(2, 3, 8), ~ALL, torch.randn(2, 12))
