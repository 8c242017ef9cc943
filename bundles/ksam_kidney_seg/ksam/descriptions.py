"""What a result says about the network that made it, and about the templates that were used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from .frame import Window
from .network import KSam
from .structures import Structure

ShownTemplate = tuple[str, np.ndarray, dict[str, np.ndarray]]
"""Name, image (S, S, 3) 0..255 as the network sees it, and masks (S, S) bool by structure."""


def describe_network(network: KSam, engine: Any) -> dict[str, Any]:
    """What a result says about its "weights" and its "engine"."""
    weights = {**network.card.as_json(), "backbone": network.options.backbone, "base": network.base_name}
    described = getattr(engine, "describe", None)
    if described is not None:
        return {"weights": weights, "engine": described()}
    device = next(network.parameters()).device
    eager = {"engine": "torch", "precision": "fp32", "device": str(device), "version": torch.__version__}
    return {"weights": weights, "engine": eager}


def describe_view(modality: str, window: Window | None, crop: str) -> dict[str, Any]:
    """What a result says about how slices were shown to the network."""
    window_hu = window and {"center_hu": window.center_hu, "width_hu": window.width_hu}
    return {"modality": modality, "window": window_hu, "crop": crop}


def count_used(
    used: Sequence[Sequence[Sequence[str]]], structures: Sequence[Structure]
) -> dict[str, dict[str, int]]:
    """Template id -> structure name -> number of slices.

    Args:
        used: for each slice and structure the ids of the templates.
        structures: in the order of `used`.
    """
    counts: dict[str, Counter[str]] = {}
    for by_structure in used:
        for structure, ids in zip(structures, by_structure, strict=True):
            for name in ids:
                counts.setdefault(name, Counter())[structure.name] += 1
    return {name: dict(found) for name, found in counts.items()}
