"""The smallest MMBCD, the boxes that its tests give it, and the pictures of `toy_mammo_files`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from toy_mammo_files import (
    STUDY_UID,
    VIEWS,
    draw_breast,
    find_dicom_errors,
    make_mammogram,
    write_study,
)

from common.networks.text_folders import write_tiny_folder
from mmbcd.classifier import Mmbcd
from mmbcd.network import build_mmbcd

__all__ = [
    "STUDY_UID",
    "TWO_BOXES",
    "VIEWS",
    "draw_breast",
    "find_dicom_errors",
    "make_boxes",
    "make_mammogram",
    "make_network",
    "write_boxes",
    "write_study",
]


def make_network(folder: Path, **options: Any) -> Mmbcd:
    """The smallest MMBCD with text: two layers of text, a tiny ViT at 64 pixels; seeded, untrained."""
    write_tiny_folder(folder, ["lump in the left breast", "pain in the right breast", "routine check"] * 3)
    torch.manual_seed(0)
    settings = {"vision": "tiny", "text": "tiny", "frozen_blocks": 0, "text_trained_layers": -1} | options
    return build_mmbcd(text_folder=folder, **settings).eval()


def write_boxes(path: Path, boxes: dict[str, list[tuple[float, float, float, float, float]]]) -> Path:
    """COCO JSON: file name -> boxes (x0, y0, x1, y1, score) of pictures of 64 x 96 pixels."""
    images, annotations = [], []
    for number, (name, rows) in enumerate(boxes.items()):
        images.append({"id": number, "file_name": name, "width": 64, "height": 96})
        for x0, y0, x1, y1, score in rows:
            box = {"image_id": number, "bbox": [x0, y0, x1 - x0, y1 - y0], "score": score}
            annotations.append(box)
    path.write_text(json.dumps({"images": images, "annotations": annotations}), encoding="utf-8")
    return path


TWO_BOXES = [(10.0, 25.0, 26.0, 41.0, 0.9), (10.0, 55.0, 26.0, 71.0, 0.4)]


def make_boxes(names: Iterable[str] = ("R_CC", "L_CC", "R_MLO", "L_MLO")) -> dict[str, Any]:
    """Two boxes for each view."""
    return {f"{name}.dcm": TWO_BOXES for name in names}
