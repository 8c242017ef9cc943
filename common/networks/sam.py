"""Segment-anything networks: SAM's and MedSAM's ViT-B, LiteMedSAM's TinyViT, one interface."""

from __future__ import annotations

import torch
from segment_anything.modeling import PromptEncoder
from torch import nn

from ..errors import ConfigError
from .sam_decoder import BatchMaskDecoder
from .sam_vit import Pixels, VitEncoder, VitSizes
from .tiny_vit import TinyVitEncoder, TinyVitSizes

CHANNELS = 256  # of the embedding, in every SAM

_IMAGENET: Pixels = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
_UNIT: Pixels = ((0.0, 0.0, 0.0), (255.0, 255.0, 255.0))  # MedSAM and LiteMedSAM were trained on 0..1

BACKBONES: dict[str, VitSizes | TinyVitSizes] = {
    "vit_b": VitSizes(_IMAGENET),
    "medsam": VitSizes(_UNIT),
    "lite": TinyVitSizes(_UNIT),
}
# Edge of the picture. KSAM's paper: 512 for ViT-B, which was trained at 1024; LiteMedSAM was trained at 256.
DEFAULT_SIZE_PX = {"vit_b": 512, "medsam": 512, "lite": 256}


class Sam(nn.Module):
    """Image encoder, prompt encoder, mask decoder; state-dict names as in the official checkpoints of SAM.

    Attributes:
        image_encoder: RGB 0..255 (B, 3, S, S) -> (B, 256, g, g); the normalisation of the backbone is inside.
        prompt_encoder: segment_anything's, for g x g tokens.
        mask_decoder: segment_anything's, for batches of pictures.
        image_size: S in pixels.
        grid: g in tokens; logits of the decoder are 4g x 4g.
    """

    def __init__(self, image_encoder: nn.Module, image_size: int, grid: int) -> None:
        super().__init__()
        self.image_size, self.grid = image_size, grid
        self.image_encoder = image_encoder
        self.prompt_encoder = PromptEncoder(CHANNELS, (grid, grid), (image_size, image_size), 16)
        self.mask_decoder = BatchMaskDecoder(CHANNELS)

    def decode(self, features: torch.Tensor, sparse: torch.Tensor, dense: torch.Tensor) -> torch.Tensor:
        """The decoder's single mask (token 0).

        Args:
            features: (B or 1, 256, g, g) of the image encoder.
            sparse: (B, n, 256) prompt tokens.
            dense: (B or 1, 256, g, g) added to the features.

        Returns:
            logits (B, 1, 4g, 4g).
        """
        position = self.prompt_encoder.get_dense_pe()
        return self.mask_decoder(features, position, sparse, dense, multimask_output=False)[0]

    def forward(
        self,
        image: torch.Tensor,
        boxes_px: torch.Tensor | None = None,
        points: tuple[torch.Tensor, torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """One mask for each picture and its prompt.

        Args:
            image: (B, 3, S, S), RGB 0..255.
            boxes_px: (B, 4) x0, y0, x1, y1 in pixels of the picture.
            points: (B, n, 2) x, y in pixels and (B, n) labels (1 in the structure, 0 outside).

        Returns:
            logits (B, 1, 4g, 4g).
        """
        sparse, dense = self.prompt_encoder(points=points, boxes=boxes_px, masks=None)
        return self.decode(self.image_encoder(image), sparse, dense)


def build_sam(backbone: str | VitSizes | TinyVitSizes = "vit_b", image_size: int | None = None) -> Sam:
    """An untrained SAM in eval mode; `load_backbone` (`sam_weights.py`) gives it its weights.

    Args:
        backbone: "vit_b" (SAM), "medsam" (ViT-B trained on pixels 0..1), "lite" (LiteMedSAM), or numbers.
        image_size: edge of the picture in pixels; by default 512 for ViT-B, 256 for lite.

    Raises:
        ConfigError: no such backbone, or no size that its patches fill.
    """
    sizes = find_backbone(backbone) if isinstance(backbone, str) else backbone
    if image_size is None:
        image_size = DEFAULT_SIZE_PX.get(str(backbone), 256)
    if image_size < sizes.stride_px or image_size % sizes.stride_px:
        raise ConfigError(
            f"image_size: expected a multiple of {sizes.stride_px} pixels, got {image_size}: "
            f"take {max(1, round(image_size / sizes.stride_px)) * sizes.stride_px}"
        )
    return Sam(_build_encoder(sizes, image_size), image_size, image_size // sizes.stride_px).eval()


def _build_encoder(sizes: VitSizes | TinyVitSizes, image_size: int) -> nn.Module:
    if isinstance(sizes, VitSizes):
        return VitEncoder(sizes, image_size, CHANNELS)
    return TinyVitEncoder(sizes, image_size, CHANNELS)


def find_backbone(name: str) -> VitSizes | TinyVitSizes:
    """The numbers of a backbone. Raises ConfigError for a name that is not known."""
    if name not in BACKBONES:
        known = ", ".join(BACKBONES)
        raise ConfigError(f"backbone: expected one of {known}, got '{name}': correct the setting")
    return BACKBONES[name]
