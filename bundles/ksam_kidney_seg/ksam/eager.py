"""KSAM as PyTorch runs it, behind the same seam as the engines."""

from __future__ import annotations

from typing import Any

import torch
from monai.networks.utils import eval_mode
from torch import nn

from .template_reader import PromptNetwork


class EagerNetwork:
    """KSam as it is, in eval mode; the reference for the engines.

    Args:
        network: KSam, on any device.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network: Any = network
        size: Any = network.image_size
        self.image_size = int(size)

    def describe(self) -> dict[str, str]:
        device = str(next(self.network.parameters()).device)
        return {"engine": "torch", "precision": "fp32", "device": device, "version": torch.__version__}

    def encode(self, image: torch.Tensor) -> torch.Tensor:
        return self._run("encode", image)

    def read_prompt(self, embedding: torch.Tensor, image: torch.Tensor, mask: torch.Tensor) -> Any:
        return self._run("read_prompt", embedding, image, mask)

    def segment(self, embedding: torch.Tensor, knowledge: Any) -> torch.Tensor:
        return self._run("segment", embedding, knowledge)

    @torch.inference_mode()
    def _run(self, name: str, *tensors: Any) -> Any:
        device = next(self.network.parameters()).device
        with eval_mode(self.network):
            return getattr(self.network, name)(*(move(tensor, device) for tensor in tensors))


def move(value: Any, device: torch.device) -> Any:
    """A tensor or a named tuple of tensors on another device."""
    return (
        value.to(device)
        if isinstance(value, torch.Tensor)
        else type(value)(*(move(v, device) for v in value))
    )


def weights_version(network: nn.Module | PromptNetwork) -> tuple[Any, ...]:
    """Changes whenever a parameter or buffer is replaced or written to; costs no pass over the values."""
    if not isinstance(network, nn.Module):
        return (id(network),)
    tensors = (*network.parameters(), *network.buffers())
    return (id(network), *((id(tensor), tensor.data_ptr(), _version(tensor)) for tensor in tensors))


def _version(tensor: torch.Tensor) -> int:
    return 0 if tensor.is_inference() else tensor._version  # inference tensors cannot be trained further
