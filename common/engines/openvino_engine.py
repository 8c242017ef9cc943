"""Execution by OpenVINO on the CPU: conversion in memory, bytes to floats inside the graph."""

from __future__ import annotations

import copy

import numpy as np
import openvino as ov
import torch
from openvino.preprocess import PrePostProcessor
from torch import nn

from ..networks.centred_densenet import centre_stems
from .base import Engine
from .openvino_graph import compile_graph, convert, cpu_precision

_TYPES = {"uint8": ov.Type.u8, "float32": ov.Type.f32}


class OpenVinoEngine(Engine):
    """OpenVINO with one stream over all cores; every batch is computed as it comes, the last may be shorter.

    For bf16 a DenseNet is first written so that its roundings do little harm (`centre_stems`).
    The graph takes patches in the reader's own order (B, H, W, 3), so that `patches_to_batch` costs nothing.

    Args:
        network: (B, 3, H, W) float -> (B, ...), traceable.
        example: (B, 3, H, W) float, fixes H and W.
        precision: "auto" (bf16 where the CPU computes it, else fp32), "fp32" or "bf16".
    """

    engine = "openvino"

    def __init__(self, network: nn.Module, example: torch.Tensor, precision: str = "auto") -> None:
        self._core = ov.Core()
        self.precision = cpu_precision(self._core) if precision == "auto" else precision
        self.device = self._core.get_property("CPU", "FULL_DEVICE_NAME").strip()
        self.version = ov.__version__.split("-")[0]
        self.shape_px = tuple(example.shape[1:])
        self._graph = convert(centre_stems(network) if self.precision == "bf16" else network, [example])
        self._requests: dict[str, ov.InferRequest] = {}

    def in_fp32(self) -> OpenVinoEngine:
        """The same graph, compiled for fp32."""
        engine = copy.copy(self)
        engine.precision, engine._requests = "fp32", {}
        return engine

    def _infer(self, batch: np.ndarray) -> np.ndarray:
        request = self._request(batch.dtype.name)
        request.infer(np.ascontiguousarray(batch.transpose(0, 2, 3, 1)), share_inputs=True)
        return request.get_output_tensor().data.copy()

    def _request(self, element: str) -> ov.InferRequest:
        """Compiled once for each element type that really comes."""
        if element not in self._requests:
            prepared = PrePostProcessor(self._graph.clone())
            prepared.input().tensor().set_element_type(_TYPES[element]).set_layout(ov.Layout("NHWC"))
            prepared.input().model().set_layout(ov.Layout("NCHW"))
            prepared.output().tensor().set_element_type(ov.Type.f32)
            self._requests[element] = compile_graph(self._core, prepared.build(), self.precision)
        return self._requests[element]
