"""Prototypes against a loop, on colours that tell the structures apart, and in training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from experiment.ksam_peers.prototypes import PrototypeNetwork, PrototypePeer, build_prototypes
from toy_backbones import build_toy, random_images
from toy_ksam import draw_disc
from toy_peers import dice, make_context, shrink_backbones, write_backbone

from common.errors import ConfigError


@torch.no_grad()
def test_prototypes_and_logits_equal_loops() -> None:
    network = PrototypeNetwork(build_toy("tiny"))
    features, masks = torch.randn(1, 6, 4, 4), torch.zeros(1, 1, 64, 64)
    masks[0, 0, 16:48, 8:32] = 1
    share = masks[0, 0].reshape(4, 16, 4, 16).mean((1, 3)).numpy()
    pixels = features[0].numpy().transpose(1, 2, 0)
    inside = sum(share[y, x] * pixels[y, x] for y in range(4) for x in range(4)) / share.sum()
    outside = sum((1 - share[y, x]) * pixels[y, x] for y in range(4) for x in range(4)) / (1 - share).sum()
    found = network.describe(features, masks)
    np.testing.assert_allclose(found[0, 0].numpy(), [inside, outside], atol=1e-5)

    def cosine(a: np.ndarray, b: np.ndarray) -> float:
        return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))

    logits = network.compare(features, found)[0, 0, 8::16, 8::16].numpy()  # centres of the grid, nearly
    near = [[20 * (cosine(p, inside) - cosine(p, outside)) for p in row] for row in pixels]
    assert np.corrcoef(logits.ravel(), np.ravel(near))[0, 1] > 0.99


class Colours(torch.nn.Module):
    """Pixels less the grey mean: directions tell disc from surroundings."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.avg_pool2d(image, 2) - 110


@torch.no_grad()
def test_what_features_tell_apart_is_found(tmp_path: Path) -> None:
    sam = build_toy("tiny")
    sam.image_encoder = Colours()
    peer = PrototypePeer(PrototypeNetwork(sam), make_context(tmp_path, templates=3), False)
    pixels, labels = draw_disc(np.random.default_rng(9), 64)
    image = torch.from_numpy(pixels.transpose(2, 0, 1)).float()[None]
    found = peer.segment(image, torch.zeros(2, 64, 64))
    assert len(found) == 3
    for logits in found.values():
        assert dice(logits[1] > 0, torch.from_numpy(labels == 2)) > 0.85


def test_training_takes_the_template_from_the_picture_before() -> None:
    network = PrototypeNetwork(build_toy("tiny").requires_grad_(False), "lora")
    image, truth = random_images(2, 64), torch.zeros(2, 2, 64, 64)
    truth[0, 0, 8:40, 8:40] = truth[:, 1, 20:60, 4:50] = 1
    found = network(image, truth)
    assert (found[0, 0] < -10).all() and (found[1, 0] > -10).any()  # picture 1 does not show structure 0
    found[1, 0].mean().backward()
    assert any(value.grad is not None and value.grad.any() for value in network.parameters())


def test_building(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shrink_backbones(monkeypatch)
    weights = str(write_backbone(tmp_path / "lite.pth"))
    context = make_context(tmp_path / "d")
    assert build_prototypes(context, weights, "lite").trained is None
    every = build_prototypes(context, weights, "lite", "all").trained
    assert every is not None and all(value.requires_grad for value in every.parameters())
    with pytest.raises(ConfigError, match="train: expected null, lora, all, got 'decoder': choose one"):
        build_prototypes(context, weights, "lite", "decoder")
