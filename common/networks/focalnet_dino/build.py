"""The sizes that are offered."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from ...errors import ConfigError
from .model import FocalNetDino
from .sizes import DinoSizes

SIZES = {
    "tiny": DinoSizes(
        embed=24,
        depths=(1, 1, 2, 1),
        focal_levels=(2, 2, 2, 2),
        stages=(1, 2, 3),
        drop_path=0.0,
        checkpointed=False,
        levels=4,
        width=64,
        heads=4,
        points=2,
        ffn=256,
        encoder_layers=2,
        decoder_layers=3,
        queries=100,
        denoising=20,
    ),
    "large_fl4": DinoSizes(),
}
"""tiny: trains on a CPU (choice). large_fl4: as published, five scales on FocalNet-L of four levels."""


def build_focalnet_dino(size: str = "tiny", num_classes: int = 1, **overrides: Any) -> FocalNetDino:
    """The detector with start values; weights are loaded by `convert.load_detector`.

    Args:
        size: "tiny" or "large_fl4".
        num_classes: kinds of boxes.
        overrides: other fields of `DinoSizes`.

    Raises:
        ConfigError: an unknown size or field, or numbers that do not fit.
    """
    if size not in SIZES:
        raise ConfigError(f"detector: expected {' or '.join(SIZES)}, got '{size}': choose one of them")
    unknown = sorted(set(overrides) - {field.name for field in fields(DinoSizes)})
    if unknown:
        raise ConfigError(
            f"detector: expected settings of DinoSizes, got {', '.join(unknown)}: correct the name"
        )
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in overrides.items()
    }
    return FocalNetDino(replace(SIZES[size], num_classes=num_classes, **values))
