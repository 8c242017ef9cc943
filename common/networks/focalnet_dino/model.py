"""DINO: features of several scales -> encoder -> selected queries -> decoder -> boxes with scores."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from ...errors import InputError
from .attention import DeformableAttention
from .backbone import FocalNetBackbone
from .decoder import Decoder
from .denoising import NoisedQueries, build_noised_queries
from .encoder import Encoder
from .levels import Levels, build_levels, to_tokens
from .outputs import DetectorOutput, Prediction
from .position import encode_pixels
from .selection import QuerySelection, Selection
from .sizes import DinoSizes
from .targets import Target, check_targets

STRIDE_PX = 32
"""Height and width of the images must be multiples of this (the backbone's last stage)."""


class FocalNetDino(nn.Module):
    """FocalNet-DINO (Zhang et al. 2022; Yang et al. 2022); equal to the published network, see `convert`.

    Args:
        sizes: the numbers of the network.
    """

    def __init__(self, sizes: DinoSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.backbone = FocalNetBackbone(sizes)
        self.input_proj = _build_projections(self.backbone.channels, sizes)
        self.level_embed = nn.Parameter(torch.empty(sizes.levels, sizes.width))
        self.encoder = Encoder(sizes)
        self.selection = QuerySelection(sizes)
        self.decoder = Decoder(sizes)
        self.label_enc = nn.Embedding(sizes.num_classes + 1, sizes.width)
        self._reset()

    def forward(
        self,
        images: torch.Tensor,
        mask: torch.Tensor | None = None,
        targets: Sequence[Target] | None = None,
    ) -> DetectorOutput:
        """Find boxes.

        Args:
            images: (B, 3, H, W), normalised with ImageNet's mean and deviation, zero in the padding.
            mask: (B, H, W) bool, true in the padding to the right and below; None: no padding.
            targets: the boxes that are there, for contrastive denoising; read in training only.

        Raises:
            InputError: another shape, a size that is no multiple of 32, or targets that do not fit.
        """
        self._check(images, mask)
        if mask is None:
            mask = torch.zeros_like(images[:, 0], dtype=torch.bool)
        tokens, positions, levels = self.embed(images, mask)
        memory = self.encoder(tokens, positions, levels)
        selected = self.selection(memory, levels)
        noised = self._noise(targets, len(images))
        return self._decode(selected, noised, memory, levels)

    def embed(self, images: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, Levels]:
        """Images and mask, as in `forward` -> tokens (B, N, C), their positions (B, N, C), where they lie."""
        features = self.backbone(images)
        maps = [project(stage) for project, stage in zip(self.input_proj, features, strict=False)]
        extra = features[-1]
        for project in self.input_proj[len(features) :]:
            extra = project(extra)
            maps.append(extra)
        paddings = [F.interpolate(mask[:, None].float(), size=level.shape[-2:])[:, 0] > 0.5 for level in maps]
        width, temperature = self.sizes.width, self.sizes.temperature
        positions = [
            encode_pixels(padding, width, temperature) + embedding[:, None, None]
            for padding, embedding in zip(paddings, self.level_embed, strict=True)
        ]
        return to_tokens(maps), to_tokens(positions), build_levels(paddings)

    def _decode(
        self, selected: Selection, noised: NoisedQueries | None, memory: torch.Tensor, levels: Levels
    ) -> DetectorOutput:
        contents, places, blocked, groups = selected.contents, selected.places, None, 0
        if self.training:
            contents = contents + self.label_enc.weight[0, 0] * 0  # every weight has a gradient, boxes or not
        if noised is not None:
            contents = torch.cat((noised.contents, contents), dim=1)
            places = torch.cat((noised.places, places), dim=1)
            blocked, groups = noised.blocked, noised.groups
        answers = self.decoder(contents, places, memory, levels, blocked)
        first = contents.shape[1] - self.sizes.queries
        *aux, last = (Prediction(logits[:, first:], boxes[:, first:]) for logits, boxes in answers)
        if not self.training:
            return DetectorOutput(*last)
        known = tuple(Prediction(logits[:, :first], boxes[:, :first]) for logits, boxes in answers if first)
        return DetectorOutput(*last, tuple(aux), selected.prediction, known, groups)

    def _noise(self, targets: Sequence[Target] | None, images: int) -> NoisedQueries | None:
        if not self.training or targets is None:
            return None
        check_targets(targets, images, self.sizes.num_classes)
        return build_noised_queries(targets, self.label_enc, self.sizes)

    def _check(self, images: torch.Tensor, mask: torch.Tensor | None) -> None:
        shape = tuple(int(size) for size in images.shape)
        if len(shape) != 4 or shape[1] != 3 or shape[2] % STRIDE_PX or shape[3] % STRIDE_PX:
            raise InputError(
                f"detector: expected images (B, 3, H, W) with H and W multiples of {STRIDE_PX}, got {shape}: "
                "pad them to the right and below"
            )
        if mask is not None and tuple(int(size) for size in mask.shape) != (shape[0], *shape[2:]):
            raise InputError(
                f"detector: expected a mask {(shape[0], *shape[2:])}, got {tuple(mask.shape)}: "
                "give one value for each pixel"
            )

    def _reset(self) -> None:
        """Published start values where a layer does not already have them."""
        nn.init.normal_(self.level_embed)
        for part in (self.encoder, self.selection, self.decoder):
            for module in part.modules():
                if isinstance(module, nn.Linear) and module.weight.any():
                    nn.init.xavier_uniform_(module.weight)
        for module in self.modules():
            if isinstance(module, DeformableAttention):
                module.reset()
        for module in self.input_proj.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.get_parameter("bias"))


def _build_projections(channels: Sequence[int], sizes: DinoSizes) -> nn.ModuleList:
    """1x1 convolutions for the backbone's stages, 3x3 ones of stride 2 for the scales beyond them."""
    projections = [_project(count, sizes.width, 1) for count in channels]
    for level in range(len(channels), sizes.levels):
        projections.append(_project(channels[-1] if level == len(channels) else sizes.width, sizes.width, 3))
    return nn.ModuleList(projections)


def _project(channels: int, width: int, kernel: int) -> nn.Sequential:
    stride = 2 if kernel == 3 else 1
    convolution = nn.Conv2d(channels, width, kernel, stride=stride, padding=kernel // 2)
    return nn.Sequential(convolution, nn.GroupNorm(32, width))
