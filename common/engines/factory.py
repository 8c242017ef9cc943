"""The choice of an engine."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import nn

from ..errors import ConfigError
from .base import Engine, choose
from .openvino_engine import OpenVinoEngine
from .rechecked import RecheckedEngine
from .torch_engine import TorchEngine, find_device


def build_engine(
    network: nn.Module,
    example: torch.Tensor,
    engine: str = "auto",
    precision: str = "auto",
    device: str = "cpu",
) -> Engine:
    """Prepare a network for execution.

    Args:
        network: (B, 3, H, W) float RGB 0..255 -> one tensor (B, ...).
        example: float (B, 3, H, W), fixes H and W.
        engine: "auto" (OpenVINO on a CPU, PyTorch on CUDA), "torch" or "openvino".
        precision: "auto" (bf16 where the hardware computes it, PyTorch on a CPU fp32), "fp32" or "bf16".
        device: "cpu", "cuda" or "cuda:N".

    Raises:
        ConfigError: an unknown name, a device that is not there, OpenVINO on CUDA.
    """
    choose(engine, ("auto", "torch", "openvino"), "engine")
    choose(precision, ("auto", "fp32", "bf16"), "precision")
    on_cpu = find_device(device).type == "cpu"
    if engine == "openvino" and not on_cpu:
        raise ConfigError(f"engine openvino: expected device 'cpu', got '{device}': choose engine 'torch'")
    if engine == "torch" or not on_cpu:
        return TorchEngine(network, tuple(example.shape[1:]), precision, device)
    return OpenVinoEngine(network, example, precision)


class LinearClassifier(Protocol):
    """A patch classifier: features, then hyperplanes."""

    weight: nn.Parameter
    bias: nn.Parameter

    def feature_network(self) -> nn.Module:
        """(B, 3, e, e) RGB 0..255 -> (B, M)."""


def build_feature_engine(
    network: LinearClassifier,
    size_px: int,
    engine: str = "auto",
    precision: str = "auto",
    device: str = "cpu",
) -> Engine:
    """`build_engine` for the features of a patch classifier: (B, 3, size_px, size_px) -> (B, M).

    Args:
        network: the patch classifier.
        size_px: edge of a patch.
        precision: as in `build_engine`, and "mixed": bf16, with fp32 for patches whose class is in doubt;
            "auto" is "mixed" where the hardware computes bf16.

    Raises:
        ConfigError: as `build_engine`.
    """
    choose(precision, ("auto", "fp32", "bf16", "mixed"), "precision")
    features, example = network.feature_network(), torch.zeros(1, 3, size_px, size_px)
    fast = build_engine(features, example, engine, "bf16" if precision == "mixed" else precision, device)
    if precision in ("fp32", "bf16") or fast.precision == "fp32":
        return fast
    weight, bias = (value.detach().float().cpu().numpy() for value in (network.weight, network.bias))
    return RecheckedEngine(fast, weight, bias)
