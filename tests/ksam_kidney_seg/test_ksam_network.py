"""Builders: from a backbone's file, a delta, a whole state dict, or nothing."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_ksam import OPTIONS, SIZE_PX, SIZES

from common.errors import ClassifierError, ConfigError
from common.networks.card import WeightsCard
from common.networks.sam import BACKBONES, build_sam
from ksam.delta import save_delta
from ksam.network import KSam, build_ksam, build_network

TOY: dict[str, Any] = {**OPTIONS, "image_size": SIZE_PX}


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACKBONES, "toy", SIZES)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of the toy's backbone, as a checkpoint."""
    torch.manual_seed(3)
    path = tmp_path_factory.mktemp("base") / "toy_sam.pth"
    torch.save(build_sam(SIZES, SIZE_PX).state_dict(), path)
    return path


@pytest.fixture
def trained(base: Path) -> KSam:
    network = build_ksam("toy", base, **TOY)
    with torch.no_grad():
        for value in network.trainable_parameters():
            value.add_(0.05)
    images = torch.randint(0, 256, (2, 1, 3, SIZE_PX, SIZE_PX)).float()
    network.set_bank(images, (images[:, :, :1] > 99).float(), ("disc", "cup"))
    return network


@pytest.fixture
def delta(trained: KSam, tmp_path: Path) -> Path:
    save_delta(trained, tmp_path / "toy.safetensors", WeightsCard("toy", "1", "demonstration"), fp16=False)
    return tmp_path / "toy.safetensors"


def same(one: KSam, other: KSam) -> bool:
    image = torch.rand(1, 3, SIZE_PX, SIZE_PX) * 255
    with torch.no_grad():
        return torch.equal(one(image), other(image))


def test_base_is_loaded_and_named(base: Path) -> None:
    network = build_ksam("toy", base, **TOY)
    state = torch.load(base, weights_only=True)
    assert all(torch.equal(network.sam.state_dict()[key], value) for key, value in state.items())
    assert (network.base_name, network.base_sha256) == (
        "toy_sam.pth",
        hashlib.sha256(base.read_bytes()).hexdigest(),
    )
    assert not network.training


def test_delta_brings_backbone_options_and_bank(base: Path, trained: KSam, delta: Path) -> None:
    for network in (build_ksam(weights=base, delta=delta), build_network(delta, base, structures=2)):
        assert network.options == trained.options
        assert network.card.purpose == "demonstration"
        assert same(network, trained)


def test_whole_state_dict(trained: KSam, tmp_path: Path) -> None:
    torch.save(trained.state_dict(), tmp_path / "model.pt")
    network = build_network(tmp_path / "model.pt", structures=2, backbone="toy", **TOY)
    assert same(network, trained)
    assert (network.card.name, network.card.purpose) == ("model", "unstated")
    with pytest.raises(
        ClassifierError, match="model.pt: expected a prompt bank of 3 structures, got one of 2"
    ):
        build_network(tmp_path / "model.pt", structures=3, backbone="toy", **TOY)
    with pytest.raises(ClassifierError, match="model.pt: expected the tensors of KSam"):
        build_network(tmp_path / "model.pt", backbone="toy", **{**TOY, "pm_depth": 2})


def test_untrained_answers_with_a_placeholder_bank() -> None:
    network = build_network("nowhere.safetensors", pretrained=False, structures=3, backbone="toy", **TOY)
    with torch.no_grad():
        assert network(torch.zeros(1, 3, SIZE_PX, SIZE_PX)).shape == (1, 3, SIZE_PX, SIZE_PX)
    assert network.card.purpose == "untrained"


def test_refuses_missing_files(base: Path, delta: Path) -> None:
    for arguments, name in (
        ((None, base), "weights"),
        (("no.pt", base), "weights"),
        ((delta, "no.pth"), "base"),
    ):
        with pytest.raises(ClassifierError, match=f"{name}: expected a file with weights, got"):
            build_network(*arguments)


def test_refuses_another_base(base: Path, delta: Path, tmp_path: Path) -> None:
    state = torch.load(base, weights_only=True)
    torch.save({key: value + 1 for key, value in state.items()}, tmp_path / "other.pth")
    with pytest.raises(ClassifierError, match=r"expected backbone weights toy_sam\.pth .* got other\.pth"):
        build_ksam(weights=tmp_path / "other.pth", delta=delta)
    with pytest.raises(ClassifierError, match=r"expected backbone weights toy_sam\.pth .* got untrained"):
        build_ksam(delta=delta)


def test_refuses_what_contradicts_the_delta(base: Path, delta: Path) -> None:
    with pytest.raises(ClassifierError, match="toy: expected the backbone 'toy' .* got 'lite'"):
        build_ksam("lite", base, delta)
    with pytest.raises(ConfigError, match="pm_depth: expected 1, as the delta toy was trained, got 3"):
        build_ksam(weights=base, delta=delta, pm_depth=3)
    with pytest.raises(ConfigError, match="did you mean 'pm_depth'"):
        build_ksam(weights=base, delta=delta, pm_dept=3)
    assert build_ksam(weights=base, delta=delta, pm_depth=1).options.pm_depth == 1


def test_refuses_unknown_names() -> None:
    with pytest.raises(ConfigError, match="backbone: expected one of .*, got 'huge'"):
        build_ksam("huge")
    with pytest.raises(ConfigError, match="did you mean 'lora_rank'"):
        build_ksam("toy", lora_ranks=3)
