"""What is frozen stays as it is in training, and what training changes is named."""

from __future__ import annotations

import torch
from torch import nn

from common.networks.freezing import is_frozen, quiet_frozen, trained_names


def build() -> nn.Sequential:
    frozen = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Dropout(0.5)).requires_grad_(False)
    return nn.Sequential(frozen, nn.BatchNorm1d(2), nn.Dropout(0.5))


def test_frozen_parts_are_in_eval_mode_with_all_that_is_in_them() -> None:
    network = build().train()
    quiet_frozen(network)
    assert [module.training for module in network[0].modules()] == [False] * 4
    assert network.training and network[1].training and network[2].training


def test_what_training_changes() -> None:
    network = build()
    names = trained_names(network)
    assert set(names) == {
        f"1.{x}" for x in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    }
    before = {key: value.clone() for key, value in network.state_dict().items()}
    network.train()
    quiet_frozen(network)
    network(torch.rand(4, 2)).sum().backward()
    torch.optim.SGD([value for value in network.parameters() if value.requires_grad], 1.0).step()
    changed = {key for key, value in network.state_dict().items() if not torch.equal(value, before[key])}
    assert changed <= set(names) and "1.bias" in changed


def test_buffers_that_are_not_kept_are_not_named() -> None:
    network = nn.Linear(2, 2)
    network.register_buffer("mean", torch.ones(1), persistent=False)
    assert trained_names(network) == ("weight", "bias")


def test_a_module_without_weights_is_frozen() -> None:
    assert is_frozen(nn.Identity()) and not is_frozen(nn.Linear(1, 1))
