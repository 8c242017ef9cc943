"""State dicts under the official names of FocalNet-DINO, and a small detector that takes them."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator

import numpy as np
import torch

from common.networks.focalnet_dino.sizes import DinoSizes

SMALL = DinoSizes(
    num_classes=3,
    embed=8,
    depths=(1, 1, 2, 1),
    focal_levels=(2, 2, 2, 2),
    stages=(1, 2, 3),
    drop_path=0.0,
    checkpointed=False,
    levels=4,
    ffn=64,
    encoder_layers=2,
    decoder_layers=2,
    queries=10,
    denoising=50,
)
"""Width 256, since the official code knows no other; everything else as small as possible."""

Shapes = Iterator[tuple[str, tuple[int, ...]]]


def official_shapes(sizes: DinoSizes) -> dict[str, tuple[int, ...]]:
    """Every name of the official state dict with its shape."""
    return dict((*_backbone(sizes), *_transformer(sizes)))


def official_state(sizes: DinoSizes) -> dict[str, torch.Tensor]:
    """Random weights that depend on the name alone; shared heads have one value under all of their names."""
    return {name: _draw(name, shape) for name, shape in official_shapes(sizes).items()}


def _draw(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    kind, _, rest = name.removeprefix("transformer.decoder.").partition(".")
    shared = f"{kind}.{rest.partition('.')[2]}" if kind in ("bbox_embed", "class_embed") else name
    values = np.random.RandomState(zlib.crc32(shared.encode())).standard_normal(shape)
    if len(shape) > 1:
        values /= math.sqrt(np.prod(shape[1:]))
    else:
        values = values * 0.2 + (name.endswith("weight") or "gamma" in name)
    return torch.tensor(values, dtype=torch.float32)


def _layer(name: str, *weight: int) -> Shapes:
    yield f"{name}.weight", weight
    yield f"{name}.bias", weight[:1]


def _mlp(name: str, *widths: int) -> Shapes:
    for number in range(len(widths) - 1):
        yield from _layer(f"{name}.layers.{number}", widths[number + 1], widths[number])


def _backbone(sizes: DinoSizes) -> Shapes:
    yield from _layer("backbone.0.patch_embed.proj", sizes.embed, 3, 7, 7)
    yield from _layer("backbone.0.patch_embed.norm", sizes.embed)
    for stage, depth in enumerate(sizes.depths):
        name, width = f"backbone.0.layers.{stage}", sizes.embed * 2**stage
        for block in range(depth):
            yield from _block(f"{name}.blocks.{block}", width, sizes.focal_levels[stage])
        if stage < 3:
            yield from _layer(f"{name}.downsample.proj", 2 * width, width, 3, 3)
            yield from _layer(f"{name}.downsample.norm", 2 * width)
    for stage in sizes.stages:
        yield from _layer(f"backbone.0.norm{stage}", sizes.embed * 2**stage)


def _block(name: str, width: int, levels: int) -> Shapes:
    yield f"{name}.gamma_1", (width,)
    yield f"{name}.gamma_2", (width,)
    yield from _layer(f"{name}.norm1", width)
    yield from _layer(f"{name}.norm2", width)
    yield from _layer(f"{name}.modulation.f", 2 * width + levels + 1, width)
    yield from _layer(f"{name}.modulation.h", width, width, 1, 1)
    yield from _layer(f"{name}.modulation.proj", width, width)
    for level in range(levels):
        edge = 3 + 2 * level
        yield f"{name}.modulation.focal_layers.{level}.0.weight", (width, 1, edge, edge)
    yield from _layer(f"{name}.mlp.fc1", 4 * width, width)
    yield from _layer(f"{name}.mlp.fc2", width, 4 * width)


def _transformer(sizes: DinoSizes) -> Shapes:
    width, classes = sizes.width, sizes.num_classes
    stages = [sizes.embed * 2**stage for stage in sizes.stages]
    for level in range(sizes.levels):
        extra = width if level > len(stages) else stages[-1]
        kernel = (extra, 3, 3) if level >= len(stages) else (stages[level], 1, 1)
        yield from _layer(f"input_proj.{level}.0", width, *kernel)
        yield from _layer(f"input_proj.{level}.1", width)
    yield "transformer.level_embed", (sizes.levels, width)
    for number in range(sizes.encoder_layers):
        yield from _attending(f"transformer.encoder.layers.{number}", "self_attn", sizes, norms=2)
    for number in range(sizes.decoder_layers):
        name = f"transformer.decoder.layers.{number}"
        yield from _attending(name, "cross_attn", sizes, norms=3)
        yield f"{name}.self_attn.in_proj_weight", (3 * width, width)
        yield f"{name}.self_attn.in_proj_bias", (3 * width,)
        yield from _layer(f"{name}.self_attn.out_proj", width, width)
        for heads in ("", "transformer.decoder."):
            yield from _mlp(f"{heads}bbox_embed.{number}", width, width, width, 4)
            yield from _layer(f"{heads}class_embed.{number}", classes, width)
    yield from _layer("transformer.decoder.norm", width)
    yield from _mlp("transformer.decoder.ref_point_head", 2 * width, width, width)
    yield "transformer.tgt_embed.weight", (sizes.queries, width)
    yield from _layer("transformer.enc_output", width, width)
    yield from _layer("transformer.enc_output_norm", width)
    yield from _mlp("transformer.enc_out_bbox_embed", width, width, width, 4)
    yield from _layer("transformer.enc_out_class_embed", classes, width)
    yield "label_enc.weight", (classes + 1, width)


def _attending(name: str, attention: str, sizes: DinoSizes, norms: int) -> Shapes:
    width, samples = sizes.width, sizes.heads * sizes.levels * sizes.points
    yield from _layer(f"{name}.{attention}.sampling_offsets", 2 * samples, width)
    yield from _layer(f"{name}.{attention}.attention_weights", samples, width)
    yield from _layer(f"{name}.{attention}.value_proj", width, width)
    yield from _layer(f"{name}.{attention}.output_proj", width, width)
    yield from _layer(f"{name}.linear1", sizes.ffn, width)
    yield from _layer(f"{name}.linear2", width, sizes.ffn)
    for number in range(1, norms + 1):
        yield from _layer(f"{name}.norm{number}", width)
