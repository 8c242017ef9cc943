"""CLIP fine-tuned contrastively on mammograms and their histories (paper: section 4.1, equation 4)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from einops import rearrange
from torch import nn
from torch.nn import functional as F

from common.errors import ConfigError
from common.layers.mil_attention import max_pool
from common.networks.vision_encoders import VisionEncoder, build_vision_encoder

from .base import Batch, TrainedPeer
from .clip_text import ClipText, build_clip_text

PROMPT = "Cancer:{answer}; Indication:{text}"
ANSWERS = ("No", "Yes")
SCALE, MAX_SCALE = math.log(1 / 0.07), math.log(100)  # of similarities, as CLIP starts and limits it


class ClipNetwork(nn.Module):
    """Mammograms and texts in one space.

    Args:
        vision: encoder of regions.
        text: encoder of prompts.

    Attributes:
        projection: brings pictures to the size of texts; nothing where CLIP's own weights have done so.
    """

    def __init__(self, vision: VisionEncoder, text: ClipText) -> None:
        super().__init__()
        self.vision, self.text = vision, text
        same = vision.name.startswith("clip") and vision.size == text.size
        self.projection = nn.Identity() if same else nn.Linear(vision.size, text.size, bias=False)
        self.scale = nn.Parameter(torch.tensor(SCALE))

    def embed_pictures(self, crops: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        """Regions (B, K, 3, S, S) and which are there (B, K) -> (B, D) of length 1; equation 1 pools them."""
        features = crops.new_zeros(*present.shape, self.vision.size)
        if present.any():
            features[present] = self.vision(crops[present]).to(features.dtype)
        return F.normalize(self.projection(max_pool(features, present)), dim=-1)

    def embed_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """B texts -> (B, D) of length 1."""
        return F.normalize(self.text(texts), dim=-1)

    def compare(self, pictures: torch.Tensor, texts: torch.Tensor) -> torch.Tensor:
        """Similarities (P, T) of pictures (P, D) and texts (T, D), scaled."""
        return self.scale.clamp(max=MAX_SCALE).exp() * pictures @ texts.T


class ClipPeer(TrainedPeer):
    """Trained on pairs of a mammogram and its true prompt; at test time the nearer of two prompts wins.

    Args:
        network: of pictures and texts.
        prompt: with {answer} and {text} once each.

    Raises:
        ConfigError: another prompt.
    """

    def __init__(self, network: ClipNetwork, prompt: str = PROMPT) -> None:
        if prompt.count("{answer}") != 1 or prompt.count("{text}") != 1:
            raise ConfigError(f"prompt: expected {{answer}} and {{text}} once each, got others: '{PROMPT}'")
        self.network: ClipNetwork = network
        self.image_size, self.prompt = network.vision.image_size, prompt

    def write_prompts(self, histories: Sequence[str], labels: Sequence[bool]) -> list[str]:
        """What a mammogram is paired with if its label is as given."""
        return [
            self.prompt.replace("{answer}", ANSWERS[int(label)]).replace("{text}", history)
            for history, label in zip(histories, labels, strict=True)
        ]

    def find_loss(self, batch: Batch) -> torch.Tensor:
        """CLIP's: cross-entropy of the pairs among all pairs of the batch, from both sides.

        Mammograms with the same prompt (views of a breast, missing histories) share the target (choice:
        CLIP would push them away from a text that is their own).
        """
        texts = self.write_prompts(batch.histories, batch.labels.tolist())
        pictures = self.network.embed_pictures(batch.crops, batch.present)
        logits = self.network.compare(pictures, self.network.embed_texts(texts)).float()
        targets = share_targets(texts).to(logits.device)
        return (F.cross_entropy(logits, targets) + F.cross_entropy(logits.T, targets)) / 2

    def score(self, batch: Batch) -> np.ndarray:
        """Softmax over the two prompts, its share of "Yes"; NaN where no region was found."""
        pictures = self.network.embed_pictures(batch.crops, batch.present)
        count = len(batch.histories)
        no, yes = (self.write_prompts(batch.histories, [label] * count) for label in (False, True))
        texts = rearrange(self.network.embed_texts([*no, *yes]), "(a B) D -> B D a", a=2)
        scale = self.network.scale.clamp(max=MAX_SCALE).exp()
        logits = scale * torch.einsum("bd,bda->ba", pictures.float(), texts.float())
        scores = logits.softmax(dim=1)[:, 1].cpu().numpy().astype(float)
        return np.where(batch.present.any(dim=1).cpu().numpy(), scores, np.nan)


def share_targets(texts: Sequence[str]) -> torch.Tensor:
    """(B, B): each row spread evenly over the texts that are the same as its own."""
    numbers = torch.tensor([texts.index(text) for text in texts])
    same = (numbers[:, None] == numbers).float()
    return same / same.sum(dim=1, keepdim=True)


def build_clip(
    files: Mapping[str, str],
    vision: str,
    frozen_blocks: int = 0,
    image_size: int = 0,
    prompt: str = PROMPT,
) -> ClipPeer:
    """A CLIP with any vision encoder.

    Args:
        files: "vision" (see `build_vision_encoder`), "text" and perhaps "text_weights" (`build_clip_text`).
        vision: name of the vision encoder.
        frozen_blocks: of it; 0: all of it is trained.
        image_size: S in pixels; 0: the encoder's own.
        prompt: see `ClipPeer`.

    Raises:
        ConfigError, ClassifierError: see the builders.
    """
    encoder = build_vision_encoder(vision, files.get("vision"), frozen_blocks, image_size)
    text = build_clip_text(files["text"], files.get("text_weights"))
    return ClipPeer(ClipNetwork(encoder, text), prompt)
