"""A small MMBCD, with and without files of its encoders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from common.networks.text_folders import write_tiny_folder
from common.networks.vision_encoders import build_vision_encoder
from mmbcd.network import Mmbcd, build_mmbcd

CORPUS = [f"{what} in the {side} breast" for what in ("lump", "pain") for side in ("left", "right")] * 4
TOY: dict[str, Any] = {
    "vision": "tiny",
    "image_size": 16,
    "frozen_blocks": 0,
    "text": "tiny",
    "text_trained_layers": -1,
    "projection": 16,
    "hidden": 8,
    "rois": 3,
}


def build_toy_mmbcd(seed: int = 0, **options: Any) -> Mmbcd:
    """Untrained, without a tokenizer; the same for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_mmbcd(pretrained=False, **(TOY | options))


def write_toy_encoders(folder: Path) -> dict[str, Path]:
    """Files of both encoders, as arguments of `build_mmbcd`."""
    write_tiny_folder(folder / "text", CORPUS)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        vision = build_vision_encoder("tiny", frozen_blocks=0, image_size=16)
    torch.save(vision.state_dict(), folder / "vision.pt")
    return {"vision_weights": folder / "vision.pt", "text_folder": folder / "text"}
