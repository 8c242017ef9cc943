"""Precision, optimizer and learning-rate schedule by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from common.errors import ConfigError
from common.training.optimisation import GradientClip, PrecisionInferer, build_optimizer, build_scheduler


def test_precision() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(48, 3))
    image = torch.randint(0, 9, (2, 3, 4, 4), dtype=torch.uint8)
    exact, rough = (PrecisionInferer(kind)(image, network) for kind in ("fp32", "bf16"))
    assert exact.dtype == rough.dtype == torch.float32
    assert torch.equal(exact, network(image.float())) and torch.allclose(exact, rough, atol=0.2)
    assert not torch.equal(exact, rough)
    with pytest.raises(ConfigError, match="precision: expected fp32 or bf16, got 'fp16'"):
        PrecisionInferer("fp16")


def test_optimizer_leaves_biases_undecayed() -> None:
    network = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))
    network[0].requires_grad_(False)
    optimizer = build_optimizer(network, "adamw", 1e-3, 0.1)
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert decay[id(network[2].bias)] == 0.0 and decay[id(network[2].weight)] == 0.1
    assert decay[id(network[1].weight)] == 0.0 and len(decay) == 4
    assert all(group["betas"] == (0.9, 0.999) for group in optimizer.param_groups)


def test_optimizer_refusals() -> None:
    network = nn.Linear(1, 1)
    with pytest.raises(ConfigError, match="optimizer: expected adamw or adam, got 'sgd'"):
        build_optimizer(network, "sgd", 1e-3, 0.1)
    with pytest.raises(ConfigError, match="learning_rate: expected a positive number"):
        build_optimizer(network, "adam", 0.0, 0.1)
    with pytest.raises(ConfigError, match=r"betas: expected two numbers in \[0, 1\), got \(0.9, 1.0\)"):
        build_optimizer(network, "adam", 1e-3, 0.1, (0.9, 1.0))


def test_rates_of_modules() -> None:
    network = nn.ModuleDict({"backbone": nn.Linear(2, 2), "head": nn.Linear(2, 1)})
    optimizer = build_optimizer(network, "adamw", 1e-2, 0.1, rates={"backbone": 0.1})
    found = {id(p): (g["lr"], g["weight_decay"]) for g in optimizer.param_groups for p in g["params"]}
    expected = {"backbone.weight": (1e-3, 0.1), "backbone.bias": (1e-3, 0.0)}
    expected |= {"head.weight": (1e-2, 0.1), "head.bias": (1e-2, 0.0)}
    for name, parameter in network.named_parameters():
        assert found[id(parameter)] == pytest.approx(expected[name])
    assert optimizer.param_groups[-1]["lr"] == pytest.approx(1e-2)
    build_scheduler(optimizer, 1, "constant", 4, 2)  # the warm-up starts at a tenth of each
    assert sorted({round(g["lr"], 9) for g in optimizer.param_groups}) == [1e-4, 1e-3]
    for rates, got in (({"neck": 0.1}, "neck: 0.1"), ({"head": 0.0}, "head: 0.0")):
        with pytest.raises(ConfigError, match=f"rates: expected factors above 0 .* got {got}"):
            build_optimizer(network, "adamw", 1e-2, 0.1, rates=rates)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [("cosine", [0.1, 0.55, 1.0, 0.8535534, 0.5, 0.1464466]), ("constant", [0.1, 0.55, 1.0, 1.0, 1.0, 1.0])],
)
def test_schedule_by_hand(schedule: str, expected: list[float]) -> None:
    """Two steps of warm-up from a tenth, then (1 + cos(pi t)) / 2 with t = 0, 1/4, 1/2, 3/4, or 1."""
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    scheduler = build_scheduler(optimizer, 2, schedule, epochs=3, warmup_epochs=1)
    rates = []
    for _ in expected:
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates == pytest.approx(expected)


def test_the_floor_of_the_cosine_by_hand() -> None:
    """Four steps, no warm-up: 2 (1 + cos(pi t)) / 2 at t = 0, 1/4, 1/2, 3/4, 1, never below 3 % of 2."""
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=2.0)
    scheduler = build_scheduler(optimizer, 1, "cosine", epochs=4, warmup_epochs=0, floor=0.03)
    rates = []
    for _ in range(6):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates[:5] == pytest.approx([2.0, 1.7071068, 1.0, 0.2928932, 0.06])
    assert min(rates) == pytest.approx(0.06)


def test_a_resumed_run_keeps_the_floor_that_it_started_with() -> None:
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    started = build_scheduler(optimizer, 1, "cosine", epochs=2, warmup_epochs=0).state_dict()
    resumed = build_scheduler(optimizer, 1, "cosine", epochs=2, warmup_epochs=0, floor=0.5)
    resumed.load_state_dict(started)
    for _ in range(2):
        optimizer.step()
        resumed.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.0, abs=1e-9)


def test_unknown_schedule() -> None:
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters())
    with pytest.raises(ConfigError, match="schedule: expected cosine or constant, got 'step'"):
        build_scheduler(optimizer, 1, "step", 1, 0)
    with pytest.raises(ConfigError, match="epochs: expected at least 1, got 0"):
        build_scheduler(optimizer, 1, "cosine", 0, 0)
    with pytest.raises(ConfigError, match="floor: expected a share from 0 to below 1, got 1"):
        build_scheduler(optimizer, 1, "cosine", 1, 0, floor=1)


def test_gradients_are_clipped() -> None:
    layer = nn.Linear(2, 1, bias=False)
    layer.weight.grad = torch.tensor([[3.0, 4.0]])
    GradientClip(layer, 1.0)._clip()
    assert layer.weight.grad.tolist()[0] == pytest.approx([0.6, 0.8])
    with pytest.raises(ConfigError, match=r"clip_norm: expected 0 \(off\) or more, got -1"):
        GradientClip(layer, -1.0)
