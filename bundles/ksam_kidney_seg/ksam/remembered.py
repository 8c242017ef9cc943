"""A network that encodes the same picture only once."""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from monai.networks.utils import eval_mode

from .eager import EagerNetwork
from .knowledge_sam import KSam
from .prompt_cache import RecentStore
from .template_reader import PromptNetwork

KEPT_BYTES = 2**30


def _pixels(image: torch.Tensor) -> bytes:
    return hashlib.sha256(image.detach().cpu().contiguous().numpy().tobytes()).digest()


class RememberedNetwork:
    """Stands in for a network whose weights do not change: what it encoded is looked up by its pixels.

    Args:
        engine: what runs the network.
        limit_bytes: of the features that are kept.
    """

    def __init__(self, engine: PromptNetwork, limit_bytes: int = KEPT_BYTES) -> None:
        self.engine, self.network = engine, engine.network
        self.kept: RecentStore[torch.Tensor] = RecentStore(limit_bytes)
        self.image_size = engine.image_size

    def describe(self) -> dict[str, str]:
        """The engine's choice."""
        return self.engine.describe()

    def encode(self, image: torch.Tensor) -> torch.Tensor:
        """(1, 3, S, S) RGB 0..255 -> (1, C, g, g)."""
        found = self.kept.get(key := _pixels(image))
        return self.kept.put(key, self.engine.encode(image)) if found is None else found

    def read_prompt(self, embedding: torch.Tensor, image: torch.Tensor, mask: torch.Tensor) -> Any:
        return self.engine.read_prompt(embedding, image, mask)

    def segment(self, embedding: torch.Tensor, knowledge: Any) -> torch.Tensor:
        return self.engine.segment(embedding, knowledge)


class FrozenEncoderNetwork(EagerNetwork):
    """A network in training whose encoder is frozen: the encoder's features are looked up by their pixels.

    Args:
        network: KSam.
        kept: features so far; they stay right as long as the encoder does not change.
    """

    def __init__(self, network: KSam, kept: RecentStore[torch.Tensor]) -> None:
        super().__init__(network)
        self.network, self.kept = network, kept

    @torch.inference_mode()
    def encode(self, image: torch.Tensor) -> torch.Tensor:
        """(1, 3, S, S) RGB 0..255 -> (1, C, g, g)."""
        image = image.to(next(self.network.parameters()).device)
        with eval_mode(self.network):
            features = self.kept.get(key := _pixels(image))
            if features is None:
                features = self.kept.put(key, self.network.sam.image_encoder(image).float())
            return self.network.extend(features, image)
