"""Building from configs: without files, from a whole state dict, refusals."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from toy_mmbcd import TOY, build_toy_mmbcd

from common.errors import ClassifierError, ConfigError
from mmbcd.network import build_mmbcd


def test_the_architecture_alone_answers_to_a_picture_alone() -> None:
    """As the Model Zoo's check asks it: one random image, no file."""
    network = build_toy_mmbcd()
    logits = network(torch.rand(1, 3, 3, 16, 16))
    assert logits.shape == (1, 2) and logits.dtype == torch.float32
    assert network.card.purpose == "untrained" and not network.training


@pytest.mark.parametrize("preset", ["paper", "released_code", "default"])
def test_every_preset_answers_to_a_picture_alone(preset: str) -> None:
    network = build_toy_mmbcd(preset=preset, projection=0 if preset == "paper" else 16)
    assert network(torch.rand(2, 3, 3, 16, 16)).isfinite().all()


def test_a_whole_state_dict(tmp_path: Path) -> None:
    network, image = build_toy_mmbcd(seed=3), torch.rand(1, 3, 3, 16, 16)
    torch.save(network.state_dict(), tmp_path / "model.pt")
    again = build_mmbcd(tmp_path / "model.pt", **TOY)
    assert torch.equal(again(image), network(image))
    assert again.card.name == "model" and again.card.purpose == "unstated" and again.card.sha256
    with pytest.raises(
        ClassifierError, match="model.pt: expected the tensors of Mmbcd, but it has other shapes"
    ):
        build_mmbcd(tmp_path / "model.pt", **(TOY | {"hidden": 9}))


def test_files_that_are_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ClassifierError, match="weights: expected a file with weights, got 'a.pt', which is not"
    ):
        build_mmbcd(tmp_path / "a.pt", **TOY)
    with pytest.raises(ClassifierError, match="vision_weights: expected a file with weights, got 'b.pth'"):
        build_mmbcd(vision_weights=tmp_path / "b.pth", **TOY)


def test_unknown_options_are_refused() -> None:
    with pytest.raises(ConfigError, match="got 'fusion': "):
        build_mmbcd(pretrained=False, fusion="paper")
