"""KSam in the form in which it is trained: one picture, one template picture, several structures at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from einops import rearrange
from torch import nn
from torch.nn import functional as F

from common.errors import ConfigError
from common.training.optimisation import PrecisionInferer

from .knowledge_sam import KSam


class EpisodeOutput(NamedTuple):
    """Attributes:
    logits: (B, T, S, S).
    prior: (B, T, g, g), the logits of the similarity prior, None where the network has none.
    """

    logits: torch.Tensor
    prior: torch.Tensor | None


class EpisodeNetwork(nn.Module):
    """Encodes picture and template picture once, then segments every structure of the pair.

    Args:
        network: KSam.
        with_prior: give the logits of its similarity prior too, for a loss of their own.

    Raises:
        ConfigError: the network has no prior.
    """

    def __init__(self, network: KSam, with_prior: bool = False) -> None:
        super().__init__()
        if with_prior and network.prior is None and network.match_decoder is None:
            raise ConfigError(
                "loss_prior: expected a network with a similarity prior, got one without: set loss_prior to "
                "0, or prior of the network to dense, merge or both"
            )
        self.network, self.with_prior = network, with_prior

    def forward(
        self,
        picture: torch.Tensor,
        knowledge_image: torch.Tensor,
        knowledge_mask: torch.Tensor,
        knowledge_embedding: torch.Tensor | None = None,
        image: torch.Tensor | None = None,
    ) -> EpisodeOutput:
        """T structures of each of B pairs.

        Args:
            picture: (B, 3, S, S) RGB 0..255, or its features (B, C, g, g) where `knowledge_embedding` is
                given.
            knowledge_image: (B, 3, S, S) RGB 0..255.
            knowledge_mask: (B, T, S, S), 0..1.
            knowledge_embedding: features of the knowledge image (B, C, g, g), computed beforehand by a frozen
                encoder.
            image: (B, 3, S, S) RGB 0..255, where `picture` is its features.
        """
        tasks = knowledge_mask.shape[1]
        wanted, known = picture, knowledge_embedding
        if known is None:
            wanted, known = self.network.encode(picture), self.network.encode(knowledge_image)
        elif image is not None:
            wanted = self.network.extend(picture, image)
            known = self.network.extend(known, knowledge_image)
        if self.network.match_decoder is not None:
            return self._match(wanted, known, knowledge_mask)
        wanted = wanted.repeat_interleave(tasks, 0)
        knowledge = self.network.read_prompt(
            known.repeat_interleave(tasks, 0),
            knowledge_image.repeat_interleave(tasks, 0),
            rearrange(knowledge_mask, "B T H W -> (B T) 1 H W"),
        )
        logits = rearrange(self.network.segment(wanted, knowledge), "(B T) 1 H W -> B T H W", T=tasks)
        if not self.with_prior or self.network.prior is None:
            return EpisodeOutput(logits, None)
        prior = self.network.prior(wanted, knowledge.features, knowledge.mask).logits
        return EpisodeOutput(logits, rearrange(prior, "(B T) 1 h w -> B T h w", T=tasks))

    def _match(
        self, wanted: torch.Tensor, known: torch.Tensor, knowledge_mask: torch.Tensor
    ) -> EpisodeOutput:
        """All structures of a pair share the match of its features."""
        size, grid = knowledge_mask.shape[-1], wanted.shape[-1]
        found = self.network.match(wanted, known, F.avg_pool2d(knowledge_mask, size // grid))
        logits = F.interpolate(found.logits.float(), (size, size), mode="bilinear", align_corners=False)
        return EpisodeOutput(logits, found.carried if self.with_prior else None)


class EpisodeInferer(PrecisionInferer):
    """The forward pass of training in the wanted precision; see `PrecisionInferer`."""

    def __call__(self, inputs: torch.Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """(B, C, H, W) of any type -> `EpisodeOutput` in float32."""
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            logits, prior = network(inputs.float(), *args, **kwargs)
        return EpisodeOutput(logits.float(), None if prior is None else prior.float())


def prepare_episode(
    batch: Mapping[str, torch.Tensor], device: torch.device, non_blocking: bool = False, **_: Any
) -> tuple[torch.Tensor, torch.Tensor, tuple[()], dict[str, torch.Tensor]]:
    """What MONAI's trainer makes of a batch of episodes: inputs, targets, and the rest for the network."""
    moved = {
        key: value.to(device, non_blocking=non_blocking).float()
        for key, value in batch.items()
        if isinstance(value, torch.Tensor)
    }
    names: list[str] = [
        name for name in ("knowledge_image", "knowledge_mask", "knowledge_embedding") if name in moved
    ]
    if "embedding" in moved:
        names.append("image")
    return (
        moved["embedding" if "embedding" in moved else "image"],
        moved["label"],
        (),
        {name: moved[name] for name in names},
    )


def unwrap(network: nn.Module) -> KSam:
    """The KSam inside what training wraps around it."""
    while not isinstance(network, KSam):
        network = network.get_submodule("module" if hasattr(network, "module") else "network")
    return network
