"""`model.ts`: the network with its bank as one TorchScript file that plain torch loads."""

from __future__ import annotations

import copy
import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from common.errors import ClassifierError
from common.io.files import atomic_path
from common.layers.lora import merge_lora

if TYPE_CHECKING:
    from .knowledge_sam import KSam

CARD = "weights.json"  # extra file inside `model.ts`


class BankNetwork(nn.Module):
    """Picture in, logits of all structures out; the templates' features are buffers.

    Args:
        network: with a bank. It is copied, LoRA is merged in the copy.
    """

    bank_features: torch.Tensor

    def __init__(self, network: KSam) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).eval()
        merge_lora(self.network.sam.image_encoder)
        _fix_position(self.network)
        with torch.no_grad():
            self.register_buffer("bank_features", network.encode_bank())

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(B, 3, S, S), RGB 0..255 -> logits (B, n, S, S)."""
        return self.network.segment_by_bank(self.network.encode(image), self.bank_features)


class FixedPosition(nn.Module):
    """SAM's positional encoding as a buffer: what is traced then follows the file to any device."""

    position: torch.Tensor

    def __init__(self, position: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("position", position)

    def forward(self, size: tuple[int, int]) -> torch.Tensor:
        """(g, g) -> (256, g, g)."""
        return self.position


class ScriptedBank(nn.Module):
    """What `torch.jit.script` sees of a KSAM: the traced `BankNetwork`.

    Args:
        network: with a bank.
    """

    def __init__(self, network: KSam) -> None:
        super().__init__()
        self.traced = trace_bank(network)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(B, 3, S, S), RGB 0..255 -> logits (B, n, S, S)."""
        logits: torch.Tensor = self.traced(image)
        return logits


def trace_bank(network: KSam) -> torch.jit.ScriptModule:
    """The network with its bank as TorchScript, on the CPU; any batch size, and any device it is moved to.

    It is traced because segment_anything's encoder cannot be scripted.
    """
    segmenter = BankNetwork(network).cpu().eval()
    example = torch.rand(2, 3, network.image_size, network.image_size) * 255
    with torch.no_grad(), warnings.catch_warnings():
        # sizes are constants on purpose, and MONAI still speaks TorchScript
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        warnings.simplefilter("ignore", FutureWarning)
        return torch.jit.trace(segmenter, example, check_trace=False)


def save_script(network: KSam, path: str | Path) -> None:
    """Write `model.ts`. The card of the weights and the structures' names are its file `weights.json`.

    Raises:
        ClassifierError: the bank is empty or a placeholder.
        OutputError: cannot be written.
    """
    if network.bank.is_placeholder:
        raise ClassifierError(
            "model.ts: expected a filled prompt bank, got none: call set_bank, or load weights with a bank"
        )
    traced = trace_bank(network)
    about = {"weights": network.card.as_json(), "structures": network.bank.names}
    with atomic_path(path) as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        torch.jit.save(traced, str(temporary), _extra_files={CARD: json.dumps(about)})


def _fix_position(network: KSam) -> None:
    encoder = network.sam.prompt_encoder
    with torch.no_grad():
        encoder.pe_layer = FixedPosition(encoder.get_dense_pe()[0])
