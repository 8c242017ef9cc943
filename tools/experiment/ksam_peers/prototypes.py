"""PANet-style prototypes: mean features inside and outside the template's mask, compared by cosine."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import torch
from torch import nn
from torch.nn import functional as F

from common.layers.lora import add_lora
from common.networks.sam import Sam

from .base import Context, Peer, enlarge, load_sam, nothing_found, show_templates
from .prompted import check_part

SCALE = 20.0
"""PANet's factor on cosine similarities (Wang et al. 2019, section 3.3)."""

TRAINED_PARTS = ("lora", "all")


class PrototypeNetwork(nn.Module):
    """Masked average pooling and cosine classification (PANet, equations 1 to 3), for each structure alone.

    Choice: features of SAM's encoder in place of PANet's VGG, so that rows differ in method and not in
    pretraining.

    Args:
        sam: with its weights; only its encoder is used.
        train: None: frozen features; "lora": LoRA of rank 4; "all": every weight of the encoder.

    Raises:
        ConfigError: another part.
    """

    def __init__(self, sam: Sam, train: str | None = None) -> None:
        super().__init__()
        check_part(train, TRAINED_PARTS)
        self.encoder, self.image_size = sam.image_encoder, sam.image_size
        if train == "lora":
            add_lora(self.encoder, 4)
        elif train == "all":
            self.encoder.requires_grad_(True)

    def describe(self, features: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        """Prototypes.

        Args:
            features: (B, C, g, g).
            masks: (B, n, S, S) 0..1.

        Returns:
            (B, n, 2, C): of the structure and of everything else.
        """
        inside = F.adaptive_avg_pool2d(masks, features.shape[-1])
        shares = torch.stack([inside, 1 - inside], dim=2).flatten(3)
        shares = shares / shares.sum(-1, keepdim=True).clamp(min=1e-6)
        return shares @ features.flatten(2).transpose(1, 2)[:, None]

    def compare(self, features: torch.Tensor, prototypes: torch.Tensor) -> torch.Tensor:
        """Logits (B, n, S, S) of the softmax over the two distances; (B, C, g, g) and (B, n, 2, C)."""
        pixels = F.normalize(features, dim=1).flatten(2)[:, None]
        cosine = F.normalize(prototypes, dim=-1) @ pixels
        logits = SCALE * (cosine[:, :, 0] - cosine[:, :, 1])
        return enlarge(logits.unflatten(-1, features.shape[2:]).float(), self.image_size)

    def forward(self, image: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        """Training: every picture of the batch is segmented by the prototypes of the one before it.

        Args:
            image: (B, 3, S, S) RGB 0..255.
            truth: (B, n, S, S) 0..1.

        Returns:
            logits (B, n, S, S); nothing is found where the template does not show the structure.
        """
        features, before = self.encoder(image), truth.roll(1, 0)
        logits = self.compare(features, self.describe(features.roll(1, 0), before))
        shown = before.flatten(2).amax(2)[..., None, None] > 0
        return torch.where(shown, logits, nothing_found(1, 1, 1).to(logits.device))


class PrototypePeer(Peer):
    """One answer for each template.

    Args:
        network: see `PrototypeNetwork`.
        context: see `Context`.
        trained: whether the encoder is trained on the datalist first.
    """

    def __init__(self, network: PrototypeNetwork, context: Context, trained: bool) -> None:
        self.network, self.image_size = network, network.image_size
        self.trained = network if trained else None
        self.templates = show_templates(context.task, self.image_size)
        self.answers = {template.id: template.task for template in self.templates}

    @cached_property
    def prototypes(self) -> list[torch.Tensor]:
        """(1, n, 2, C) of each template; read once, after training."""
        read = self.network.encoder
        return [self.network.describe(read(t.image), t.masks[None]) for t in self.templates]

    def segment(self, image: torch.Tensor, truth: torch.Tensor) -> Mapping[str, torch.Tensor]:
        """See `Peer`."""
        features = self.network.encoder(image)
        found = [self.network.compare(features, prototypes)[0] for prototypes in self.prototypes]
        return dict(zip(self.answers, found, strict=True))


def build_prototypes(
    context: Context,
    weights: str | None,
    backbone: str,
    train: str | None = None,
    image_size: int | None = None,
) -> Peer:
    """Prototypes over an encoder of SAM. Raises ConfigError, ClassifierError."""
    sam = load_sam(backbone, weights, image_size, context.seed)
    return PrototypePeer(PrototypeNetwork(sam, train).eval(), context, train is not None)
