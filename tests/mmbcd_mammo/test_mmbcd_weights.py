"""Trained weights: what is written comes back, on the encoders that it belongs to and on no others."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from toy_mmbcd import CORPUS, TOY, build_toy_mmbcd, write_toy_encoders

from common.errors import ClassifierError, ConfigError
from common.networks.card import WeightsCard
from common.networks.sam_weights import hash_file
from common.networks.text_folders import write_tiny_folder
from mmbcd.network import Mmbcd, build_mmbcd
from mmbcd.weights import describe_bases, load_weights, read_weights, save_weights

CARD = WeightsCard("toy", "3", "demonstration", "phantoms (CC0)")
PARTLY: dict[str, Any] = {**TOY, "frozen_blocks": 3, "text_trained_layers": 1}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_toy_encoders(tmp_path_factory.mktemp("encoders"))


def train(network: Mmbcd) -> Mmbcd:
    """As if: every trained tensor changes."""
    torch.manual_seed(2)
    with torch.no_grad():
        for group in network.trained_parameters():
            for value in group["params"]:
                value.add_(torch.randn_like(value) * 0.1)
    return network


def answer(network: Mmbcd) -> torch.Tensor:
    image = torch.rand(2, 3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return network(image, **network.tokenize(["lump", None]))


@pytest.mark.parametrize("options", [PARTLY, {**PARTLY, "preset": "released_code"}, TOY])
def test_what_is_written_comes_back(options: dict[str, Any], files: dict[str, Path], tmp_path: Path) -> None:
    network = train(build_mmbcd(**files, **options))
    card = save_weights(network, tmp_path / "toy.safetensors", CARD, fp16=False, notes={"epochs": 3})
    again = build_mmbcd(tmp_path / "toy.safetensors", **files)
    assert torch.equal(answer(again), answer(network))
    assert again.options == network.options and again.card == card
    assert card.sha256 == hash_file(tmp_path / "toy.safetensors") and card.purpose == "demonstration"
    assert read_weights(tmp_path / "toy.safetensors").notes == {"epochs": 3}


def test_half_precision_is_half_the_size(files: dict[str, Path], tmp_path: Path) -> None:
    network = train(build_mmbcd(**files, **PARTLY))
    for name, fp16 in (("half", True), ("full", False)):
        save_weights(network, tmp_path / f"{name}.safetensors", CARD, fp16)
    half, full = ((tmp_path / f"{name}.safetensors").stat().st_size for name in ("half", "full"))
    assert half < 0.55 * full
    assert torch.allclose(
        answer(build_mmbcd(tmp_path / "half.safetensors", **files)), answer(network), atol=0.01
    )


def test_only_what_is_trained_is_in_the_file(files: dict[str, Path], tmp_path: Path) -> None:
    network = build_mmbcd(**files, **PARTLY)
    save_weights(network, tmp_path / "toy.safetensors", CARD)
    names = set(read_weights(tmp_path / "toy.safetensors").state)
    assert names == {name for name, value in network.named_parameters() if value.requires_grad}
    assert not any(name.startswith("vision.body.blocks.0") for name in names)


def test_weights_of_wholly_trained_encoders_need_no_vision_file(
    files: dict[str, Path], tmp_path: Path
) -> None:
    network = train(build_mmbcd(**files, **TOY))
    save_weights(network, tmp_path / "toy.safetensors", CARD, fp16=False)
    again = build_mmbcd(tmp_path / "toy.safetensors", text_folder=files["text_folder"])
    assert torch.equal(answer(again), answer(network))


def test_encoders_are_found_by_the_names_that_the_weights_rest_on(
    files: dict[str, Path], tmp_path: Path
) -> None:
    network = train(build_mmbcd(**files, **PARTLY))
    save_weights(network, tmp_path / "toy.safetensors", CARD, fp16=False)
    folder = files["text_folder"].parent
    again = build_mmbcd(tmp_path / "toy.safetensors", encoders=folder)
    assert torch.equal(answer(again), answer(network))
    with pytest.raises(ClassifierError, match="frozen tensors of the vision encoder tiny from 'vision.pt'"):
        build_mmbcd(tmp_path / "toy.safetensors", encoders=tmp_path)


def test_the_card_beside_is_for_people(files: dict[str, Path], tmp_path: Path) -> None:
    network = build_mmbcd(**files, **PARTLY)
    card = save_weights(network, tmp_path / "toy.safetensors", CARD)
    shown = json.loads((tmp_path / "toy.json").read_text())
    assert shown["card"] == card.as_json() and shown["options"]["preset"] == "default"
    assert shown["bases"] == describe_bases(network)
    assert shown["bases"]["vision"]["file"] == "vision.pt" and len(shown["bases"]["text"]["sha256"]) == 64
    assert shown["size"]["bytes"] == (tmp_path / "toy.safetensors").stat().st_size


def test_other_encoders_are_refused(files: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "toy.safetensors"
    save_weights(build_mmbcd(**files, **PARTLY), path, CARD)
    message = (
        r"toy: expected frozen tensors of the vision encoder tiny from 'vision.pt' .*got those of 'nowhere'"
    )
    with pytest.raises(ClassifierError, match=message):
        build_mmbcd(path, text_folder=files["text_folder"])
    write_tiny_folder(tmp_path / "seed", CORPUS, seed=5)
    with pytest.raises(ClassifierError, match="expected frozen tensors of the text encoder tiny from 'text'"):
        build_mmbcd(path, files["vision_weights"], tmp_path / "seed")


def test_another_tokenizer_is_refused(files: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "toy.safetensors"
    save_weights(build_mmbcd(**files, **TOY), path, CARD)
    with pytest.raises(ClassifierError, match="expected tokenizer of the text encoder tiny from 'text'"):
        build_mmbcd(path, files["vision_weights"])


def test_other_options_are_refused(files: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "toy.safetensors"
    save_weights(build_mmbcd(**files, **PARTLY), path, CARD)
    with pytest.raises(ConfigError, match="hidden: expected 8, as toy was trained, got 9: leave it out"):
        build_mmbcd(path, **files, hidden=9)
    with pytest.raises(ConfigError, match="preset: expected default, as toy was trained, got paper: leave"):
        build_mmbcd(path, **files, preset="paper")
    with pytest.raises(
        ClassifierError, match="toy: expected frozen_blocks 3, as it was trained, got 0: build"
    ):
        load_weights(build_mmbcd(**files, **{**PARTLY, "frozen_blocks": 0}), read_weights(path))


def test_a_file_with_a_part_of_the_weights_is_refused(files: dict[str, Path], tmp_path: Path) -> None:
    network = build_mmbcd(**files, **PARTLY)
    save_weights(network, tmp_path / "toy.safetensors", CARD)
    whole = read_weights(tmp_path / "toy.safetensors")
    part = {name: value for name, value in whole.state.items() if name != "missing"}
    with pytest.raises(ClassifierError, match="toy: expected the tensors of Mmbcd, but it lacks missing"):
        load_weights(network, replace(whole, state=part))


def test_files_of_something_else_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"no")
    save_file({"x": torch.ones(1)}, tmp_path / "b.safetensors")
    for name in ("a", "b", "c"):
        with pytest.raises(
            ClassifierError, match=rf"{name}.safetensors: expected weights of MMBCD \(mmbcd-1\)"
        ):
            read_weights(tmp_path / f"{name}.safetensors")


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    network = build_toy_mmbcd()
    with torch.no_grad():
        network.fusion.head[0].weight[0, 0] = 1e6  # type: ignore[index]
    with pytest.raises(
        ClassifierError, match="toy.safetensors: expected finite weights, got NaN or infinity"
    ):
        save_weights(network, tmp_path / "toy.safetensors", CARD)
    assert not list(tmp_path.iterdir())
