"""Official names and shapes become ours, strictly; classes that differ keep their start values."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from toy_mammo_dino import SMALL, official_shapes, official_state

from common.errors import ClassifierError
from common.networks.focalnet_dino.build import SIZES
from common.networks.focalnet_dino.convert import import_weights, load_detector, rename_official
from common.networks.focalnet_dino.model import FocalNetDino


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As the official trainer saves it: weights beside its options."""
    path = tmp_path_factory.mktemp("official") / "checkpoint.pth"
    torch.save({"model": official_state(SMALL), "args": argparse.Namespace(lr=1e-4), "epoch": 11}, path)
    return path


def test_every_name_of_the_published_size_has_its_place() -> None:
    """869 tensors in the official state dict, heads counted as often as they stand there."""
    sizes = replace(SIZES["large_fl4"], num_classes=91)
    shapes = official_shapes(sizes)
    assert len(shapes) == 869
    renamed = rename_official(
        {name: torch.zeros(()).expand(shape) for name, shape in shapes.items()}, "large"
    )
    with torch.device("meta"):
        ours = _build_on_meta(sizes).state_dict()
    assert {name: value.shape for name, value in renamed.items()} == {k: v.shape for k, v in ours.items()}


def _build_on_meta(sizes) -> FocalNetDino:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FocalNetDino, "_reset", lambda self: None)  # start values cannot be looked at there
        return FocalNetDino(sizes)


def test_official_file_is_loaded_directly(official: Path) -> None:
    network = FocalNetDino(SMALL)
    assert load_detector(network, official) == []
    expected = official_state(SMALL)["bbox_embed.1.layers.2.weight"]
    torch.testing.assert_close(network.decoder.bbox_embed.layers[2].weight, expected)


def test_converted_file_is_the_same_network(official: Path, tmp_path: Path) -> None:
    import_weights(official, tmp_path / "ours.pt")
    first, second = FocalNetDino(SMALL), FocalNetDino(SMALL)
    load_detector(first, official)
    load_detector(second, tmp_path / "ours.pt")
    for name, value in first.state_dict().items():
        torch.testing.assert_close(second.state_dict()[name], value, atol=0, rtol=0)


def test_other_classes_keep_their_start_values(official: Path) -> None:
    network = FocalNetDino(replace(SMALL, num_classes=1))
    before = network.decoder.class_embed.weight.clone()
    kept = load_detector(network, official)
    assert sorted(kept) == [
        "decoder.class_embed.bias",
        "decoder.class_embed.weight",
        "label_enc.weight",
        "selection.enc_out_class_embed.bias",
        "selection.enc_out_class_embed.weight",
    ]
    torch.testing.assert_close(network.decoder.class_embed.weight, before)


def test_another_architecture_is_refused(official: Path) -> None:
    with pytest.raises(
        ClassifierError, match=r"checkpoint.pth: expected the tensors of FocalNetDino, but it"
    ):
        load_detector(FocalNetDino(SIZES["tiny"]), official)


def test_heads_of_their_own_are_refused() -> None:
    state = official_state(SMALL)
    state["bbox_embed.1.layers.2.bias"] = state["bbox_embed.1.layers.2.bias"] + 1
    with pytest.raises(
        ClassifierError, match=r"x.pth: expected heads that all decoder layers share, got diff"
    ):
        rename_official(state, "x.pth")


def test_other_weights_are_not_converted(tmp_path: Path) -> None:
    torch.save({"conv.weight": torch.zeros(1)}, tmp_path / "resnet.pth")
    with pytest.raises(
        ClassifierError, match=r"resnet.pth: expected a FocalNet-DINO detector, got other tensors"
    ):
        import_weights(tmp_path / "resnet.pth", tmp_path / "ours.pt")
    assert not (tmp_path / "ours.pt").exists()
