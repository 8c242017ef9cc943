"""PyTorch networks as OpenVINO graphs with open batch sizes, and their compilation for the CPU."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import openvino as ov
import torch
from openvino.frontend import FrontEndManager
from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder
from torch import nn

_HINTS = {"fp32": "f32", "bf16": "bf16"}


def cpu_precision(core: ov.Core) -> str:
    """bf16 where the processor has instructions for it; elsewhere fp32 is faster."""
    return "bf16" if "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES") else "fp32"


def convert(network: nn.Module, examples: Sequence[torch.Tensor]) -> ov.Model:
    """A graph whose inputs keep the shapes of the examples, with an open batch size.

    Goes to the front end directly: `openvino.convert_model` would report each call to its maker over the
    network, which has no place in a hospital.

    Args:
        network: takes as many tensors as there are examples and returns one; moved to the CPU.
        examples: (B, ...), all of one B.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch.jit.trace is what the front end reads
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # sizes that a network reads are constants
        decoder = TorchScriptPythonDecoder(
            network.cpu().eval(),
            example_input=tuple(examples),
            trace_kwargs={"check_trace": False},  # tracing again to compare would double the time
        )
    frontend = FrontEndManager().load_by_framework("pytorch")
    graph = frontend.convert(frontend.load(decoder))
    shapes = zip(graph.inputs, examples, strict=True)
    graph.reshape({place: ov.PartialShape([-1, *example.shape[1:]]) for place, example in shapes})
    return graph


def compile_graph(core: ov.Core, graph: ov.Model, precision: str) -> ov.InferRequest:
    """A request on the CPU, one stream over all cores; `precision` is "fp32" or "bf16"."""
    settings = {"INFERENCE_PRECISION_HINT": _HINTS[precision], "PERFORMANCE_HINT": "LATENCY"}
    return core.compile_model(graph, "CPU", settings).create_infer_request()
