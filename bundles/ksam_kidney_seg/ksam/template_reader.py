"""Templates as the network has read them: each slice encoded once, each mask read once."""

from __future__ import annotations

from typing import Any, Protocol
from weakref import WeakKeyDictionary

import torch
from torch import nn

from .frame import Frame, Window, build_frame
from .prompt_cache import FeatureFiles, RecentStore
from .retrieval import describe_embedding
from .templates import Template

KEPT_EMBEDDINGS_BYTES = 256 * 2**20
KEPT_KNOWLEDGE_BYTES = 512 * 2**20
"""Memory for templates; 4 MB is one embedding of the lite backbone, a dozen the knowledge read from it."""


class PromptNetwork(Protocol):
    """What this module and `predictor` need of an engine. Tensors are float32 on the engine's device.

    Attributes:
        image_size: S.
        network: what it was made of, for the hash of the weights.
    """

    image_size: int
    network: nn.Module

    def describe(self) -> dict[str, str]:
        """Engine, precision, device and version."""

    def encode(self, image: torch.Tensor) -> torch.Tensor:
        """(B, 3, S, S) RGB 0..255 -> (B, C, g, g)."""

    def read_prompt(self, embedding: torch.Tensor, image: torch.Tensor, mask: torch.Tensor) -> Any:
        """(B, C, g, g), (B, 3, S, S) and (B, 1, S, S) 0..1 -> a named tuple of tensors (B, ...)."""

    def segment(self, embedding: torch.Tensor, knowledge: Any) -> torch.Tensor:
        """(B, C, g, g) and the knowledge of B prompts -> logits (B, 1, S, S)."""


class TemplateReader:
    """Reads templates for one network, window and crop.

    Args:
        network: engine.
        window: of the task.
        crop: of the task.
        files: features on disk.
    """

    def __init__(self, network: PromptNetwork, window: Window | None, crop: str, files: FeatureFiles) -> None:
        self._network, self._window, self._crop, self._files = network, window, crop, files
        self._embeddings: RecentStore[torch.Tensor] = RecentStore(KEPT_EMBEDDINGS_BYTES)
        self._knowledge: RecentStore[Any] = RecentStore(KEPT_KNOWLEDGE_BYTES)
        self._frames: WeakKeyDictionary[Template, Frame] = WeakKeyDictionary()
        self._descriptors: RecentStore[torch.Tensor] = RecentStore(KEPT_EMBEDDINGS_BYTES)

    def frame(self, template: Template) -> Frame:
        """The square that the network sees of the template."""
        found = self._frames.get(template)
        return found or build_frame(template.image, self._crop, self._network.image_size)

    def image(self, template: Template) -> torch.Tensor:
        """(1, 3, S, S) RGB 0..255."""
        return torch.from_numpy(self.frame(template).to_network(template.image, self._window))[None]

    def mask(self, template: Template, structure: str) -> torch.Tensor:
        """(1, 1, S, S), covered share 0..1."""
        return torch.from_numpy(self.frame(template).mask_to_network(template.masks[structure]))[None, None]

    def embedding(self, template: Template) -> torch.Tensor:
        """(1, C, g, g): from memory, from disk, or computed and kept."""
        found = self._embeddings.get(template)
        if found is None:
            found = self._files.read(template)
            if found is None:
                found = self._network.encode(self.image(template))
                self._files.write(template, found)
            self._embeddings.put(template, found)
        return found

    def remember(self, template: Template, embedding: torch.Tensor, frame: Frame) -> None:
        """Keep the embedding (1, C, g, g) of a slice that was encoded already in a frame; memory only."""
        self._embeddings.put(template, embedding)
        self._frames[template] = frame

    def descriptor(self, template: Template) -> torch.Tensor:
        """(C,) of `describe_embedding`."""
        found = self._descriptors.get(template)
        return (
            self._descriptors.put(template, describe_embedding(self.embedding(template)))
            if found is None
            else found
        )

    def knowledge(self, template: Template, structure: str) -> Any:
        """What the network reads from a template about one structure, batch of 1."""
        found = self._knowledge.get((template, structure))
        if found is None:
            read = self._network.read_prompt(
                self.embedding(template), self.image(template), self.mask(template, structure)
            )
            found = self._knowledge.put((template, structure), read)
        return found
