"""A network that encodes the same picture only once."""

from __future__ import annotations

import hashlib
from typing import Any

import torch

from .prompt_cache import RecentStore
from .template_reader import PromptNetwork

KEPT_BYTES = 2**30


class RememberedNetwork:
    """Stands in for a network whose encoder does not change; what it encoded is looked up by its pixels.

    Args:
        network: engine.
        kept: features so far; several networks with the same encoder may share them.
    """

    def __init__(self, network: PromptNetwork, kept: RecentStore[torch.Tensor] | None = None) -> None:
        self.network = network
        self.kept: RecentStore[torch.Tensor] = RecentStore(KEPT_BYTES) if kept is None else kept
        self.image_size = network.image_size

    def encode(self, image: torch.Tensor) -> torch.Tensor:
        """(1, 3, S, S) RGB 0..255 -> (1, C, g, g)."""
        key = hashlib.sha256(image.cpu().contiguous().numpy().tobytes()).digest()
        found = self.kept.get(key)
        return self.kept.put(key, self.network.encode(image)) if found is None else found

    def read_prompt(self, embedding: torch.Tensor, image: torch.Tensor, mask: torch.Tensor) -> Any:
        return self.network.read_prompt(embedding, image, mask)

    def segment(self, embedding: torch.Tensor, knowledge: Any) -> torch.Tensor:
        return self.network.segment(embedding, knowledge)
