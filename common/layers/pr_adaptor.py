"""PrAdaptor: an example picture and its mask become two maps that SAM's mask convolutions can read."""

from __future__ import annotations

import torch
from einops import rearrange
from segment_anything.modeling.common import LayerNorm2d
from torch import nn
from torch.nn import functional as F

from ..errors import ConfigError

_STRIDES = {1: (1, 1), 2: (2, 1), 4: (2, 2)}


class PrAdaptor(nn.Module):
    """The lightweight adapter of KSAM (paper: equation 1; its layers are a choice).

    The paper only says that an adapter lets SAM's mask convolutions, which take one channel, see an RGB
    picture. Choice: two small convolutions for the picture (305 parameters at 512 pixels) and, for the mask,
    an affine map to logits (2 parameters), because logits are what SAM's convolutions were trained on.

    Args:
        image_size: S, edge of picture and mask in pixels.
        map_size: edge that SAM's mask convolutions expect, four times its token grid; S, S/2 or S/4.
        hidden: channels between the two convolutions.
        logit: the mask's 0 and 1 start as -logit and +logit. Choice: 8, sigmoid 0.0003 and 0.9997.

    Raises:
        ConfigError: no such ratio of sizes.
    """

    def __init__(self, image_size: int, map_size: int, hidden: int = 16, logit: float = 8.0) -> None:
        super().__init__()
        strides = _STRIDES.get(image_size // map_size)
        if strides is None or image_size % map_size:
            raise ConfigError(
                f"map_size: expected {image_size} pixels divided by 1, 2 or 4, got {map_size}: "
                "take a backbone with tokens of 4, 8 or 16 pixels"
            )
        self.ratio = image_size // map_size
        self.image = nn.Sequential(
            nn.Conv2d(3, hidden, strides[0], strides[0]),
            LayerNorm2d(hidden),
            nn.GELU(),
            nn.Conv2d(hidden, 1, strides[1], strides[1]),
        )
        self.gain = nn.Parameter(torch.tensor(2 * logit))
        self.bias = nn.Parameter(torch.tensor(-logit))

    def forward(self, image: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Both maps for SAM's mask convolutions.

        Args:
            image: (B, 3, S, S), RGB 0..255 (choice: seen as -1..1, the same for every backbone).
            mask: (B, 1, S, S), 0..1; reduced by the mean over areas, so that thin structures stay.

        Returns:
            picture map and mask logits, each (B, 1, M, M).
        """
        picture = self.image(image / 127.5 - 1)
        covered = F.avg_pool2d(rearrange(mask, "B 1 H W -> B 1 H W"), self.ratio)
        return picture, self.gain * covered + self.bias
