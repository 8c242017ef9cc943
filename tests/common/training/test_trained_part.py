"""A checkpoint of a part: it goes from one network to another of the same kind, and to no other."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from common.training.trained_part import TrainedPart


def test_checkpoints_hold_what_is_trained() -> None:
    first, second = (nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1)) for _ in range(2))
    state = TrainedPart(first, ("1.weight", "1.bias")).state_dict()
    assert set(state) == {"1.weight", "1.bias"}
    kept = second[0].weight.clone()
    TrainedPart(second, ("1.weight", "1.bias")).load_state_dict(state)
    assert torch.equal(second[1].weight, first[1].weight) and torch.equal(second[0].weight, kept)
    with pytest.raises(RuntimeError, match="the trained part of the network differs, for example in 1.bias"):
        TrainedPart(second, ("1.weight",)).load_state_dict(state)
