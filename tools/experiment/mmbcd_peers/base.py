"""What a peer is: a method that says of one mammogram and its history whether the breast has cancer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedTokenizerBase

REGIONS, PICTURE = "regions", "picture"
"""What a peer sees: the regions that MMBCD sees, or the complete mammogram."""


class Batch(NamedTuple):
    """B mammograms.

    Attributes:
        crops: (B, K, 3, S, S) RGB 0..1, zeros behind the last region; the complete mammogram is one region.
        present: (B, K) bool.
        histories: what concerns the breast; "" where there is nothing.
        labels: (B,) bool, malignant.
    """

    crops: torch.Tensor
    present: torch.Tensor
    histories: list[str]
    labels: torch.Tensor


class Peer(ABC):
    """A method of Table 1.

    Attributes:
        sees: `REGIONS` or `PICTURE`.
        image_size: S, edge of a region or of the picture in pixels.
        has_confidence: its scores lie between 0 and 1; otherwise it says yes or no, and has no AUC.
    """

    sees: str = REGIONS
    image_size: int
    has_confidence: bool = True

    @abstractmethod
    def score(self, batch: Batch) -> np.ndarray:
        """(B,) scores 0..1, at 0.5 and above malignant; NaN where it gives no answer."""


class TrainedPeer(Peer):
    """A method that is trained on the datalist before it is scored.

    Attributes:
        network: what is trained, and what is kept of it.
    """

    network: nn.Module

    @abstractmethod
    def find_loss(self, batch: Batch) -> torch.Tensor:
        """What training lowers."""

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device


def spell_out(histories: Sequence[str], tokenizer: PreTrainedTokenizerBase, *more: str) -> list[str]:
    """Histories without words that a tokenizer takes for marks of its own (such as the end of a text).

    Args:
        histories: free text.
        tokenizer: of the text encoder.
        more: further marks, such as the place of a picture.
    """
    found = []
    for history in histories:
        for mark in (*tokenizer.all_special_tokens, *more):
            history = history.replace(str(mark), " ")
        found.append(" ".join(history.split()))
    return found
