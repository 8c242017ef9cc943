"""Fixed classes: SAM without prompts starts as SAM itself; MONAI's networks in 2D."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from experiment.ksam_peers.base import ALONE, enlarge
from experiment.ksam_peers.prompt_free import PromptFreeSam, build_prompt_free
from experiment.ksam_peers.traditional import build_traditional
from toy_backbones import build_toy, random_images
from toy_peers import make_context, shrink_backbones, write_backbone

from common.errors import ConfigError
from common.networks.sam import Sam

SMALL: dict[str, dict[str, Any]] = {
    "UNet": {"channels": [4, 8], "strides": [2]},
    "UNETR": {"hidden_size": 24, "mlp_dim": 24, "num_heads": 2, "feature_size": 4},
    "SwinUNETR": {"feature_size": 12, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 1, 1]},
}


def make_alike(sam: Sam) -> Sam:
    """Its four masks are all the first one."""
    decoder = sam.mask_decoder
    with torch.no_grad():
        decoder.mask_tokens.weight[:] = decoder.mask_tokens.weight[0].clone()
    for head in decoder.output_hypernetworks_mlps:
        head.load_state_dict(decoder.output_hypernetworks_mlps[0].state_dict())
    return sam


@torch.no_grad()
@pytest.mark.parametrize("rank", [0, 4])
def test_every_class_starts_as_sams_mask_without_prompt(rank: int) -> None:
    image, sam = random_images(2, 64), make_alike(build_toy("tiny"))
    features = sam.image_encoder(image)
    dense = sam.prompt_encoder.no_mask_embed.weight.view(1, -1, 1, 1).expand_as(features)
    wanted = enlarge(sam.decode(features, features.new_zeros(2, 0, 256), dense), 64)
    found = PromptFreeSam(build_toy("tiny"), 4, rank).eval()(image)
    torch.testing.assert_close(found, wanted.expand(2, 4, 64, 64), rtol=1e-4, atol=1e-4)
    assert PromptFreeSam(build_toy("tiny"), 5, rank).eval()(image).shape == (2, 5, 64, 64)


def test_classes_are_trained_apart_and_the_encoder_by_lora_only() -> None:
    network = PromptFreeSam(build_toy("tiny").requires_grad_(False), 2, 4)
    network(random_images(1, 64))[:, 0].sum().backward()
    grad = network.sam.mask_decoder.mask_tokens.weight.grad
    assert grad is not None and grad.any()
    heads = network.sam.mask_decoder.output_hypernetworks_mlps
    assert heads[0].layers[0].weight.grad.any() and heads[1].layers[0].weight.grad is not None
    assert not heads[1].layers[0].weight.grad.any()
    trained = [n for n, v in network.named_parameters() if v.requires_grad and "image_encoder" in n]
    assert trained and all("lora" in name for name in trained)


def test_built_over_a_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shrink_backbones(monkeypatch)
    peer = build_prompt_free(make_context(tmp_path), str(write_backbone(tmp_path / "lite.pth")), "lite", 0)
    found = peer.segment(random_images(1, 32), torch.zeros(2, 32, 32))
    assert list(found) == [ALONE] and found[ALONE].shape == (2, 32, 32)
    with pytest.raises(ConfigError, match="lora_rank: expected 0 or more, got -1: 4 is SAMed's"):
        PromptFreeSam(build_toy("tiny"), 2, -1)


@pytest.mark.parametrize("name", sorted(SMALL))
def test_networks_of_monai(name: str, tmp_path: Path) -> None:
    peer = build_traditional(make_context(tmp_path), None, name, 64, SMALL[name])
    with torch.no_grad():
        found = peer.segment(random_images(1, 64), torch.zeros(2, 64, 64))
    assert found[ALONE].shape == (2, 64, 64) and peer.trained is not None and peer.image_size == 64


def test_refusals(tmp_path: Path) -> None:
    context = make_context(tmp_path)
    with pytest.raises(ConfigError, match="network: expected one of UNet, UNETR, SwinUNETR, got 'VNet'"):
        build_traditional(context, None, "VNet")
    with pytest.raises(ConfigError, match="settings of UNet: expected arguments that it takes, got"):
        build_traditional(context, None, "UNet", 64, {"depth": 3})
