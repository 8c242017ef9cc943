"""What `torch.jit.script` sees of an MMBCD; `models/model.ts` is one, which plain torch loads."""

# TorchScript reads these annotations: real types, so this file has no `from __future__ import annotations`
import copy
import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from common.io.files import atomic_path

if TYPE_CHECKING:
    from .classifier import Mmbcd

CARD = "weights.json"  # extra file inside `model.ts`


class FixedInputs(nn.Module):
    """The network without optional inputs, to be traced.

    Args:
        network: it is copied.
    """

    def __init__(self, network: "Mmbcd") -> None:
        super().__init__()
        self.network = copy.deepcopy(network).eval()

    def forward(
        self,
        image: torch.Tensor,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        roi_mask: torch.Tensor,
        has_history: torch.Tensor,
    ) -> torch.Tensor:
        """As `Mmbcd.forward`."""
        return self.network(image, input_ids, attention_mask, roi_mask, has_history)


class ScriptedMmbcd(nn.Module):
    """The inputs of `Mmbcd.forward`, optional ones included, before the traced network.

    Args:
        network: of any options.
    """

    def __init__(self, network: "Mmbcd") -> None:
        super().__init__()
        self.traced = trace_network(network)

    def forward(
        self,
        image: torch.Tensor,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        roi_mask: torch.Tensor | None = None,
        has_history: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Logits (B, 2), benign and malignant, see `Mmbcd.forward`."""
        count = image.shape[0]
        if roi_mask is None:
            roi_mask = torch.ones(count, image.shape[2], device=image.device)
        if has_history is None:
            has_history = torch.full((count,), 0.0 if input_ids is None else 1.0, device=image.device)
        if input_ids is None:
            input_ids = torch.zeros(count, 2, dtype=torch.long, device=image.device)
            attention_mask = torch.ones_like(input_ids)
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        logits: torch.Tensor = self.traced(image, input_ids, attention_mask, roi_mask, has_history)
        return logits


def trace_network(network: "Mmbcd") -> torch.jit.ScriptModule:
    """The network as TorchScript, on the CPU; any number of pictures, regions and tokens.

    It is traced because transformers' networks cannot be scripted.

    Raises:
        ClassifierError: a network with text but no tokenizer: nothing could be given to it.
    """
    size = network.image_size
    ids = torch.tensor([[0, 1, 2, 1], [0, 2, 1, 1]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    example = (
        torch.rand(2, 3, 3, size, size),
        ids,
        mask,
        torch.tensor([[1.0, 1, 1], [1, 1, 0]]),
        torch.ones(2),
    )
    with torch.no_grad(), warnings.catch_warnings():
        # sizes are constants on purpose, and MONAI still speaks TorchScript
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        warnings.simplefilter("ignore", FutureWarning)
        return torch.jit.trace(FixedInputs(network).cpu(), example, check_trace=False)


def save_script(network: "Mmbcd", path: str | Path) -> None:
    """Write `model.ts`. The card of the weights and the options are its file `weights.json`.

    Raises:
        OutputError: cannot be written.
    """
    about = {"weights": network.card.as_json(), "options": network.options.as_json()}
    with atomic_path(path) as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        torch.jit.save(torch.jit.script(network), str(temporary), _extra_files={CARD: json.dumps(about)})
