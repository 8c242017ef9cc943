"""Deltas: round trip, size, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from toy_ksam import SIZE_PX, build_toy

from common.errors import ClassifierError
from common.layers.lora import merge_lora
from common.networks.card import WeightsCard
from ksam.delta import Delta, load_delta, read_delta, save_delta
from ksam.knowledge_sam import KSam

CARD = WeightsCard("discs", "3", "demonstration", "generated discs, no licence needed")


def train(network: KSam) -> KSam:
    """Other weights, and a bank of two structures."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for value in network.trainable_parameters():
            value.add_(0.1 * torch.randn(value.shape, generator=generator))
    images = torch.randint(0, 256, (2, 1, 3, SIZE_PX, SIZE_PX), generator=generator).float()
    network.set_bank(images, (images[:, :, :1] > 99).float(), ("disc", "cup"))
    return network


@pytest.fixture(scope="module")
def trained() -> KSam:
    return train(build_toy(lora_rank=2))


@pytest.fixture(scope="module")
def saved(trained: KSam, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("delta") / "discs.safetensors"
    save_delta(trained, path, CARD, fp16=False)
    return path


def rewrite(path: Path, target: Path, drop: str = "", **metadata: str) -> Path:
    """The same delta with other metadata, or without a tensor."""
    read = read_delta(path)
    original = {
        "format": "ksam-delta-1",
        "options": json.dumps(read.options.as_json()),
        "base_name": read.base_name,
        "base_sha256": read.base_sha256,
        "structures": json.dumps(read.structures),
        "card": json.dumps(
            {"name": "discs", "version": "3", "purpose": "demonstration", "training_data": "x"}
        ),
    }
    tensors = {key: value for key, value in load_file(path).items() if key != drop}
    save_file(tensors, target, original | metadata)
    return target


def test_round_trip_in_fp32_is_exact(trained: KSam, saved: Path) -> None:
    network = build_toy(lora_rank=2)
    load_delta(network, saved, structures=2)
    for name, value in trained.state_dict().items():
        assert torch.equal(network.state_dict()[name], value), name
    image = torch.rand(1, 3, SIZE_PX, SIZE_PX) * 255
    with torch.no_grad():
        assert torch.equal(network(image), trained(image))
    assert network.bank.names == ("disc", "cup")
    assert (network.card.name, network.card.version, network.card.purpose) == ("discs", "3", "demonstration")
    assert len(network.card.sha256) == 64


def test_fp16_is_half_the_size_and_close(trained: KSam, saved: Path, tmp_path: Path) -> None:
    card = save_delta(trained, tmp_path / "half.safetensors", CARD, notes={"patients": "a,b"})
    read = read_delta(tmp_path / "half.safetensors")
    assert card == read.card
    assert read.notes == {"patients": "a,b"}
    assert (tmp_path / "half.safetensors").stat().st_size < 0.51 * saved.stat().st_size
    for name in trained.trained_names:
        torch.testing.assert_close(read.state[name], trained.get_parameter(name).data, rtol=1e-3, atol=1e-6)


def test_holds_the_trained_part_and_the_bank_only(trained: KSam, saved: Path) -> None:
    bank = {"bank.images", "bank.masks", "bank.index"}
    assert set(load_file(saved)) == bank | set(trained.trained_names)
    assert not any("image_encoder" in name and "lora" not in name for name in trained.trained_names)


def test_refuses_other_backbone_options_and_weights(saved: Path, tmp_path: Path) -> None:
    read = read_delta(saved)
    options = read.options.as_json() | {"backbone": "vit_b"}
    other = rewrite(saved, tmp_path / "vit.safetensors", options=json.dumps(options))
    with pytest.raises(
        ClassifierError, match="expected the backbone 'vit_b' that it was trained on, got 'lite'"
    ):
        load_delta(build_toy(lora_rank=2), other)
    with pytest.raises(ClassifierError, match="discs: expected lora_rank 2, as it was trained, got 0"):
        load_delta(build_toy(), saved)
    with pytest.raises(
        ClassifierError, match=r"expected backbone weights untrained with sha256 \w{12}\.\.\., got"
    ):
        load_delta(build_toy(seed=1, lora_rank=2), saved)


def test_refuses_more_structures_than_the_bank_has(saved: Path) -> None:
    with pytest.raises(ClassifierError, match="expected a prompt bank of 3 structures, got one of 2"):
        load_delta(build_toy(lora_rank=2), saved, structures=3)


def test_refusal_leaves_the_network_as_it_was(saved: Path, tmp_path: Path) -> None:
    network = build_toy(lora_rank=2)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with pytest.raises(ClassifierError, match="lacks pr_adaptor.gain"):
        load_delta(network, rewrite(saved, tmp_path / "less.safetensors", drop="pr_adaptor.gain"))
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_refuses_what_is_no_delta(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "text.safetensors").write_text("nothing")
    save_file({"x": torch.zeros(1)}, tmp_path / "plain.safetensors")
    files = [
        tmp_path / "missing.safetensors",
        tmp_path / "text.safetensors",
        tmp_path / "plain.safetensors",
        rewrite(saved, tmp_path / "old.safetensors", format="ksam-delta-0"),
        rewrite(saved, tmp_path / "bankless.safetensors", drop="bank.masks"),
        rewrite(saved, tmp_path / "options.safetensors", options='{"backbone": "lite", "km_width": 3}'),
    ]
    for path in files:
        with pytest.raises(
            ClassifierError, match=rf"{path.name}: expected a delta of KSAM \(ksam-delta-1\), got"
        ):
            read_delta(path)


def test_does_not_write_what_is_not_finite(tmp_path: Path) -> None:
    network = build_toy()
    with torch.no_grad():
        network.pr_adaptor.gain.fill_(1e6)  # beyond fp16
    with pytest.raises(ClassifierError, match="expected finite weights"):
        save_delta(network, tmp_path / "x.safetensors", CARD)
    assert list(tmp_path.iterdir()) == []


def test_does_not_write_a_network_whose_lora_was_merged(tmp_path: Path) -> None:
    network = build_toy(lora_rank=2)
    merge_lora(network.sam.image_encoder)
    with pytest.raises(ClassifierError, match="save before LoRA is merged"):
        save_delta(network, tmp_path / "x.safetensors", CARD)


def test_delta_that_was_read_serves_many_networks(saved: Path) -> None:
    read: Delta = read_delta(saved)
    for _ in range(2):
        load_delta(build_toy(lora_rank=2), read)
