"""timm's FocalNet as a pyramid of features, each normalised as the published detector does."""

from __future__ import annotations

import torch
from timm.layers import LayerNorm2d
from timm.models.focalnet import FocalNet
from torch import nn

from .sizes import DinoSizes

_LAYER_SCALE = 1e-4  # start of the blocks' residual scales (published)


class FocalNetBackbone(nn.Module):
    """Overlapping stem and downsampling; blocks normalised at their end, with layer scale.

    Args:
        sizes: the numbers of the network.
    """

    def __init__(self, sizes: DinoSizes) -> None:
        super().__init__()
        self.stages = sizes.stages
        self.body = FocalNet(
            embed_dim=sizes.embed,
            depths=sizes.depths,
            focal_levels=sizes.focal_levels,
            focal_windows=sizes.focal_windows,
            use_overlap_down=True,
            use_post_norm=True,
            normalize_modulator=True,
            layerscale_value=_LAYER_SCALE,
            drop_path_rate=sizes.drop_path,
        )
        self.body.prune_intermediate_layers(list(sizes.stages), prune_norm=True)
        self.body.set_grad_checkpointing(sizes.checkpointed)
        self.channels = [sizes.embed * 2**stage for stage in sizes.stages]
        self.norms = nn.ModuleList(LayerNorm2d(channels, eps=1e-5) for channels in self.channels)

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        """(B, 3, H, W) -> for each of `stages` (B, embed * 2^stage, H / 4 / 2^stage, W / 4 / 2^stage)."""
        maps = self.body.forward_intermediates(images, indices=list(self.stages), intermediates_only=True)
        return [norm(features) for norm, features in zip(self.norms, maps, strict=True)]
