"""The numbers that make one FocalNet-DINO."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import ConfigError


@dataclass(frozen=True)
class DinoSizes:
    """Architecture and denoising of one detector; the defaults are the published large FL4 with five scales.

    Attributes:
        num_classes: sigmoid outputs of a query.
        embed: channels of the backbone's first stage; doubled at each further stage.
        depths: blocks in its four stages.
        focal_levels, focal_windows: of each stage (FL4: four levels, first window 3).
        stages: which of the stages 0..3 (strides 4, 8, 16, 32) are handed to the transformer.
        drop_path: stochastic depth of the last block, rising linearly from 0.
        checkpointed: recompute the backbone in the backward pass to save memory.
        levels: scales of the transformer; those beyond `stages` are made by convolutions of stride 2.
        width: channels of the transformer, a multiple of 32.
        heads, points: of the deformable attention.
        ffn: hidden channels of its feed-forward layers.
        encoder_layers, decoder_layers: their numbers.
        queries: boxes proposed for an image.
        temperature: of the sine positions of the image (published: 20).
        denoising: noised copies of the boxes of an image in training, positive and negative each; 0: none.
        label_noise: half of this part of the copies gets a random class (published: 0.5).
        box_noise: largest shift of an edge, in halves of the box's width and height (published: 0.4).
    """

    num_classes: int = 1
    embed: int = 192
    depths: tuple[int, ...] = (2, 2, 18, 2)
    focal_levels: tuple[int, ...] = (4, 4, 4, 4)
    focal_windows: tuple[int, ...] = (3, 3, 3, 3)
    stages: tuple[int, ...] = (0, 1, 2, 3)
    drop_path: float = 0.3
    checkpointed: bool = True
    levels: int = 5
    width: int = 256
    heads: int = 8
    points: int = 4
    ffn: int = 2048
    encoder_layers: int = 6
    decoder_layers: int = 6
    queries: int = 900
    temperature: float = 20.0
    denoising: int = 100
    label_noise: float = 0.5
    box_noise: float = 0.4

    def __post_init__(self) -> None:
        for name in ("num_classes", "embed", "heads", "points", "ffn", "decoder_layers", "queries"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}: expected at least 1, got {getattr(self, name)}: correct it")
        if {len(self.depths), len(self.focal_levels), len(self.focal_windows)} != {4}:
            raise ConfigError(
                "depths, focal_levels, focal_windows: expected four numbers each, "
                f"got {self.depths}, {self.focal_levels}, {self.focal_windows}: give one for each stage"
            )
        if not self.stages or list(self.stages) != sorted({*self.stages} & {0, 1, 2, 3}):
            raise ConfigError(f"stages: expected some of 0, 1, 2, 3 in order, got {self.stages}: correct it")
        if self.levels < len(self.stages):
            raise ConfigError(
                f"levels: expected at least the {len(self.stages)} stages, got {self.levels}: raise it"
            )
        if self.width % 32 or self.width % (2 * self.heads):
            raise ConfigError(
                f"width: expected a multiple of 32 and of twice the {self.heads} heads, got {self.width}: "
                "256 is published"
            )
        if not 0 <= self.label_noise <= 1 or not 0 <= self.box_noise <= 1 or self.denoising < 0:
            raise ConfigError(
                "denoising: expected a number from 0 on and noises from 0 to 1, got "
                f"{self.denoising}, {self.label_noise}, {self.box_noise}: 100, 0.5 and 0.4 are published"
            )
