"""The traditional methods: 2D networks of MONAI, trained from random weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from monai.networks.nets import UNETR, SwinUNETR, UNet
from torch import nn

from common.errors import ConfigError

from .base import Context, FixedPeer, Peer

NETWORKS: Mapping[str, Callable[..., nn.Module]] = {"UNet": UNet, "UNETR": UNETR, "SwinUNETR": SwinUNETR}


class TraditionalNetwork(nn.Module):
    """A network of MONAI on RGB 0..255.

    Args:
        name: of `NETWORKS`.
        classes: n, structures to predict.
        image_size: S.
        settings: further arguments of the network.

    Raises:
        ConfigError: another name, or arguments that the network does not take.
    """

    def __init__(self, name: str, classes: int, image_size: int, settings: Mapping[str, Any]) -> None:
        super().__init__()
        if name not in NETWORKS:
            raise ConfigError(f"network: expected one of {', '.join(NETWORKS)}, got '{name}': choose one")
        given: dict[str, Any] = {"spatial_dims": 2, "in_channels": 3, "out_channels": classes, **settings}
        if name == "UNETR":
            given["img_size"] = image_size
        self.image_size = image_size
        try:
            self.network = NETWORKS[name](**given)
        except (TypeError, ValueError) as error:
            raise ConfigError(
                f"settings of {name}: expected arguments that it takes, got '{error}': correct them"
            ) from error

    def forward(self, image: torch.Tensor, truth: torch.Tensor | None = None) -> torch.Tensor:
        """(B, 3, S, S) RGB 0..255 -> logits (B, n, S, S); the truth is not looked at."""
        return self.network((image - 127.5) / 63.75)


def build_traditional(
    context: Context,
    weights: str | None,
    network: str,
    image_size: int = 256,
    settings: Mapping[str, Any] | None = None,
) -> Peer:
    """UNet, UNETR or SwinUNETR; there are no weights to load. Raises ConfigError."""
    torch.manual_seed(context.seed)
    classes = len(context.task.structures)
    return FixedPeer(TraditionalNetwork(network, classes, image_size, settings or {}).eval(), context)
