"""Slides whose tissue is a colour, and a network small enough to learn them in a second."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from monai.bundle import ConfigWorkflow
from torch import nn

BUNDLE = Path(__file__).resolve().parents[2] / "bundles" / "wsi_scale_selector"
NAMES = ("red", "green")
COLORS = {"red": (200, 60, 60), "green": (60, 200, 60)}
SLIDE_MPP = 0.25


class ToyNetwork(nn.Module):
    """Convolution, batch statistics, dropout and a linear head."""

    def __init__(self, num_classes: int = 2) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.1))
        self.head = nn.Linear(8, num_classes)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(B, 3, e, e) -> (B, num_classes)."""
        return self.head(self.body(image).mean((2, 3)))


class LongNetwork(ToyNetwork):
    """One layer more, so that the weights of the other do not fit."""

    def __init__(self) -> None:
        super().__init__()
        self.body.append(nn.Conv2d(8, 8, 1))


def draw_slides(root: Path, count: int, split: str = "") -> Path:
    """`count` slides of 320 x 240 px, noisy red left and green right, annotated as in PATH-DT-MSU."""
    for folder in ("images", "annotations"):
        (root / folder / split).mkdir(parents=True, exist_ok=True)
    boxes = {"red": (0, 0, 160, 240), "green": (160, 0, 320, 240)}
    regions = [
        {"class": name, "vertices": [[x0, y0], [x1, y0], [x1, y1], [x0, y1]]}
        for name, (x0, y0, x1, y1) in boxes.items()
    ]
    for number in range(count):
        pixels = np.concatenate([np.full((240, 160, 3), COLORS[name]) for name in NAMES], axis=1)
        noise = np.random.default_rng(number).normal(0, 15, pixels.shape)
        stem = f"{split or 'slide'}{number}"
        picture = np.clip(pixels + noise, 0, 255).astype(np.uint8)[..., ::-1]
        cv2.imwrite(str(root / "images" / split / f"{stem}.png"), picture)
        (root / "annotations" / split / f"{stem}.json").write_text(json.dumps(regions))
    return root


def write_classifier(folder: Path, **changes: Any) -> Path:
    """A classifier.json of `ToyNetwork`, without weights."""
    content = {
        "name": "toy",
        "version": "1",
        "purpose": "research",
        "network": {"source": "module", "name": "toy_training.ToyNetwork", "args": {"num_classes": 2}},
        "weights": {"file": "none.pt", "sha256": None},
        "labels": [{"value": value, "name": name} for value, name in enumerate(NAMES)],
        "input": {"size_px": 16},
        "training_mpp": 0.5,
    }
    path = folder / "start.json"
    path.write_text(json.dumps(content | changes))
    return path


def open_workflow(config: str, kind: str, **overrides: Any) -> ConfigWorkflow:
    """A config of the bundle as `monai.bundle run` opens it, initialised."""
    workflow = ConfigWorkflow(
        config_file=str(BUNDLE / "configs" / config),
        workflow_type=kind,
        logging_file=False,
        bundle_root=str(BUNDLE),
        **{key: str(value) if isinstance(value, Path) else value for key, value in overrides.items()},
    )
    workflow.initialize()
    return workflow


def training_overrides(folder: Path) -> dict[str, Any]:
    """What a quick training run on `draw_slides` needs."""
    return {
        "dataset_dir": draw_slides(folder / "data", 4),
        "classifier": write_classifier(folder),
        "output_dir": folder / "run",
        "pretrained": False,
        "slide_mpp": SLIDE_MPP,
        "patches_per_class": 60,
        "batch_size": 8,
        "learning_rate": 0.02,
        "epochs": 3,
        "precision": "fp32",
    }
