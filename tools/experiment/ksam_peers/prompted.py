"""SAM, MedSAM and LiteMedSAM with oracle points and boxes; untouched, or trained further on the datalist."""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from common.errors import ConfigError
from common.layers.lora import add_lora
from common.networks.sam import Sam

from .base import Context, Peer, enlarge, load_sam, nothing_found
from .oracle import OraclePrompt

TRAINED_PARTS = ("decoder", "lora", "all")


class PromptedNetwork(nn.Module, ABC):
    """A network that needs a prompt for each structure; the prompts come from the truth.

    Args:
        prompt: how they are drawn.
        image_size: S.
        seed: of the prompts in training.
    """

    def __init__(self, prompt: OraclePrompt, image_size: int, seed: int = 0) -> None:
        super().__init__()
        self.prompt, self.image_size = prompt, image_size
        self.rng = np.random.default_rng(seed)

    @abstractmethod
    def encode(self, image: torch.Tensor) -> Any:
        """(B, 3, S, S) RGB 0..255 -> features of B pictures."""

    @abstractmethod
    def decode(self, features: Any, pictures: torch.Tensor, prompts: torch.Tensor) -> torch.Tensor:
        """Masks for prompts.

        Args:
            features: of `encode`.
            pictures: (m,) which picture each prompt belongs to.
            prompts: (m, 2) points or (m, 4) boxes, pixels.

        Returns:
            logits (m, 1, h, w).
        """

    def forward(self, image: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        """(B, 3, S, S) and (B, n, S, S) -> logits (B, n, S, S), with new prompts every time."""
        return self.answer(self.encode(image), truth, self.rng)

    def answer(self, features: Any, truth: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        """Logits (B, n, S, S); nothing is found of a structure that is not there, since it gets no prompt."""
        logits = nothing_found(*truth.shape[:2], self.image_size).to(truth.device)
        masks = truth.cpu().numpy()
        drawn = {place: self.prompt.draw(masks[place], rng) for place in np.ndindex(masks.shape[:2])}
        places = [place for place, prompt in drawn.items() if prompt is not None]
        if not places:
            return logits
        prompts = torch.from_numpy(np.stack([drawn[place] for place in places])).to(truth.device)
        pictures, structures = torch.tensor(places, device=truth.device).T
        found = enlarge(self.decode(features, pictures, prompts).float(), self.image_size)
        logits[pictures, structures] = found[:, 0]
        return logits


class PromptedSam(PromptedNetwork):
    """SAM of any backbone.

    Args:
        sam: with its weights.
        prompt, seed: see `PromptedNetwork`.
        train: None: nothing is trained; "decoder": the mask decoder; "lora": that and LoRA of rank 4 in q, v
            and the MLP, as Medical SAM Adapter; "all": every weight, as the paper's rows with a dagger.

    Raises:
        ConfigError: another part.
    """

    def __init__(self, sam: Sam, prompt: OraclePrompt, train: str | None = None, seed: int = 0) -> None:
        super().__init__(prompt, sam.image_size, seed)
        check_part(train, TRAINED_PARTS)
        self.sam = sam
        if train == "lora":
            add_lora(sam.image_encoder, 4, ("q", "v", "mlp"))
        elif train == "all":
            sam.requires_grad_(True)
        if train is not None:
            sam.mask_decoder.requires_grad_(True)

    def encode(self, image: torch.Tensor) -> torch.Tensor:
        """(B, 256, g, g)."""
        return self.sam.image_encoder(image)

    def decode(self, features: torch.Tensor, pictures: torch.Tensor, prompts: torch.Tensor) -> torch.Tensor:
        """See `PromptedNetwork`."""
        points = boxes = None
        if prompts.shape[1] == 2:
            points = (prompts[:, None], torch.ones(len(prompts), 1, device=prompts.device))
        else:
            boxes = prompts
        sparse, dense = self.sam.prompt_encoder(points=points, boxes=boxes, masks=None)
        return self.sam.decode(features[pictures], sparse, dense)


class PromptedPeer(Peer):
    """Oracle prompts, drawn anew for each answer.

    Args:
        network: see `PromptedNetwork`.
        context: see `Context`.
        trained: whether the network is trained on the datalist first.
    """

    def __init__(self, network: PromptedNetwork, context: Context, trained: bool) -> None:
        self.network, self.seed = network, context.seed
        self.trained = network if trained else None
        self.image_size = network.image_size
        self.answers = {f"prompt {number + 1}": context.task for number in range(context.answers)}

    def segment(self, image: torch.Tensor, truth: torch.Tensor) -> Mapping[str, torch.Tensor]:
        """See `Peer`. The same slice gets the same prompts in every run."""
        features, mark = self.network.encode(image), zlib.crc32(truth.numpy().tobytes())
        found = {}
        for number, name in enumerate(self.answers):
            rng = np.random.default_rng([self.seed, number, mark])
            found[name] = self.network.answer(features, truth[None], rng)[0]
        return found


def build_prompted(
    context: Context,
    weights: str | None,
    backbone: str,
    prompt: str,
    margin_px: float = 0.0,
    train: str | None = None,
    image_size: int | None = None,
) -> Peer:
    """SAM, MedSAM or LiteMedSAM with oracle prompts.

    Raises:
        ConfigError, ClassifierError: see `load_sam`, `OraclePrompt`, `PromptedSam`.
    """
    oracle = OraclePrompt(prompt, margin_px)
    network = PromptedSam(load_sam(backbone, weights, image_size, context.seed), oracle, train, context.seed)
    return PromptedPeer(network.eval(), context, train is not None)


def check_part(train: str | None, known: tuple[str, ...]) -> None:
    """Raises ConfigError for a part that cannot be trained."""
    if train is not None and train not in known:
        raise ConfigError(f"train: expected null, {', '.join(known)}, got '{train}': choose one")
