"""The detector equals the official one with the same weights: outputs, losses and gradients."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toy_mammo_dino import SMALL, official_state

from common.errors import InputError
from common.networks.focalnet_dino.build import build_focalnet_dino
from common.networks.focalnet_dino.convert import rename_official
from common.networks.focalnet_dino.criterion import DinoCriterion
from common.networks.focalnet_dino.model import FocalNetDino
from common.networks.focalnet_dino.targets import Target
from common.networks.state_dict import load_state

NONE: Target = {"labels": torch.empty(0, dtype=torch.long), "boxes": torch.empty(0, 4)}
TWO: Target = {
    "labels": torch.tensor([0, 2]),
    "boxes": torch.tensor([[0.3, 0.4, 0.2, 0.3], [0.6, 0.5, 0.1, 0.2]]),
}


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    """Written by the official model on the CPU; see "origin" in the file."""
    return json.loads((Path(__file__).parents[1] / "golden/focalnet_dino.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def loaded() -> FocalNetDino:
    network = FocalNetDino(SMALL)
    load_state(network, rename_official(official_state(SMALL), "toy"), "toy")
    return network


@pytest.fixture(scope="module")
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Two images 96x128; of the second 64x100 are not padding."""
    images = torch.tensor(np.random.RandomState(0).standard_normal((2, 3, 96, 128)), dtype=torch.float32)
    mask = torch.zeros(2, 96, 128, dtype=torch.bool)
    mask[1, 64:] = mask[1, :, 100:] = True
    return images.masked_fill(mask[:, None], 0), mask


def test_equals_the_official_model_in_evaluation(golden, loaded, batch) -> None:
    with torch.inference_mode():
        output = loaded.eval()(*batch)
    torch.testing.assert_close(output.logits.flatten(), torch.tensor(golden["logits"]), atol=1e-4, rtol=0)
    torch.testing.assert_close(output.boxes.flatten(), torch.tensor(golden["boxes"]), atol=1e-4, rtol=0)
    assert output.aux == output.denoising == ()
    assert output.encoder is None


def test_losses_and_gradients_equal_the_official_ones(golden, loaded, batch) -> None:
    """One image with two boxes, one without; the noise is drawn in the official order."""
    loaded.train().zero_grad()
    torch.manual_seed(3)
    losses, total = DinoCriterion()(loaded(*batch, [TWO, NONE]), [TWO, NONE])
    assert {name: float(loss.detach()) for name, loss in losses.items()} == pytest.approx(
        golden["losses"], abs=2e-4
    )
    assert float(total.detach()) == pytest.approx(golden["total"], rel=1e-4)
    total.backward()
    ours = rename_official(dict.fromkeys(golden["gradient_norms"], torch.empty(0)), "names")
    parameters = dict(loaded.named_parameters())
    norms = [float(parameters[name].grad.norm()) for name in ours]
    assert norms == pytest.approx(list(golden["gradient_norms"].values()), rel=1e-3)


def test_trains_on_images_without_any_box(golden, loaded, batch) -> None:
    loaded.train().zero_grad()
    losses, total = DinoCriterion()(loaded(*batch, [NONE, NONE]), [NONE, NONE])
    expected = {name: loss for name, loss in golden["losses_without_boxes"].items() if "_dn" not in name}
    assert {name: float(loss.detach()) for name, loss in losses.items()} == pytest.approx(expected, abs=2e-4)
    total.backward()
    assert all(parameter.grad is not None for parameter in loaded.parameters())


def test_scales_of_a_padded_batch(loaded, batch) -> None:
    """100 of 128 columns and 64 of 96 rows are image: at stride 8 these are 13 of 16 and 8 of 12."""
    images, mask = batch
    with torch.inference_mode():
        _, positions, levels = loaded.embed(images, mask)
    assert levels.shapes == ((12, 16), (6, 8), (3, 4), (2, 2))
    torch.testing.assert_close(levels.valid[1, 0], torch.tensor([13 / 16, 8 / 12]))
    assert positions.shape == (2, 12 * 16 + 48 + 12 + 4, 256)


def test_recomputing_the_backbone_changes_nothing() -> None:
    images = torch.randn(1, 3, 64, 64)
    networks = [build_focalnet_dino("tiny", queries=5, checkpointed=kept) for kept in (False, True)]
    networks[1].load_state_dict(networks[0].state_dict())
    for network in networks:
        DinoCriterion()(network(images), [NONE])[1].backward()
    first, second = (network.backbone.body.stem.proj.weight.grad for network in networks)
    torch.testing.assert_close(first, second)


def test_tiny_learns_two_boxes() -> None:
    """After some steps on two pictures the best query of the first is the bright square's box."""
    torch.manual_seed(0)
    network = build_focalnet_dino(
        "tiny", queries=10, denoising=4, depths=[1, 1, 1, 1], encoder_layers=1, decoder_layers=2
    )
    images = torch.zeros(2, 3, 64, 64)
    images[0, :, 16:32, 32:56] = 2.0
    square: Target = {"labels": torch.tensor([0]), "boxes": torch.tensor([[0.6875, 0.375, 0.375, 0.25]])}
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    for _ in range(30):
        total = DinoCriterion()(network(images, None, [square, NONE]), [square, NONE])[1]
        optimizer.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
    with torch.inference_mode():
        output = network.eval()(images)
    best = output.logits[0, :, 0].argmax()
    torch.testing.assert_close(output.boxes[0, best], square["boxes"][0], atol=0.05, rtol=0)
    assert output.logits[0].max() > output.logits[1].max()


@pytest.mark.parametrize("shape", [(3, 64, 64), (1, 1, 64, 64), (1, 3, 64, 60), (1, 3, 60, 64)])
def test_other_images_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"expected images \(B, 3, H, W\) with H and W multiples of 32, got"):
        build_focalnet_dino()(torch.zeros(shape))


def test_another_mask_is_refused() -> None:
    with pytest.raises(InputError, match=r"expected a mask \(1, 64, 64\), got \(1, 32, 64\)"):
        build_focalnet_dino()(torch.zeros(1, 3, 64, 64), torch.zeros(1, 32, 64, dtype=torch.bool))
