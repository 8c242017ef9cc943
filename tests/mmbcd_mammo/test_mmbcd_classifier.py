"""The network: from ROIs and tokens to logits, histories that are missing, what is trained, export."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from toy_mmbcd import TOY, build_toy_mmbcd, write_toy_encoders

from common.engines.tensors import build_tensor_engine
from common.errors import ClassifierError
from mmbcd.network import Mmbcd, build_mmbcd

HISTORIES = ["Lump in the left breast", None, "  "]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_toy_encoders(tmp_path_factory.mktemp("encoders"))


@pytest.fixture
def network(files: dict[str, Path]) -> Mmbcd:
    torch.manual_seed(0)
    network = build_mmbcd(**files, **TOY)
    nn.init.normal_(network.missing)  # type: ignore[arg-type]
    return network


def rois(count: int = 3, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 3, 3, 16, 16, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def test_each_place_is_encoded_as_a_picture_of_its_own(network: Mmbcd) -> None:
    image = rois()
    features = network.encode_rois(image)
    assert torch.allclose(features[1, 2], network.vision(image[1:2, :, 2])[0], atol=1e-6)


@torch.no_grad()
def test_forward_is_its_three_steps(network: Mmbcd) -> None:
    tokens, mask = network.tokenize(HISTORIES), torch.tensor([[1, 1, 0], [1, 1, 1], [1, 0, 0]]).bool()
    text = network.encode_text(tokens["input_ids"], tokens["attention_mask"])
    output = network.fuse(network.encode_rois(rois()), mask, text, tokens["has_history"])
    assert torch.equal(network(rois(), **tokens, roi_mask=mask), output.logits)
    assert output.image_logits.shape == (3, 2) and output.attention.shape == (3, 3)
    assert output.attention[~mask].tolist() == [0, 0, 0]


def test_blank_histories_are_missing_and_the_prompt_is_put_around(network: Mmbcd) -> None:
    tokens = network.tokenize(HISTORIES)
    assert tokens["has_history"].tolist() == [True, False, False]
    text = network.text.tokenizer.decode(tokens["input_ids"][0], skip_special_tokens=True)  # type: ignore[union-attr]
    assert text == "Indication: Lump in the left breast"
    assert network.tokenize(HISTORIES, full=True)["input_ids"].shape == (3, 90)


@torch.no_grad()
def test_a_missing_history_is_the_same_however_it_is_said(network: Mmbcd) -> None:
    tokens = network.tokenize(["lump", None, "pain"])
    some = network(rois(), **tokens)
    none = network(rois())
    other = network(rois(), tokens["input_ids"], tokens["attention_mask"], has_history=torch.zeros(3).bool())
    assert torch.equal(none, other) and torch.allclose(some[1], none[1], atol=1e-6)
    assert (some[0] - none[0]).abs().max() > 1e-4


@torch.no_grad()
def test_an_empty_history_is_the_prompt_alone(files: dict[str, Path]) -> None:
    network = build_mmbcd(**files, **TOY, missing_history="empty")
    tokens = network.text.tokenize(["Indication: "] * 3)  # type: ignore[union-attr]
    assert torch.allclose(network(rois()), network(rois(), **tokens), atol=1e-6)
    assert torch.allclose(network(rois(), **network.tokenize([None] * 3)), network(rois()), atol=1e-6)
    assert network.missing is None


@torch.no_grad()
def test_the_image_only_score_does_not_see_the_history(network: Mmbcd) -> None:
    features, text = network.encode_rois(rois()), torch.randn(2, 3, 64)
    one, two = (network.fuse(features, None, history) for history in text)
    assert torch.equal(one.image_logits, two.image_logits) and not torch.equal(one.logits, two.logits)


@torch.no_grad()
def test_without_text_there_is_one_score() -> None:
    network = build_toy_mmbcd(use_text=False)
    output = network.fuse(network.encode_rois(rois()))
    assert torch.equal(output.logits, output.image_logits)
    assert torch.equal(network(rois(), torch.ones(3, 4).long()), output.logits)
    with pytest.raises(ClassifierError, match="history: expected a network with text, got use_text false"):
        network.tokenize(["lump"])


def test_histories_are_dropped_in_training_only() -> None:
    network = build_toy_mmbcd(history_dropout=0.5, dropout=0.0, attention_dropout=0.0)
    features, text = torch.randn(1, 3, 128).expand(400, -1, -1), torch.randn(1, 64).expand(400, -1)
    torch.manual_seed(0)
    with torch.no_grad():
        trained = network.train().fuse(features, None, text).logits.unique(dim=0)
        share = (network.fuse(features, None, text).logits == trained[0]).all(dim=1).float().mean()
        still = network.eval().fuse(features, None, text).logits.unique(dim=0)
    assert len(trained) == 2 and len(still) == 1
    assert share.item() == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("gradient", [True, False])
def test_the_image_only_loss_trains_what_the_option_says(gradient: bool) -> None:
    network = build_toy_mmbcd(image_gradient=gradient).train()
    network.fuse(network.encode_rois(rois())).image_logits.sum().backward()
    assert (network.vision.body.norm.weight.grad is not None) is gradient
    assert all(value.grad is not None for value in network.image_head.parameters())  # type: ignore[union-attr]


def test_the_missing_history_is_learned() -> None:
    network = build_toy_mmbcd(history_dropout=0.0).train()
    network.fuse(torch.randn(2, 3, 128)).logits.sum().backward()
    assert network.missing is not None and network.missing.grad is not None and network.missing.grad.any()


@pytest.mark.parametrize("preset", ["paper", "released_code", "default"])
@pytest.mark.parametrize("bf16", [False, True])
def test_everything_that_is_trained_has_a_gradient(preset: str, bf16: bool, files: dict[str, Path]) -> None:
    """Also where no history is missing, and in mixed precision."""
    size = 0 if preset == "paper" else 16
    network = build_mmbcd(**files, **(TOY | {"preset": preset, "projection": size})).train()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        output = network.fuse(
            network.encode_rois(rois()),
            torch.tensor([[1, 1, 0], [1, 0, 0], [1, 1, 1]]),
            network.encode_text(**network.text.tokenize(["lump", "pain", "lump"])),  # type: ignore[union-attr]
        )
    (output.logits.float().sum() + output.image_logits.float().sum()).backward()
    without = [name for name, value in network.named_parameters() if value.grad is None]
    assert not without
    assert all(value.grad.isfinite().all() for value in network.parameters() if value.grad is not None)


@pytest.mark.parametrize(
    ("options", "groups", "frozen"),
    [
        ({}, ["vision", "text", "fusion"], (False, False)),
        ({"frozen_blocks": 4}, ["text", "fusion"], (True, False)),
        ({"frozen_blocks": 4, "text_trained_layers": 0}, ["fusion"], (True, True)),
        ({"frozen_blocks": 3, "use_text": False}, ["vision", "fusion"], (False, True)),
    ],
)
def test_groups_of_what_is_trained(
    options: dict[str, Any], groups: list[str], frozen: tuple[bool, bool]
) -> None:
    network = build_toy_mmbcd(**options)
    found = network.trained_parameters()
    assert [group["name"] for group in found] == groups
    assert (network.vision_frozen, network.text_frozen) == frozen
    count = sum(value.numel() for group in found for value in group["params"])
    assert count == sum(value.numel() for value in network.parameters() if value.requires_grad)
    torch.optim.AdamW(found, lr=1e-4)


def test_fusion_learns_from_kept_features_of_frozen_encoders() -> None:
    """The label stands in one feature of one ROI, and only where the history asks for it."""
    torch.manual_seed(0)
    network = build_toy_mmbcd(frozen_blocks=4, text_trained_layers=0, history_dropout=0.0).train()
    features, text = torch.randn(64, 3, 128), torch.randn(2, 64)[torch.arange(64) % 2]
    label = ((features[:, :, 0].amax(dim=1) > 0.8) & (torch.arange(64) % 2 == 0)).long()
    optimizer = torch.optim.AdamW(network.trained_parameters(), lr=3e-3)
    for _ in range(60):
        loss = F.cross_entropy(network.fuse(features, None, text).logits, label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        found = network.eval().fuse(features, None, text).logits.argmax(dim=1)
    assert (found == label).float().mean() > 0.95


@torch.no_grad()
def test_torchscript_and_openvino_answer_alike(network: Mmbcd) -> None:
    """The whole network in one graph, with a fixed number of places and any number of pictures."""
    tokens, mask = network.tokenize(HISTORIES, full=True), torch.tensor([[1, 1, 0], [1, 0, 0], [0, 0, 0]])
    inputs = [rois(), tokens["input_ids"], tokens["attention_mask"], mask, tokens["has_history"]]
    numbers = [tensor.float() for tensor in inputs]
    wanted, two = network(*inputs), [tensor[:2] for tensor in numbers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(network, two)
    assert torch.allclose(traced(*numbers), wanted, atol=1e-5)
    engine = build_tensor_engine(network, two, "openvino", "fp32")
    assert torch.allclose(engine(*numbers), wanted, atol=1e-4)


def test_rois_of_another_size_are_refused() -> None:
    message = r"image: expected ROIs \(B, 3, K, 16, 16\), got \(1, 3, 3, 8, 8\): cut them at image_size"
    with pytest.raises(ClassifierError, match=message):
        build_toy_mmbcd()(torch.rand(1, 3, 3, 8, 8))
