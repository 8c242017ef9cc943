"""Networks with several inputs: tensors in, one tensor out, on any engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import openvino as ov
import torch
from openvino.preprocess import PrePostProcessor
from torch import nn

from ..errors import ConfigError
from .base import choose
from .openvino_graph import compile_graph, convert, cpu_precision
from .torch_engine import find_device, find_precision

ENGINES = ("auto", "torch", "openvino")
PRECISIONS = ("auto", "fp32", "bf16")


class TensorEngine(Protocol):
    """float32 tensors (B, ...) -> float32 (B, ...); B may differ from call to call.

    Attributes:
        engine, precision, device, version: the choice made.
    """

    engine: str
    precision: str
    device: str
    version: str

    def __call__(self, *tensors: torch.Tensor) -> torch.Tensor: ...


def build_tensor_engine(
    network: nn.Module,
    examples: Sequence[torch.Tensor],
    engine: str = "auto",
    precision: str = "auto",
    device: str = "cpu",
) -> TensorEngine:
    """Prepare a network of several inputs, see `build_engine` for one picture.

    Args:
        network: (B, ...) float, one or several -> (B, ...); moved to `device`.
        examples: one for each input, (B, ...); fix all sizes but B.
        engine: "auto" (OpenVINO on a CPU, PyTorch on CUDA), "torch" or "openvino".
        precision: "auto" (bf16 where the hardware computes it, PyTorch on a CPU fp32), "fp32" or "bf16".
        device: "cpu", "cuda" or "cuda:N".

    Raises:
        ConfigError: an unknown name, a device that is not there, OpenVINO on CUDA.
    """
    choose(engine, ENGINES, "engine")
    choose(precision, PRECISIONS, "precision")
    on_cpu = find_device(device).type == "cpu"
    if engine == "openvino" and not on_cpu:
        raise ConfigError(f"engine openvino: expected device 'cpu', got '{device}': choose engine 'torch'")
    if engine == "torch" or not on_cpu:
        return TorchTensors(network, precision, device)
    return OpenVinoTensors(network, examples, precision)


class TorchTensors:
    """Eager PyTorch, with autocast for bf16; the answer stays on the device.

    Args: see `build_tensor_engine`.
    """

    engine = "torch"

    def __init__(self, network: nn.Module, precision: str, device: str) -> None:
        self._device = find_device(device)
        self.precision = find_precision(precision, self._device)
        self.device = "cpu" if self._device.type == "cpu" else torch.cuda.get_device_name(self._device)
        self.version = str(torch.__version__)
        self._network = network.to(self._device).eval()

    @torch.inference_mode()
    def __call__(self, *tensors: torch.Tensor) -> torch.Tensor:
        moved = [tensor.to(self._device, torch.float32) for tensor in tensors]
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            return self._network(*moved).float()


class OpenVinoTensors:
    """OpenVINO on the CPU.

    Args: see `build_tensor_engine`.
    """

    engine = "openvino"

    def __init__(self, network: nn.Module, examples: Sequence[torch.Tensor], precision: str) -> None:
        core = ov.Core()
        self.precision = cpu_precision(core) if precision == "auto" else precision
        self.device = core.get_property("CPU", "FULL_DEVICE_NAME").strip()
        self.version = ov.__version__.split("-")[0]
        prepared = PrePostProcessor(convert(network, examples))
        for index in range(len(examples)):
            prepared.input(index).tensor().set_element_type(ov.Type.f32)
        prepared.output().tensor().set_element_type(ov.Type.f32)
        self._request = compile_graph(core, prepared.build(), self.precision)

    def __call__(self, *tensors: torch.Tensor) -> torch.Tensor:
        arrays = [tensor.detach().float().contiguous().numpy() for tensor in tensors]
        self._request.infer(arrays, share_inputs=True)
        return torch.from_numpy(self._request.get_output_tensor().data.copy())
