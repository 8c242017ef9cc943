"""Pictures of a bright disc with a brighter cup, their datalist, and a KSAM small enough to learn them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigWorkflow
from PIL import Image

from common.networks.sam import build_sam
from common.networks.tiny_vit import TinyVitSizes
from ksam.delta import load_delta, read_delta
from ksam.knowledge_sam import Knowledge, KSam
from ksam.options import find_options

BUNDLE = Path(__file__).resolve().parents[2] / "bundles" / "ksam_kidney_seg"
SIZE_PX = 32
PIXELS = ((0.0, 0.0, 0.0), (255.0, 255.0, 255.0))
SIZES = TinyVitSizes(PIXELS, widths=(8, 8, 16, 16), depths=(1, 1, 1, 1), heads=(1, 1, 1, 1))
OPTIONS: dict[str, Any] = {
    "km_widths": (16, 8, 8),
    "pm_depth": 1,
    "pm_heads": 2,
    "pm_mlp_ratio": 0.5,
    "pm_grid": 4,
    "prior_grid": 0,
    "lora_rank": 0,
}
STRUCTURES = [
    {"name": "disc", "values": [1, 2], "parent": None, "color": [230, 159, 0]},
    {"name": "cup", "values": [2], "parent": "disc", "color": [86, 180, 233]},
]


def build_toy(delta: str | None = None, seed: int = 0, **options: Any) -> KSam:
    """A KSAM of 32 x 32 pixels, random weights; in place of `network_def` of the configs."""
    torch.manual_seed(seed)
    chosen = read_delta(Path(delta)).options if delta else find_options("lite", OPTIONS | options)
    network = KSam(build_sam(SIZES, image_size=SIZE_PX), chosen)
    if delta:
        load_delta(network, delta)
    return network.eval()


def build_banked(structures: int = 2) -> KSam:
    """A small KSAM with one picture that serves all structures: "dark", "light", "third"."""
    network = build_toy()
    image = torch.full((structures, 1, 3, SIZE_PX, SIZE_PX), 90.0)
    masks = torch.zeros(structures, 1, 1, SIZE_PX, SIZE_PX)
    masks[..., 4:20, 4:20] = 1
    network.set_bank(image, masks, ("dark", "light", "third")[:structures])
    return network.eval()


class ColourNetwork(KSam):
    """Finds what is at least as bright as the darkest tenth of what the template's mask covers."""

    def encode(self, image: torch.Tensor) -> torch.Tensor:
        return image.mean(1, keepdim=True)

    def read_prompt(self, features: torch.Tensor, image: torch.Tensor, mask: torch.Tensor) -> Knowledge:
        return Knowledge(features, features, features, mask)

    def segment(self, features: torch.Tensor, knowledge: Knowledge) -> torch.Tensor:
        pairs = zip(knowledge.features, knowledge.mask, strict=True)
        covered = [f[m > 0.5].quantile(0.1) if (m > 0.5).any() else f.max() for f, m in pairs]
        return features.expand(len(covered), -1, -1, -1) - torch.stack(covered).view(-1, 1, 1, 1) + 10


def build_colour(delta: str | None = None) -> KSam:
    """In place of `network_def`."""
    network = build_toy(delta)
    network.__class__ = ColourNetwork
    return network


def draw_disc(rng: np.random.Generator, size_px: int = 48) -> tuple[np.ndarray, np.ndarray]:
    """uint8 (size, size, 3) and labels (size, size): 0 around, 1 disc, 2 cup."""
    y, x = np.mgrid[:size_px, :size_px]
    centre, radius = rng.uniform(0.4, 0.6, 2) * size_px, rng.uniform(0.25, 0.33) * size_px
    distance = np.hypot(y - centre[0], x - centre[1])
    labels = (distance < radius).astype(np.uint8) + (distance < 0.5 * radius)
    pixels = np.array([[40, 20, 10], [160, 90, 40], [240, 220, 180]])[labels] + rng.normal(
        0, 6, (size_px,) * 2 + (1,)
    )
    return np.clip(pixels, 0, 255).astype(np.uint8), labels


def draw_datalist(
    folder: Path, name: str = "discs", counts: tuple[int, int, int] = (6, 3, 3), seed: int = 0
) -> Path:
    """Pictures and labels of as many patients, and the datalist that names them."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    content: dict[str, Any] = {
        "name": name,
        "modality": "picture",
        "licence": "generated",
        "structures": STRUCTURES,
        "window": None,
        "crop": "none",
    }
    for part, count in zip(("training", "validation", "test"), counts, strict=True):
        content[part] = []
        for number in range(count):
            pixels, labels = draw_disc(rng)
            stem = f"{part}{number}"
            Image.fromarray(pixels).save(folder / f"{stem}.png")
            Image.fromarray(labels).save(folder / f"{stem}_label.png")
            content[part].append(
                {"image": f"{stem}.png", "label": f"{stem}_label.png", "patient": f"{name}-{stem}"}
            )
    path = folder / f"{name}.json"
    path.write_text(json.dumps(content))
    return path


def open_workflow(config: str | list[str], kind: str, **overrides: Any) -> ConfigWorkflow:
    """A config of the bundle as `monai.bundle run` opens it, initialised."""
    names = [config] if isinstance(config, str) else config
    workflow = ConfigWorkflow(
        config_file=[str(BUNDLE / "configs" / name) for name in names],
        workflow_type=kind,
        logging_file=False,
        bundle_root=str(BUNDLE),
        **{key: str(value) if isinstance(value, Path) else value for key, value in overrides.items()},
    )
    workflow.initialize()
    return workflow


def training_overrides(folder: Path, **changes: Any) -> dict[str, Any]:
    """What a quick training run on `draw_datalist` needs."""
    return {
        "datalist": draw_datalist(folder / "data"),
        "output_dir": folder / "run",
        "network_def": {"_target_": "toy_ksam.build_toy", "seed": "@seed"},
        "camera": None,
        "geometry": None,
        "episodes": 16,
        "batch_size": 4,
        "learning_rate": 0.003,
        "warmup_epochs": 0.5,
        "epochs": 3,
        "val_interval": 1,
        "templates": 2,
        "precision": "fp32",
        **changes,
    }
