"""The mean of the weights by hand; it is used for validation and given back."""

from __future__ import annotations

import pytest
import torch
from ignite.engine import Engine
from toy_ksam import build_toy

from common.errors import ConfigError
from ksam.averaging import AverageInUse, WeightAverage


def fill(network: torch.nn.Module, number: float) -> None:
    with torch.no_grad():
        for value in network.trainable_parameters():  # type: ignore[operator]
            value.fill_(number)


def test_mean_by_hand() -> None:
    """n = 0: d = min(0.5, 1/10), n = 1: d = min(0.5, 2/11), n = 20: d = 0.5."""
    network = build_toy()
    average = WeightAverage(network, 0.5)
    fill(network, 1.0)
    average.update()
    fill(network, 2.0)
    average.update()
    assert average.mean[0].flatten()[0].item() == pytest.approx(1 * 2 / 11 + 2 * 9 / 11)
    average.steps, before = 20, average.mean[0].flatten()[0].item()
    average.update()
    assert average.mean[0].flatten()[0].item() == pytest.approx((before + 2) / 2)


def test_in_use_and_given_back() -> None:
    network = build_toy()
    average = WeightAverage(network, 0.9)
    fill(network, 1.0)
    average.update()
    fill(network, 5.0)
    with average.in_use():
        assert network.trainable_parameters()[0].flatten()[0].item() == 1.0
    assert network.trainable_parameters()[0].flatten()[0].item() == 5.0
    seen = []
    engine = Engine(lambda *_: seen.append(network.trainable_parameters()[0].flatten()[0].item()))
    AverageInUse(average).attach(engine)
    engine.run([0])
    assert seen == [1.0] and network.trainable_parameters()[0].flatten()[0].item() == 5.0
    again = WeightAverage(build_toy(), 0.9)
    again.load_state_dict(average.state_dict())
    assert again.steps == 1 and torch.equal(again.mean[0], average.mean[0])


def test_off_is_off() -> None:
    network = build_toy()
    average = WeightAverage(network)
    engine = Engine(lambda *_: None)
    average.attach(engine)
    engine.run([0])
    assert average.steps == 0
    with average.in_use():
        assert average.mean == []
    with pytest.raises(ConfigError, match=r"average: expected 0 \(off\) to below 1, got 1.0"):
        WeightAverage(network, 1.0)
