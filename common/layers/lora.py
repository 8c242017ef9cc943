"""LoRA: low-rank additions to the linear layers of a frozen backbone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TypeVar

import torch
from segment_anything.modeling.common import MLPBlock
from segment_anything.modeling.image_encoder import Attention as VitAttention
from timm.models.tiny_vit import Attention as TinyVitAttention
from timm.models.tiny_vit import NormMlp
from torch import nn
from torch.nn import functional as F

from ..errors import ConfigError

TARGETS = ("q", "k", "v", "mlp")
Module = TypeVar("Module", bound=nn.Module)


class LoraLinear(nn.Linear):
    """y = W x + b, and B A x added to some of the outputs (Hu et al. 2021, equation 3, with alpha = r).

    The outputs are read as (groups, parts, width); each adapted part p has its own A (r, in) and B (rows, r),
    rows = groups * width. A ViT's qkv is one group of three parts, TinyViT's has one group for each head.
    State-dict names of W and b stay those of the layer that is replaced; B starts at zero, so that nothing
    changes at first.

    Args:
        linear: what is replaced; its parameters are shared.
        rank: r, at least 1.
        parts: which parts are adapted.
        shape: (groups, number of parts).
    """

    def __init__(
        self, linear: nn.Linear, rank: int, parts: Sequence[int] = (0,), shape: tuple[int, int] = (1, 1)
    ) -> None:
        nn.Module.__init__(self)  # no second weight: the layer's own is taken over
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.weight, self.bias = linear.weight, linear.bias
        self.parts, self.shape = tuple(parts), shape
        rows = self.out_features // shape[1]
        self.lora_a = nn.Parameter(linear.weight.new_empty(len(parts), rank, self.in_features))
        self.lora_b = nn.Parameter(linear.weight.new_zeros(len(parts), rows, rank))
        for down in self.lora_a:
            nn.init.kaiming_uniform_(down, a=math.sqrt(5))

    def addition(self) -> torch.Tensor:
        """What is added to W: (out_features, in_features), zeros where a part is not adapted."""
        groups, count = self.shape
        rows = (self.lora_b @ self.lora_a).unflatten(1, (groups, -1))
        zeros = torch.zeros_like(rows[0])
        chosen = [rows[self.parts.index(part)] if part in self.parts else zeros for part in range(count)]
        return torch.stack(chosen, dim=1).flatten(0, 2)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """(..., in_features) -> (..., out_features).

        The sum W + B A is formed first: one product of small matrices, and no second pass over the tokens.
        """
        return F.linear(input, self.weight + self.addition(), self.bias)

    def merged(self) -> nn.Linear:
        """A plain layer with W + B A."""
        linear = nn.Linear(self.in_features, self.out_features, self.bias is not None, device="meta")
        linear.weight = nn.Parameter((self.weight + self.addition()).detach(), requires_grad=False)
        linear.bias = self.bias
        return linear


def add_lora(module: Module, rank: int = 4, targets: Sequence[str] = ("q", "v")) -> Module:
    """Freeze an encoder and give its linear layers additions that can be trained.

    Choice: q and v as SAMed does (147,456 parameters in a ViT-B at rank 4); with "mlp" as Medical SAM Adapter
    (516,096). Paper: rank 4.

    Args:
        module: holds the attention and MLP blocks of SAM's ViT or of TinyViT; changed in place.
        rank: r, at least 1.
        targets: of "q", "k", "v", "mlp".

    Returns:
        `module`.

    Raises:
        ConfigError: a rank below 1, an unknown target, LoRA twice, or a module without such blocks.
    """
    _check(module, rank, targets)
    found = list(_find(module, targets))
    if not found:
        raise ConfigError(
            f"LoRA: expected attention blocks of SAM's ViT or of TinyViT, got {type(module).__name__} "
            "without any: give the image encoder of build_sam"
        )
    module.requires_grad_(False)
    for block, name, parts, shape in found:
        setattr(block, name, LoraLinear(getattr(block, name), rank, parts, shape))
    return module


def merge_lora(module: Module) -> Module:
    """Put the additions into the weights, in place: the plain network again, nothing slower than before."""
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, LoraLinear):
                setattr(parent, name, child.merged())
    return module


def _check(module: nn.Module, rank: int, targets: Sequence[str]) -> None:
    if rank < 1:
        raise ConfigError(f"LoRA rank: expected at least 1, got {rank}: leave LoRA out for none")
    unknown = [target for target in targets if target not in TARGETS]
    if unknown or not targets:
        known = ", ".join(TARGETS)
        raise ConfigError(f"LoRA targets: expected some of {known}, got {list(targets)}: correct the setting")
    if any(isinstance(child, LoraLinear) for child in module.modules()):
        raise ConfigError("LoRA: expected a plain encoder, got one that has LoRA already: merge it first")


def _find(
    module: nn.Module, targets: Sequence[str]
) -> Iterator[tuple[nn.Module, str, tuple[int, ...], tuple[int, int]]]:
    """Block, name of its layer, adapted parts, (groups, number of parts)."""
    parts = tuple("qkv".index(target) for target in targets if target != "mlp")
    for block in list(module.modules()):
        if isinstance(block, VitAttention | TinyVitAttention) and parts:
            yield block, "qkv", parts, (1 if isinstance(block, VitAttention) else block.num_heads, 3)
        elif isinstance(block, MLPBlock | NormMlp) and "mlp" in targets:
            for name in ("lin1", "lin2") if isinstance(block, MLPBlock) else ("fc1", "fc2"):
                yield block, name, (0,), (1, 1)
