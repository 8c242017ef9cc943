"""Checkpoints: other image sizes, wrapped files, and those that do not fit."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from toy_backbones import TOY_TINY, TOY_VIT, build_toy, random_images

from common.errors import ClassifierError
from common.networks.sam import build_sam
from common.networks.sam_vit import VitSizes, resize_tables
from common.networks.sam_weights import hash_file, load_backbone


@pytest.fixture(scope="module")
def vit_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy ViT's checkpoint under SAM's names, 256 pixels."""
    file = tmp_path_factory.mktemp("weights") / "vit.pth"
    torch.save(build_toy("vit").state_dict(), file)
    return file


def test_same_size_loads_strictly(vit_file: Path) -> None:
    network = build_sam(TOY_VIT, 256)
    assert load_backbone(network, vit_file, hash_file(vit_file)) == hash_file(vit_file)
    for name, value in build_toy("vit").state_dict().items():
        assert torch.equal(network.state_dict()[name], value)


@pytest.mark.parametrize("wrap", ["model", "state_dict"])
def test_training_checkpoints_are_unwrapped(tmp_path: Path, wrap: str) -> None:
    state = {f"module.{name}": value for name, value in build_toy("vit").state_dict().items()}
    torch.save({wrap: state, "epoch": 3}, tmp_path / "best.pth")
    load_backbone(build_sam(TOY_VIT, 256), tmp_path / "best.pth")


def test_half_the_size_halves_the_tables(vit_file: Path) -> None:
    network, full = build_sam(TOY_VIT, 128), build_toy("vit").state_dict()
    load_backbone(network, vit_file)
    small = network.state_dict()
    grid = full["image_encoder.pos_embed"]
    # exactly half of the resolution, corners not aligned: each new value is the mean of 2 x 2 old ones
    blocks = grid.view(1, 8, 2, 8, 2, 32).mean((2, 4))
    torch.testing.assert_close(small["image_encoder.pos_embed"], blocks)
    windows = "image_encoder.blocks.0.attn.rel_pos_h"
    assert torch.equal(small[windows], full[windows])
    table = full["image_encoder.blocks.1.attn.rel_pos_w"]
    found = small["image_encoder.blocks.1.attn.rel_pos_w"]
    assert table.shape == (31, 16) and found.shape == (15, 16)
    for row in range(15):  # linear interpolation at (row + 0.5) * 31 / 15 - 0.5
        place = (row + 0.5) * 31 / 15 - 0.5
        low, share = int(place), place - int(place)
        expected = table[low] * (1 - share) + table[min(low + 1, 30)] * share
        torch.testing.assert_close(found[row], expected, rtol=0, atol=1e-5)
    with torch.no_grad():
        assert network(random_images(1, 128)).isfinite().all()


def test_tables_of_other_widths_stay_for_the_loader_to_refuse() -> None:
    name = "image_encoder.pos_embed"
    state = {name: torch.zeros(1, 4, 4, 8), "other": torch.zeros(3)}
    kept = resize_tables(state, {name: torch.zeros(1, 2, 2, 16), "other": torch.zeros(2)})
    assert all(kept[name] is value for name, value in state.items())


def test_another_file_is_refused(vit_file: Path) -> None:
    found = hash_file(vit_file)[:12]
    message = rf"vit\.pth: expected sha256 abcabcabcabc\.\.\., got {found}\.\.\.: bring the file that was"
    with pytest.raises(ClassifierError, match=message):
        load_backbone(build_sam(TOY_VIT, 256), vit_file, "abc" * 21 + "a")


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: build_sam(TOY_TINY, 64),
            "expected weights of a TinyViT, got a ViT of 3 blocks and 32 channels: set the backbone",
        ),
        (
            lambda: build_sam(VitSizes(TOY_VIT.pixels, 32, 2, 2, (1,)), 256),
            "expected weights of a ViT of 2 blocks and 32 channels, got a ViT of 3 blocks and 32 channels",
        ),
    ],
)
def test_weights_of_another_backbone(build, message: str, vit_file: Path) -> None:
    with pytest.raises(ClassifierError, match=message):
        load_backbone(build(), vit_file)


def test_weights_of_no_sam_and_incomplete_ones(tmp_path: Path, vit_file: Path) -> None:
    torch.save({"fc.weight": torch.zeros(2, 2)}, tmp_path / "other.pth")
    with pytest.raises(ClassifierError, match=r"other\.pth: expected weights of a ViT .*, got no SAM: set"):
        load_backbone(build_sam(TOY_VIT, 256), tmp_path / "other.pth")
    state = torch.load(vit_file, weights_only=True)
    del state["mask_decoder.iou_token.weight"]
    torch.save(state, tmp_path / "part.pth")
    with pytest.raises(ClassifierError, match=re.escape("it lacks mask_decoder.iou_token.weight (1 in all)")):
        load_backbone(build_sam(TOY_VIT, 256), tmp_path / "part.pth")
