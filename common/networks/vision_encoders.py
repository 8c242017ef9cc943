"""Encoders of pictures, one interface: DINO, DINOv2, ImageNet and CLIP, ViTs and ResNets, all from timm.

| name                    | answers with             | weights from a file; nothing is ever downloaded |
|-------------------------|--------------------------|-------------------------------------------------|
| dino_vits16, _vits8     | class token, 384         | facebook's `dino_*_pretrain.pth`, timm's        |
| dino_vitb16, _vitb8     | class token, 768         | `*.dino`, transformers' ViTModel                |
| dinov2_vits14, b14, l14 | class token, 384 to 1024 | facebook's `dinov2_*`, timm, Dinov2Model        |
| vit_b16                 | class token, 768         | timm's `augreg`, google's ViTModel              |
| resnet50                | mean of the map, 2048    | torchvision, timm                               |
| clip_vit_b16            | CLIP's embedding, 512    | OpenAI's archive or state dict, CLIPModel       |
| clip_resnet50           | CLIP's embedding, 1024   | OpenAI's archive or state dict                  |
| tiny, tiny_resnet       | 128, 256; for phantoms   | their own state dicts                           |
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from timm.models import byobnet
from timm.models.resnet import BasicBlock, Bottleneck, ResNet
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from ..errors import ConfigError
from .freezing import quiet_frozen
from .sam_weights import hash_file
from .state_dict import load_state
from .vision_names import read_checkpoint, rename

Pixels = tuple[tuple[float, float, float], tuple[float, float, float]]

_IMAGENET: Pixels = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_CLIP: Pixels = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
_HALF: Pixels = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@dataclass(frozen=True)
class VisionSizes:
    """What makes one encoder.

    Attributes:
        make: timm's class or function, called with the arguments.
        features: D, how many it answers with.
        step_px: the edge of a picture is a multiple of it.
        arguments: its numbers.
        image_size: edge that the published weights were trained at, or that is usual with them.
        pixels: mean and standard deviation of RGB 0..1.
        projection: a last linear layer without bias makes the features (CLIP's ViT).
        resizable: other edges than `image_size` are possible.
    """

    make: Callable[..., nn.Module]
    features: int
    step_px: int
    arguments: dict[str, Any] = field(default_factory=dict)
    image_size: int = 224
    pixels: Pixels = _IMAGENET
    projection: bool = False
    resizable: bool = True


def _vit(patch: int, width: int, heads: int, depth: int = 12, **more: Any) -> VisionSizes:
    numbers = {"patch_size": patch, "embed_dim": width, "num_heads": heads, "depth": depth, "num_classes": 0}
    return VisionSizes(VisionTransformer, width, patch, numbers | more)


def _resnet(block: type[nn.Module], features: int, **more: Any) -> VisionSizes:
    return VisionSizes(ResNet, features, 32, {"block": block, "num_classes": 0, **more})


_QUICK: dict[str, Any] = {"pre_norm": True, "norm_layer": partial(nn.LayerNorm, eps=1e-5)}
_SMALL: dict[str, Any] = {"channels": (32, 64, 128, 256), "stem_width": 16, "stem_type": "deep"}

ENCODERS: dict[str, VisionSizes] = {
    "dino_vits16": _vit(16, 384, 6),
    "dino_vits8": _vit(8, 384, 6),
    "dino_vitb16": _vit(16, 768, 12),
    "dino_vitb8": _vit(8, 768, 12),
    "dinov2_vits14": _vit(14, 384, 6, init_values=1e-5),
    "dinov2_vitb14": _vit(14, 768, 12, init_values=1e-5),
    "dinov2_vitl14": _vit(14, 1024, 16, 24, init_values=1e-5),
    "vit_b16": replace(_vit(16, 768, 12), pixels=_HALF),
    "resnet50": _resnet(Bottleneck, 2048, layers=(3, 4, 6, 3)),
    "clip_vit_b16": replace(
        _vit(16, 768, 12, act_layer="quick_gelu", **_QUICK), pixels=_CLIP, features=512, projection=True
    ),
    "clip_resnet50": VisionSizes(byobnet.resnet50_clip, 1024, 32, pixels=_CLIP, resizable=False),
    "tiny": replace(_vit(8, 128, 4, 4), image_size=64),
    "tiny_resnet": replace(_resnet(BasicBlock, 256, layers=(1, 1, 1, 1), **_SMALL), image_size=96),
}


class VisionEncoder(nn.Module):
    """Pixel normalisation and a network that answers with one vector for each picture.

    Args:
        name: of the encoder.
        sizes: its numbers.
        image_size: edge of a picture in pixels.

    Attributes:
        size: D, number of features.
        image_size: S in pixels.
        mean, std: of RGB 0..1, (3, 1, 1).
        sha256: of the file with its weights; empty: untrained.
        file_name: of that file.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, name: str, sizes: VisionSizes, image_size: int) -> None:
        super().__init__()
        self.name, self.image_size = name, image_size
        self.sha256, self.file_name = "", ""
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in sizes.pixels)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)
        vit = sizes.make is VisionTransformer
        self.body: Any = sizes.make(**sizes.arguments, **({"img_size": image_size} if vit else {}))
        self.size = sizes.features
        if sizes.projection:
            self.body.head = nn.Linear(sizes.arguments["embed_dim"], sizes.features, bias=False)

    @property
    def blocks(self) -> list[nn.Module]:
        """Blocks of a transformer, or residual blocks, in the order in which they run."""
        body = self.body
        if isinstance(body, VisionTransformer):
            return [*body.blocks.children()]
        stages = (
            body.stages if hasattr(body, "stages") else (body.layer1, body.layer2, body.layer3, body.layer4)
        )
        return [block for stage in stages for block in stage]

    def freeze(self, count: int) -> None:
        """Leave the first `count` blocks, and what is before them, untrained; all blocks: the whole encoder.

        Raises:
            ConfigError: there are not so many.
        """
        blocks = self.blocks
        if not 0 <= count <= len(blocks):
            raise ConfigError(
                f"frozen_blocks: expected 0 to {len(blocks)} for {self.name}, got {count}: take "
                f"{len(blocks)} for an encoder that is not trained, 0 for one that is trained as a whole"
            )
        self.requires_grad_(count == 0)
        if 0 < count < len(blocks):
            for module in (*blocks[count:], *(getattr(self.body, name, None) for name in ("norm", "head"))):
                if module is not None:
                    module.requires_grad_(True)

    def train(self, mode: bool = True) -> VisionEncoder:
        """As usual, but what is not trained stays in eval mode."""
        super().train(mode)
        quiet_frozen(self)
        return self

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """RGB 0..1 (N, 3, S, S) -> features (N, D)."""
        return self.body((image - self.mean) / self.std)


def build_vision_encoder(
    name: str = "dino_vits8",
    weights: str | Path | None = None,
    frozen_blocks: int = 9,
    image_size: int = 0,
) -> VisionEncoder:
    """An encoder in eval mode, on the CPU; nothing is downloaded.

    Args:
        name: see the table above.
        weights: a file in one of the formats of the table; None: untrained.
        frozen_blocks: see `VisionEncoder.freeze`; the released code of MMBCD: 9 of a ViT's 12.
        image_size: edge of a picture in pixels; 0: 224 (tiny ones: their own). Tables of positions are
            resampled to it without antialiasing, as DINO, DINOv2 and transformers do.

    Raises:
        ConfigError: an unknown name, an edge that its patches do not fill, more frozen blocks than there are.
        ClassifierError: the file is not readable, or holds another network.
    """
    if name not in ENCODERS:
        known = ", ".join(ENCODERS)
        raise ConfigError(f"vision: expected one of {known}, got '{name}': correct the setting")
    sizes = ENCODERS[name]
    edge = image_size or sizes.image_size
    _check_edge(name, sizes, edge)
    encoder = VisionEncoder(name, sizes, edge)
    if weights is not None:
        load_weights(encoder, Path(weights))
    encoder.freeze(frozen_blocks)
    return encoder.eval()


def load_weights(encoder: VisionEncoder, path: Path) -> None:
    """Load a published file strictly; classification heads and text encoders in it are left out.

    Raises:
        ClassifierError: not readable, or of another network.
    """
    state = rename(read_checkpoint(path), encoder.body)
    load_state(encoder.body, state, path.name)
    encoder.sha256, encoder.file_name = hash_file(path), path.name


def _check_edge(name: str, sizes: VisionSizes, edge: int) -> None:
    if not sizes.resizable and edge != sizes.image_size:
        raise ConfigError(f"image_size: expected {sizes.image_size} for {name}, got {edge}: leave it out")
    if edge < sizes.step_px or edge % sizes.step_px:
        raise ConfigError(
            f"image_size: expected a multiple of {sizes.step_px} pixels for {name}, got {edge}: take "
            f"{max(1, round(edge / sizes.step_px)) * sizes.step_px}"
        )
