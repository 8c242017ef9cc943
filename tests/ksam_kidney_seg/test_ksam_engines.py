"""KSAM on every engine against the network itself."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from toy_ksam import SIZE_PX, build_toy

from common.errors import ConfigError, InputError
from ksam.engines import KSamEngines, build_ksam_engines

MATCH = {"decoder": "match", "km": False, "pm": False}


@pytest.fixture(scope="module")
def inputs() -> tuple[torch.Tensor, torch.Tensor]:
    """Two pictures and two masks."""
    generator = torch.Generator().manual_seed(0)
    shape = (2, 3, SIZE_PX, SIZE_PX)
    images = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    return images, (torch.rand(2, 1, SIZE_PX, SIZE_PX, generator=generator) > 0.5).float()


def relative(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize(
    ("options", "engine", "precision"),
    [
        ({}, "openvino", "fp32"),
        ({}, "openvino", "bf16"),
        ({}, "torch", "fp32"),
        ({}, "torch", "bf16"),
        ({"prior": "both", "lora_rank": 2}, "openvino", "fp32"),
        ({"km": False, "pm": False}, "openvino", "fp32"),
        (MATCH, "openvino", "fp32"),
        (MATCH, "openvino", "bf16"),
    ],
    ids=str,
)
def test_engines_give_what_the_network_gives(
    inputs: tuple[torch.Tensor, torch.Tensor], options: dict[str, Any], engine: str, precision: str
) -> None:
    (images, masks), network = inputs, build_toy(**options)
    with torch.inference_mode():
        embedding = network.encode(images.float())
        expected = network.segment(embedding, network.read_prompt(embedding, images.float(), masks))
    run = build_ksam_engines(network, engine, precision)
    tolerance = 1e-4 if precision == "fp32" else 0.05
    found = run.encode(images)
    assert relative(found, embedding) < tolerance
    knowledge = run.read_prompt(found, images, masks)
    assert relative(run.segment(found, knowledge), expected) < tolerance
    # one picture, two templates; then one template, two pictures
    pair = type(knowledge)(*(value[:1] for value in knowledge))
    first = run.segment(found[:1], pair)
    assert relative(run.segment(found[:1], knowledge)[:1], first) < tolerance
    assert relative(run.segment(found, pair)[:1], first) < tolerance


def test_engine_is_a_copy_and_says_what_it_is(inputs: tuple[torch.Tensor, torch.Tensor]) -> None:
    network = build_toy(lora_rank=2)
    names = set(network.state_dict())
    run = KSamEngines(network, "torch", "fp32")
    assert set(network.state_dict()) == names and run.network is network
    assert run.image_size == SIZE_PX
    assert run.describe() == {
        "engine": "torch",
        "precision": "fp32",
        "device": "cpu",
        "version": torch.__version__,
    }
    before = run.encode(inputs[0])
    with torch.no_grad():
        for value in network.parameters():
            value.zero_()
    assert torch.equal(run.encode(inputs[0]), before)


def test_refusals(inputs: tuple[torch.Tensor, torch.Tensor]) -> None:
    network = build_toy()
    with pytest.raises(ConfigError, match="engine: expected one of auto, torch, openvino, got 'onnx'"):
        build_ksam_engines(network, "onnx")
    run = build_ksam_engines(network, "torch", "fp32")
    with pytest.raises(InputError, match=r"image: expected \(B, 3, 32, 32\), got \(2, 3, 16, 16\): bring"):
        run.encode(inputs[0][:, :, :16, :16])
