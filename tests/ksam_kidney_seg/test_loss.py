"""The loss by hand and against MONAI's parts."""

from __future__ import annotations

import math

import pytest
import torch

from common.errors import ConfigError
from ksam.episode_network import EpisodeOutput
from ksam.loss import KnowledgeLoss


def test_by_hand() -> None:
    """Logits 0 are probabilities 1/2: BCE is log 2; Dice of 2 true in 4 pixels is (2 + 1) / (2 + 2 + 1)."""
    target = torch.tensor([[[[1.0, 1.0], [0.0, 0.0]]]])
    output = EpisodeOutput(torch.zeros(1, 1, 2, 2), None)
    assert KnowledgeLoss(1, 0)(output, target).item() == pytest.approx(math.log(2))
    assert KnowledgeLoss(0, 1)(output, target).item() == pytest.approx(1 - 3 / 5)
    expected = 0.2 * math.log(2) + 0.8 * 0.4
    assert KnowledgeLoss()(output, target).item() == pytest.approx(expected)


def test_right_answers_cost_nothing_and_absent_structures_count() -> None:
    target = torch.zeros(1, 2, 4, 4)
    target[0, 0, :2] = 1
    right = EpisodeOutput(40 * (target - 0.5), None)
    assert KnowledgeLoss()(right, target).item() == pytest.approx(0, abs=1e-6)
    wrong = right.logits.clone()
    wrong[0, 1] = 20  # a structure that is not there is found everywhere
    assert KnowledgeLoss(0, 1)(EpisodeOutput(wrong, None), target).item() == pytest.approx(0.5 * (1 - 1 / 17))


def test_every_map_weighs_the_same() -> None:
    target = (torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)) > 0.7).float()
    logits = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    whole = KnowledgeLoss()(EpisodeOutput(logits, None), target)
    single = [
        KnowledgeLoss()(EpisodeOutput(logits[i : i + 1, j : j + 1], None), target[i : i + 1, j : j + 1])
        for i in range(2)
        for j in range(3)
    ]
    assert whole.item() == pytest.approx(torch.stack(single).mean().item(), rel=1e-5)


def test_prior_has_its_own_weight() -> None:
    """The target is averaged to the prior's size: half true is 1/2, whose BCE at logit 0 is log 2."""
    target = torch.tensor([[[[1.0, 1.0], [0.0, 0.0]]]])
    output = EpisodeOutput(40 * (target - 0.5), torch.zeros(1, 1, 1, 1))
    assert KnowledgeLoss(prior=0.5)(output, target).item() == pytest.approx(0.5 * math.log(2), abs=1e-6)


def test_balance_lets_a_small_structure_weigh_as_much_as_the_rest() -> None:
    """One pixel of four weighs three; all logits say inside with 3/4."""
    target = torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]]])
    output = EpisodeOutput(torch.full((1, 1, 2, 2), math.log(3)), None)
    inside, outside = -math.log(0.75), -math.log(0.25)
    found = KnowledgeLoss(1, 0, balance=1.0)(output, target).item()
    assert found == pytest.approx((3 * inside + 3 * outside) / 6, abs=1e-6)
    plain = KnowledgeLoss(1, 0)(output, target).item()
    assert plain == pytest.approx((inside + 3 * outside) / 4, abs=1e-6)


def test_smoothing_of_dice() -> None:
    """Nothing wanted, one pixel found: 1 - smooth / (1 + smooth)."""
    target = torch.zeros(1, 1, 2, 2)
    output = EpisodeOutput(torch.tensor([[[[40.0, -40.0], [-40.0, -40.0]]]]), None)
    for smooth in (1.0, 32.0):
        found = KnowledgeLoss(0, 1, smooth=smooth)(output, target).item()
        assert found == pytest.approx(1 - smooth / (1 + smooth), abs=1e-6)


def test_weights_are_checked() -> None:
    with pytest.raises(
        ConfigError, match="expected weights of 0 or more, bce or dice above 0 and smooth above"
    ):
        KnowledgeLoss(0, 0)
    with pytest.raises(ConfigError, match="got bce 1, dice -1, prior 0"):
        KnowledgeLoss(1, -1)
