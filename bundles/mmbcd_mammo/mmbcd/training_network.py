"""MMBCD in the form in which it is trained: regions or their kept features in, both scores out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from common.errors import ConfigError
from common.training.optimisation import PrecisionInferer

from .classifier import Mmbcd
from .fusion import MmbcdOutput


class TrainingNetwork(nn.Module):
    """Passes regions through the vision encoder unless they are features already.

    Args:
        network: MMBCD.
    """

    def __init__(self, network: Mmbcd) -> None:
        super().__init__()
        self.network = network

    def forward(
        self,
        rois: torch.Tensor,
        roi_mask: torch.Tensor,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        has_history: torch.Tensor | None = None,
    ) -> MmbcdOutput:
        """Scores of B mammograms.

        Args:
            rois: (B, K, 3, S, S) RGB 0..1, or features (B, K, D) of the frozen encoder.
            roi_mask: (B, K) true where there is a region.
            input_ids, attention_mask: (B, L) of `Mmbcd.tokenize`; None in a network without text.
            has_history: (B,) false where the history is missing.
        """
        network = self.network
        features = rois if rois.ndim == 3 else network.encode_rois(rois.transpose(1, 2))
        text = None
        if network.text is not None and input_ids is not None and attention_mask is not None:
            text = network.encode_text(input_ids, attention_mask)
        return network.fuse(features, roi_mask, text, has_history)


class TrainingInferer(PrecisionInferer):
    """The forward pass of training in the wanted precision; see `PrecisionInferer`."""

    def __call__(self, inputs: torch.Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Regions or features -> `MmbcdOutput` in float32."""
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            output = network(inputs.float(), *args, **kwargs)
        return MmbcdOutput(*(value.float() for value in output))


class PrepareBatch:
    """What MONAI's engines make of a batch: regions, labels, and the tokens for the network.

    Args:
        network: its tokenizer reads the histories.
    """

    def __init__(self, network: Mmbcd) -> None:
        self.network = network

    def __call__(
        self, batch: Mapping[str, Any], device: torch.device, non_blocking: bool = False, **_: Any
    ) -> tuple[torch.Tensor, torch.Tensor, tuple[()], dict[str, torch.Tensor]]:
        """A batch of `Samples` -> inputs, labels (B,), (), keyword arguments of `TrainingNetwork`."""
        given = {"roi_mask": batch["roi_mask"]}
        if self.network.text is not None:
            given |= self.network.tokenize(batch["history"])
        moved = {name: value.to(device, non_blocking=non_blocking) for name, value in given.items()}
        return batch["rois"].to(device), batch["label"].to(device), (), moved


class MalignancyLoss(nn.Module):
    """Cross-entropy of the score (paper: section 4), and of the image-only score beside it.

    Args:
        positive: weight of malignant mammograms, 1 for none (paper).
        image: weight of the image-only score's part; 0 trains it nowhere.

    Raises:
        ConfigError: a weight that is negative, or no weight of malignant mammograms.
    """

    def __init__(self, positive: float = 1.0, image: float = 0.5) -> None:
        super().__init__()
        if not positive > 0 or image < 0:
            raise ConfigError(
                f"loss: expected positive above 0 and image from 0 on, got {positive} and {image}: 1 and 0.5 "
                "are usual"
            )
        self.register_buffer("weight", torch.tensor([1.0, positive]))
        self.image = image

    def forward(self, output: MmbcdOutput, labels: torch.Tensor) -> torch.Tensor:
        """Logits (B, 2) twice and labels (B,) 0 or 1 -> the loss."""
        weight = self.get_buffer("weight").to(output.logits.device)
        loss = F.cross_entropy(output.logits, labels, weight)
        if self.image and output.image_logits is not output.logits:
            loss = loss + self.image * F.cross_entropy(output.image_logits, labels, weight)
        return loss
