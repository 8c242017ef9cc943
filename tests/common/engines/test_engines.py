"""Engines against eager PyTorch, and their refusals."""

from __future__ import annotations

import numpy as np
import openvino as ov
import pytest
import torch
from torch import nn

from common.engines import build_engine, build_feature_engine, patches_to_batch
from common.engines.openvino_graph import cpu_precision
from common.engines.rechecked import near_ties
from common.errors import ConfigError, InputError

EDGE_PX = 32
CASES = [("torch", "fp32"), ("torch", "bf16"), ("openvino", "fp32"), ("openvino", "bf16")]


class Small(nn.Module):
    """Scales bytes, then convolves and averages."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )

        self.weight, self.bias = nn.Parameter(torch.randn(8, 3)), nn.Parameter(torch.zeros(3))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.layers(image / 255)

    def feature_network(self) -> nn.Module:
        return self


@pytest.fixture(scope="module")
def network() -> Small:
    return Small().eval()


@pytest.fixture(scope="module")
def patches() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, EDGE_PX, EDGE_PX, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def expected(network: Small, patches: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return network(torch.from_numpy(patches).permute(0, 3, 1, 2).float()).numpy()


@pytest.mark.parametrize(("engine", "precision"), CASES)
def test_every_engine_gives_what_the_network_gives(network, patches, expected, engine, precision):
    run = build_feature_engine(network, EDGE_PX, engine, precision)
    tolerance = 1e-5 if precision == "fp32" else 0.03 * np.abs(expected).max()
    batch = patches_to_batch(patches)
    for size in (3, 5, 1):  # a last short batch, and back
        np.testing.assert_allclose(run(batch[:size]), expected[:size], atol=tolerance)
    np.testing.assert_allclose(run(batch.astype(np.float32)), expected, atol=tolerance)
    described = run.describe()
    assert (described["engine"], described["precision"]) == (engine, precision)
    assert described["device"] and described["version"]


def test_results_are_not_overwritten_by_the_next_call(network, patches, expected):
    run = build_feature_engine(network, EDGE_PX, "openvino", "fp32")
    batch = patches_to_batch(patches)
    first = run(batch[:2])
    run(batch[2:4])
    np.testing.assert_allclose(first, expected[:2], atol=1e-5)


def test_batch_is_a_view_on_the_readers_order(patches):
    batch = patches_to_batch(patches)
    assert batch.shape == (5, 3, EDGE_PX, EDGE_PX)
    assert np.shares_memory(batch, patches)
    assert batch[4, 2, 7, 9] == patches[4, 7, 9, 2]


def test_auto_is_openvino_on_a_cpu_in_the_precision_of_the_processor(network):
    described = build_engine(network, torch.zeros(1, 3, EDGE_PX, EDGE_PX)).describe()
    can_bf16 = "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    assert (described["engine"], described["precision"]) == ("openvino", "bf16" if can_bf16 else "fp32")


@pytest.mark.parametrize(("capabilities", "precision"), [(["FP32", "BF16"], "bf16"), (["FP32"], "fp32")])
def test_bf16_only_where_the_processor_has_it(capabilities, precision):
    class Core:
        def get_property(self, device: str, name: str) -> list[str]:
            return capabilities

    assert cpu_precision(Core()) == precision


def test_torch_auto_stays_fp32_on_a_cpu(network):
    assert build_feature_engine(network, EDGE_PX, "torch").describe()["precision"] == "fp32"


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (
            np.zeros((1, 3, 8, 8), np.uint8),
            r"expected a uint8 or float32 batch \(B, 3, 32, 32\), got uint8 \(1, 3, 8",
        ),
        (np.zeros((1, 3, EDGE_PX, EDGE_PX)), "got float64"),
    ],
)
def test_wrong_batches_are_refused(network, batch, message):
    with pytest.raises(InputError, match=message):
        build_feature_engine(network, EDGE_PX, "torch")(batch)


@pytest.mark.parametrize(
    "patches", [[], [np.zeros((4, 4, 3)), np.zeros((5, 4, 3))], [np.zeros((4, 4))], np.zeros((2, 4, 4, 4))]
)
def test_wrong_patches_are_refused(patches):
    with pytest.raises(InputError, match="expected RGB patches"):
        patches_to_batch(patches)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "tpu"}, "engine: expected one of auto, torch, openvino, got 'tpu'"),
        ({"precision": "int4"}, "precision: expected one of auto, fp32, bf16, mixed, got 'int4'"),
        ({"device": "gpu"}, "device: expected 'cpu', 'cuda' or 'cuda:N', got 'gpu'"),
        ({"device": "cuda:99"}, "device: expected one that this machine has, got 'cuda:99'"),
    ],
)
def test_wrong_settings_are_refused(network, options, message):
    with pytest.raises(ConfigError, match=message):
        build_feature_engine(network, EDGE_PX, **options)


def test_openvino_is_for_the_cpu(network, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ConfigError, match="engine openvino: expected device 'cpu', got 'cuda'"):
        build_feature_engine(network, EDGE_PX, "openvino", device="cuda")


def test_engine_alone_knows_no_ties(network):
    with pytest.raises(ConfigError, match="precision: expected one of auto, fp32, bf16, got 'mixed'"):
        build_engine(network, torch.zeros(1, 3, EDGE_PX, EDGE_PX), precision="mixed")


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_mixed_computes_doubtful_patches_in_fp32(monkeypatch, network, patches, expected, engine):
    batch = patches_to_batch(patches)
    fast = build_feature_engine(network, EDGE_PX, engine, "bf16")(batch)
    doubtful = np.array([True, False, False, True, False])
    monkeypatch.setattr("common.engines.rechecked.near_ties", lambda *_: doubtful)
    run = build_feature_engine(network, EDGE_PX, engine, "mixed")
    features = run(batch)
    np.testing.assert_allclose(features[doubtful], expected[doubtful], atol=1e-5)
    np.testing.assert_array_equal(features[~doubtful], fast[~doubtful])
    assert run.describe()["precision"] == "bf16, near ties fp32"


def test_near_ties_by_hand():
    # M = 4, |w_a - w_b| = 2 sqrt(2), |f| = 5: a tie is a difference below 0.1 * 5 * 2 sqrt(2) / 2 = 0.7071
    weight = np.array([[2.0, 0.0], [0.0, 2.0], [0.0, 0.0], [0.0, 0.0]])
    features = np.array([[3.0, 4.0, 0.0, 0.0], [4.0, 3.0, 0.0, 0.0]])  # logits (6, 8) and (8, 6)
    bias = np.array([1.2, 0.0])  # differences 8 - 7.2 = 0.8 and 9.2 - 6 = 3.2
    assert near_ties(features, weight, bias, 0.1).tolist() == [False, False]
    assert near_ties(features, weight, bias + np.array([0.2, 0.0]), 0.1).tolist() == [
        True,
        False,
    ]  # 8 - 7.4 = 0.6
