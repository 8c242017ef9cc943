"""The network: ROIs of a mammogram and the clinical history of its patient -> benign or malignant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from einops import rearrange
from torch import nn

from common.errors import ClassifierError
from common.networks.card import WeightsCard
from common.networks.freezing import is_frozen
from common.networks.text_encoders import TextEncoder
from common.networks.vision_encoders import VisionEncoder

from .fusion import Fusion, MmbcdOutput, build_image_head
from .options import MmbcdOptions
from .script import ScriptedMmbcd


class Mmbcd(nn.Module):
    """MMBCD (paper: figure 2) with a path for missing histories and a score of the picture alone.

    Training with frozen encoders needs `fuse` alone: what `encode_rois` and `encode_text` answer does not
    change then, and can be kept (`vision_frozen`, `text_frozen`).

    Args:
        options: of the network.
        vision: encoder of ROIs.
        text: encoder of histories; None in a network without text.

    Attributes:
        card: where its weights come from.
    """

    empty_ids: torch.Tensor
    empty_mask: torch.Tensor

    def __init__(self, options: MmbcdOptions, vision: VisionEncoder, text: TextEncoder | None) -> None:
        super().__init__()
        self.options, self.card = options, WeightsCard()
        self.vision, self.text = vision, text
        self.fusion = Fusion(options, vision.size, 0 if text is None else text.size)
        self.image_head = None if text is None else build_image_head(options, self.fusion)
        self.missing: nn.Parameter | None = None
        if text is not None and options.missing_history == "learned":
            self.missing = nn.Parameter(torch.zeros(1, text.size))
        if text is not None and options.missing_history == "empty":
            ids, mask = _find_empty(text, options.prompt)
            self.register_buffer("empty_ids", ids, persistent=False)
            self.register_buffer("empty_mask", mask, persistent=False)

    @property
    def image_size(self) -> int:
        """Edge S of an ROI in pixels."""
        return self.vision.image_size

    @property
    def vision_frozen(self) -> bool:
        """Features of ROIs do not change in training."""
        return is_frozen(self.vision)

    @property
    def text_frozen(self) -> bool:
        """Embeddings of histories do not change in training."""
        return self.text is None or is_frozen(self.text)

    def trained_parameters(self) -> list[dict[str, Any]]:
        """What is trained, as groups of an optimizer: "vision", "text" and "fusion", the empty ones left out.

        The usual learning rates differ by group: an encoder with weights takes a smaller one.
        """
        groups: dict[str, list[nn.Parameter]] = {"vision": [], "text": [], "fusion": []}
        for name, value in self.named_parameters():
            if value.requires_grad:
                part = name.partition(".")[0]
                groups[part if part in groups else "fusion"].append(value)
        return [{"name": name, "params": values} for name, values in groups.items() if values]

    def tokenize(self, histories: Sequence[str | None], full: bool = False) -> dict[str, torch.Tensor]:
        """Histories as `forward` takes them.

        Args:
            histories: B texts, None or blank where there is none.
            full: pad to the greatest length instead of the longest text's.

        Returns:
            "input_ids" and "attention_mask" (B, L) int64, "has_history" (B,) bool.

        Raises:
            ClassifierError: the network reads no text.
        """
        given = [(history or "").strip() for history in histories]
        found = self._reader().tokenize([self.options.prompt.replace("{text}", text) for text in given], full)
        return found | {"has_history": torch.tensor([bool(text) for text in given])}

    def encode_rois(self, image: torch.Tensor) -> torch.Tensor:
        """RGB 0..1 (B, 3, K, S, S) -> features (B, K, D); empty places may hold anything finite.

        Raises:
            ClassifierError: ROIs of another size.
        """
        if image.ndim != 5 or image.shape[1] != 3 or image.shape[-1] != self.image_size:
            raise ClassifierError(
                f"image: expected ROIs (B, 3, K, {self.image_size}, {self.image_size}), got "
                f"{tuple(image.shape)}: cut them at image_size"
            )
        features = self.vision(rearrange(image, "B c K h w -> (B K) c h w"))
        return rearrange(features, "(B K) D -> B K D", K=image.shape[2])

    def encode_text(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Token numbers and mask (B, L) -> embeddings (B, Dt). Raises ClassifierError: no text is read."""
        return self._reader()(input_ids, attention_mask)

    def fuse(
        self,
        roi_features: torch.Tensor,
        roi_mask: torch.Tensor | None = None,
        text: torch.Tensor | None = None,
        has_history: torch.Tensor | None = None,
    ) -> MmbcdOutput:
        """Scores from features.

        Args:
            roi_features: (B, K, D) of `encode_rois`.
            roi_mask: (B, K) true where there is an ROI; None: everywhere.
            text: (B, Dt) of `encode_text`; None: no history at all.
            has_history: (B,) false where the history is missing and `text` is not looked at; None: nowhere.
        """
        present = _to_bool(roi_mask, roi_features.shape[:2], roi_features.device)
        history = None if self.text is None else self._complete(len(roi_features), text, has_history)
        logits, pooled, attention = self.fusion(roi_features, present, history)
        if self.image_head is None:
            return MmbcdOutput(logits, logits, attention)
        image = pooled if self.options.image_gradient else pooled.detach()
        return MmbcdOutput(logits, self.image_head(image), attention)

    def forward(
        self,
        image: torch.Tensor,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        roi_mask: torch.Tensor | None = None,
        has_history: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """One score for each picture.

        Args:
            image: ROIs, RGB 0..1 (B, 3, K, S, S).
            input_ids, attention_mask: (B, L) of `tokenize`; None: no history at all.
            roi_mask, has_history: see `fuse`.

        Returns:
            logits (B, 2), benign and malignant.

        Raises:
            ClassifierError: ROIs of another size.
        """
        text = None
        if self.text is not None and input_ids is not None:
            mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
            text = self.encode_text(input_ids, mask)
        return self.fuse(self.encode_rois(image), roi_mask, text, has_history).logits

    def __prepare_scriptable__(self) -> nn.Module:
        """What `torch.jit.script` compiles, and so MONAI's `ckpt_export`; its `forward` takes the same."""
        return ScriptedMmbcd(self)

    def _reader(self) -> TextEncoder:
        if self.text is None:
            raise ClassifierError("history: expected a network with text, got use_text false: set it to true")
        return self.text

    def _complete(
        self, count: int, text: torch.Tensor | None, has_history: torch.Tensor | None
    ) -> torch.Tensor:
        """(B, Dt), with what stands for a missing history where there is none."""
        if text is None:
            return self._missing().expand(count, -1)
        there = _to_bool(has_history, (count,), text.device)
        if self.training and self.options.history_dropout:
            there = there & (torch.rand(count, device=text.device) >= self.options.history_dropout)
        if not (self.training or torch.jit.is_tracing()) and bool(there.all()):
            return text  # in training the graph is always the same, as training on several GPUs wants it
        return torch.where(there[:, None], text, self._missing().to(text.dtype))

    def _missing(self) -> torch.Tensor:
        if self.missing is not None:
            return self.missing
        return self._reader()(self.empty_ids, self.empty_mask)


def _to_bool(mask: torch.Tensor | None, shape: Sequence[int], device: torch.device) -> torch.Tensor:
    """Masks may come as numbers (engines pass floats); none means that all is there."""
    return torch.ones(tuple(shape), dtype=torch.bool, device=device) if mask is None else mask > 0


def _find_empty(text: TextEncoder, prompt: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens of the prompt without a history; its two ends where there is no tokenizer."""
    if text.reads:
        found = text.tokenize([prompt.replace("{text}", "")])
        return found["input_ids"], found["attention_mask"]
    ids = torch.tensor([[0, 2]])
    return ids, torch.ones_like(ids)
