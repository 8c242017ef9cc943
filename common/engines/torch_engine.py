"""Execution by PyTorch itself: the reference on a CPU, the default on CUDA."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from ..errors import ConfigError
from ..networks.centred_densenet import centre_stems
from .base import Engine


class TorchEngine(Engine):
    """Eager PyTorch, with autocast for bf16.

    Args:
        network: (B, 3, H, W) float -> (B, ...); moved to `device` and set to eval mode.
        shape_px: (3, H, W) of one patch.
        precision: "auto" (bf16 where a CUDA device has it, else fp32), "fp32" or "bf16".
        device: "cpu", "cuda" or "cuda:N".

    Raises:
        ConfigError: the device does not exist.
    """

    engine = "torch"

    def __init__(self, network: nn.Module, shape_px: tuple[int, ...], precision: str, device: str) -> None:
        self._device = find_device(device)
        self.precision = find_precision(precision, self._device)
        self.device = "cpu" if self._device.type == "cpu" else torch.cuda.get_device_name(self._device)
        self.version = torch.__version__
        self.shape_px = shape_px
        prepared = centre_stems(network) if self.precision == "bf16" else network
        self._network = prepared.to(self._device).eval()

    @torch.inference_mode()
    def _infer(self, batch: np.ndarray) -> np.ndarray:
        image = torch.from_numpy(batch).to(self._device).float()
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            answer = self._network(image)
        return answer.float().cpu().numpy()


def find_precision(precision: str, device: torch.device) -> str:
    """ "auto" is bf16 where a CUDA device has it, else fp32: PyTorch on a CPU gains little from bf16."""
    if precision != "auto":
        return precision
    return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"


def find_device(device: str) -> torch.device:
    """Raises ConfigError for a device that this machine does not have."""
    try:
        found = torch.device(device)
    except RuntimeError as error:
        raise ConfigError(
            f"device: expected 'cpu', 'cuda' or 'cuda:N', got '{device}': correct the setting"
        ) from error
    available = {"cpu": 1, "cuda": torch.cuda.device_count()}.get(found.type, 0)
    if (found.index or 0) >= available:
        raise ConfigError(f"device: expected one that this machine has, got '{device}': choose 'cpu'")
    return found
