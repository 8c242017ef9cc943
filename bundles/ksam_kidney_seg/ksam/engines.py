"""How KSAM is executed: the encoder and the head each as one compiled network."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import nn

from common.engines import build_tensor_engine
from common.layers.lora import merge_lora

from .knowledge_sam import Knowledge, KSam


class KSamEngines:
    """A KSAM whose two heavy parts run on an engine; what `template_reader.PromptNetwork` asks for.

    The picture is encoded once, each template is read once (by PyTorch in fp32: a thousandth of the work),
    and each structure and template then costs one pass of the head.

    Args:
        network: copied, LoRA merged; later changes of it have no effect here.
        engine, precision, device: as in `common.engines.build_tensor_engine`.

    Attributes:
        network: the one that was given.
        image_size: S.

    Raises:
        ConfigError: an unknown name, a device that is not there, OpenVINO on CUDA.
    """

    def __init__(
        self, network: KSam, engine: str = "auto", precision: str = "auto", device: str = "cpu"
    ) -> None:
        self.network: nn.Module = network
        self.image_size = network.image_size
        self._reader = merge_lora(copy.deepcopy(network).cpu()).eval().requires_grad_(False)
        choice = (engine, precision, device)
        picture = torch.zeros(1, 3, self.image_size, self.image_size)
        self._encoder = build_tensor_engine(_Encoder(self._reader), [picture], *choice)
        embedding = self._encoder(picture)
        knowledge = self.read_prompt(embedding, picture, picture[:, :1])
        head = _Head(self._reader, [value.numel() > 0 for value in knowledge])
        self._head = build_tensor_engine(head, head.choose(embedding, knowledge), *choice)
        self._choose = head.choose

    @torch.inference_mode()
    def encode(self, image: torch.Tensor) -> torch.Tensor:
        """(B, 3, S, S) RGB 0..255, bytes or float -> (B, 256, g, g). Raises InputError for another shape."""
        self._reader._check("image", image, 3)
        return self._encoder(image)

    @torch.inference_mode()
    def read_prompt(self, embedding: torch.Tensor, image: torch.Tensor, mask: torch.Tensor) -> Knowledge:
        """(B, 256, g, g), (B, 3, S, S) 0..255, (B, 1, S, S) 0..1 -> what is known of B templates."""
        device = next(self._reader.parameters()).device
        return self._reader.read_prompt(embedding.to(device), image.to(device).float(), mask.to(device))

    @torch.inference_mode()
    def segment(self, embedding: torch.Tensor, knowledge: Knowledge) -> torch.Tensor:
        """(B or 1, 256, g, g) and the knowledge of B or 1 prompts -> logits (B, 1, S, S)."""
        count = max(len(embedding), len(knowledge.mask))
        inputs = self._choose(embedding, knowledge)
        return self._head(*(value.expand(count, -1, -1, -1) for value in inputs))

    def describe(self) -> dict[str, str]:
        """The choice made, for the result's record."""
        return {key: getattr(self._encoder, key) for key in ("engine", "precision", "device", "version")}


def build_ksam_engines(
    network: KSam, engine: str = "auto", precision: str = "auto", device: str = "cpu"
) -> KSamEngines:
    """`KSamEngines` of a network: for configs."""
    return KSamEngines(network, engine, precision, device)


class _Encoder(nn.Module):
    def __init__(self, network: KSam) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.network.encode(image)


class _Head(nn.Module):
    """The head with the fields of `Knowledge` as inputs; those without any channel are no inputs."""

    def __init__(self, network: KSam, filled: Sequence[bool]) -> None:
        super().__init__()
        self.network, self.filled = network, tuple(filled)

    def choose(self, embedding: torch.Tensor, knowledge: Knowledge) -> list[torch.Tensor]:
        """The inputs."""
        return [embedding, *(value for value, use in zip(knowledge, self.filled, strict=True) if use)]

    def forward(self, embedding: torch.Tensor, *inputs: torch.Tensor) -> torch.Tensor:
        remaining = iter(inputs)
        fields = [next(remaining) if use else embedding[:, :0] for use in self.filled]
        return self.network.segment(embedding, Knowledge(*fields))
