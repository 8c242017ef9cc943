"""Networks of several inputs, and image encoders, on every engine."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from toy_backbones import TOYS, build_toy, random_images

from common.engines import build_engine, build_tensor_engine
from common.errors import ConfigError

CASES = [("torch", "fp32"), ("torch", "bf16"), ("openvino", "fp32"), ("openvino", "bf16")]


class Two(nn.Module):
    """Attention of one input over the cells of another."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Conv2d(4, 8, 3, padding=1), nn.Conv2d(1, 8, 1)

    def forward(self, features: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        keys = self.second(mask).flatten(2)
        return (self.first(features).flatten(2).transpose(1, 2) @ keys).softmax(dim=-1).mean(dim=1)


@pytest.mark.parametrize(("engine", "precision"), CASES)
def test_several_inputs_and_any_batch(engine: str, precision: str) -> None:
    network = Two().eval()
    run = build_tensor_engine(network, [torch.zeros(1, 4, 8, 8), torch.zeros(1, 1, 6, 6)], engine, precision)
    assert (run.engine, run.precision) == (engine, precision)
    assert run.device and run.version
    generator = torch.Generator().manual_seed(1)
    for batch in (2, 1, 3):
        features = torch.randn(batch, 4, 8, 8, generator=generator)
        mask = torch.randn(1, 1, 6, 6, generator=generator).expand(batch, -1, -1, -1)
        with torch.no_grad():
            expected = network(features, mask)
        tolerance = (1e-5 if precision == "fp32" else 0.03) * float(expected.abs().max())
        found = run(features, mask)
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("kind", sorted(TOYS))
def test_image_encoders_drift_little(kind: str, precision: str) -> None:
    """Relative L2 of the embedding, from bytes and from floats; bf16 gives 0.015 on ViT-B."""
    encoder, size = build_toy(kind).image_encoder, TOYS[kind][1]
    images = random_images(2, size)
    with torch.no_grad():
        expected = encoder(images).numpy()
    run = build_engine(encoder, images[:1], "openvino", precision)
    for batch in (images.byte().numpy(), images.numpy()):
        error = np.linalg.norm(run(batch) - expected) / np.linalg.norm(expected)
        assert error < (1e-5 if precision == "fp32" else 0.03)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (("onnx",), "engine: expected one of auto, torch, openvino, got 'onnx': correct the setting"),
        (("auto", "int8"), "precision: expected one of auto, fp32, bf16, got 'int8': correct the setting"),
        (("auto", "auto", "cuda:99"), "device: expected one that .* has, got 'cuda:99': choose 'cpu'"),
    ],
)
def test_refusals(choice: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_tensor_engine(Two(), [torch.zeros(1, 4, 8, 8), torch.zeros(1, 1, 6, 6)], *choice)


def test_openvino_stays_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ConfigError, match="engine openvino: expected device 'cpu', got 'cuda': choose"):
        build_tensor_engine(Two(), [torch.zeros(1, 4, 8, 8)], "openvino", "auto", "cuda")
