"""A slide and a classifier so small that the application answers in seconds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.networks.nets import DenseNet

NETWORK: dict[str, Any] = {
    "spatial_dims": 2,
    "in_channels": 3,
    "out_channels": 3,
    "init_features": 8,
    "growth_rate": 4,
    "block_config": [2, 2],
}
SETTINGS: dict[str, Any] = {
    "scales": ["x10", "x20", "x40"],
    "points": 6,
    "stride_px": 32,
    "engine": "torch",
    "precision": "fp32",
}
"""Of the WSI bundle, with `write_classifier`."""


def write_classifier(folder: Path) -> Path:
    """classifier.json of an untrained network of three classes, the same in every test."""
    folder.mkdir()
    torch.manual_seed(0)
    torch.save(DenseNet(**NETWORK).state_dict(), folder / "model.pt")
    content = {
        "name": "tiny",
        "version": "1",
        "purpose": "demonstration",
        "network": {"source": "monai", "name": "DenseNet", "args": NETWORK},
        "weights": {"file": "model.pt", "sha256": None},
        "head": None,
        "outputs": None,
        "labels": [{"value": value, "name": name} for value, name in enumerate(("one", "two", "three"))],
        "input": {"size_px": 64, "scale": 1 / 255, "mean": [0, 0, 0], "std": [1, 1, 1]},
        "training_mpp": 0.5,
        "reference": None,
    }
    (folder / "classifier.json").write_text(json.dumps(content))
    return folder / "classifier.json"


def draw_slide() -> np.ndarray:
    """(400, 400, 3) uint8: a square of coloured noise on white."""
    rng = np.random.default_rng(0)
    pixels = np.full((400, 400, 3), 245, np.uint8)
    pixels[60:340, 60:340] = np.clip(rng.normal((150, 70, 150), 25, (280, 280, 3)), 0, 255)
    return pixels
