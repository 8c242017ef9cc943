"""Pooling over regions: hand-worked numbers, `nn.MultiheadAttention`, empty places and empty pictures."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from common.errors import ConfigError
from common.layers.mil_attention import MilAttention, find_shares, max_pool

ALL = torch.ones(1, 3, dtype=torch.bool)


def test_equation_3_by_hand() -> None:
    """Scores 2, 0 and 1 times sqrt(4)/2; the softmax is written out."""
    query = torch.tensor([[1.0, 1.0, 1.0, 1.0]])
    regions = torch.tensor([[[4.0, 0, 0, 0], [0, 0, 0, 0], [0, 2.0, 0, 0]]])
    answer, weights = MilAttention(4)(query, regions, ALL)
    total = math.exp(2) + 1 + math.exp(1)
    expected = [math.exp(2) / total, 1 / total, math.exp(1) / total]
    assert weights[0].tolist() == pytest.approx(expected)
    assert answer[0].tolist() == pytest.approx([4 * expected[0], 2 * expected[2], 0, 0])


def test_the_papers_form_has_nothing_to_train() -> None:
    assert not list(MilAttention(4).parameters())


@pytest.mark.parametrize("heads", [1, 4])
def test_with_projections_it_is_pytorchs_attention(heads: int) -> None:
    torch.manual_seed(0)
    ours, theirs = MilAttention(16, True, heads).eval(), nn.MultiheadAttention(16, heads, batch_first=True)
    with torch.no_grad():
        ours.query.weight[:], ours.key.weight[:], ours.value.weight[:] = theirs.in_proj_weight.chunk(3)
        theirs.in_proj_bias.normal_()
        ours.query.bias[:], ours.key.bias[:], ours.value.bias[:] = theirs.in_proj_bias.chunk(3)
        ours.out.load_state_dict(theirs.out_proj.state_dict())
        query, regions = torch.randn(5, 16), torch.randn(5, 7, 16)
        present = torch.rand(5, 7) > 0.4
        present[:, 2] = True
        wanted, weights = theirs(query[:, None], regions, regions, key_padding_mask=~present)
        answer, found = ours(query, regions, present)
    assert torch.allclose(answer, wanted[:, 0], atol=1e-6)
    assert torch.allclose(found, weights[:, 0], atol=1e-6)


def test_dropout_works_in_training_only() -> None:
    torch.manual_seed(0)
    layer, query, regions = MilAttention(4, dropout=0.5), torch.randn(1, 4), torch.randn(1, 3, 4)
    answers = [layer(query, regions, ALL)[0] for _ in range(8)]
    assert any(not torch.equal(answers[0], answer) for answer in answers)
    assert layer(query, regions, ALL)[1].sum().item() == pytest.approx(1)
    layer.eval()
    assert torch.equal(layer(query, regions, ALL)[0], layer(query, regions, ALL)[0])


@pytest.mark.parametrize("projections", [False, True])
def test_what_stands_in_an_empty_place_does_not_matter(projections: bool) -> None:
    torch.manual_seed(0)
    layer = MilAttention(4, projections)
    query, regions, present = torch.randn(2, 4), torch.randn(2, 3, 4), ALL.repeat(2, 1)
    present[0, 1], present[1] = False, False
    other = torch.where(present[..., None], regions, torch.full_like(regions, 1e4))
    for one, two in zip(layer(query, regions, present), layer(query, other, present), strict=True):
        assert torch.equal(one, two)
    assert torch.equal(max_pool(regions, present), max_pool(other, present))
    answer, weights = layer(query, regions, present)
    assert weights[0].sum().item() == pytest.approx(1) and weights[0, 1] == 0
    assert not answer[1].any() and not weights[1].any() and not max_pool(regions, present)[1].any()


def test_max_pooling_takes_each_feature_where_it_is_largest() -> None:
    regions = torch.tensor([[[1.0, -5.0], [-2.0, -3.0], [9.0, 9.0]]])
    assert max_pool(regions, torch.tensor([[True, True, False]])).tolist() == [[1.0, -3.0]]


def test_shares_of_the_maximum_by_hand() -> None:
    """Features: the first region wins one, the second one, one is shared, one is the empty place's."""
    regions = torch.tensor([[[2.0, 0, 5, 1], [1, 1, 5, 0], [0, 0, 0, 9]]])
    present = torch.tensor([[True, True, False]])
    assert find_shares(regions, present).tolist() == [[0.625, 0.375, 0.0]]
    assert not find_shares(regions, ~ALL).any()


def test_a_picture_without_regions_has_gradients_without_nan() -> None:
    regions = torch.randn(1, 3, 4, requires_grad=True)
    answer, _ = MilAttention(4)(torch.randn(1, 4), regions, ~ALL)
    (answer.sum() + max_pool(regions, ~ALL).sum()).backward()
    assert regions.grad is not None and not regions.grad.any()


@pytest.mark.parametrize(("projections", "heads"), [(True, 3), (False, 2), (True, 0)])
def test_heads_that_do_not_fit_are_refused(projections: bool, heads: int) -> None:
    with pytest.raises(ConfigError, match=r"attention_heads: expected a divisor of 4.*got \d: take 1"):
        MilAttention(4, projections, heads)


def test_dropout_out_of_range_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"attention_dropout: expected a number in \[0, 1\), got 1.0"):
        MilAttention(4, dropout=1.0)
