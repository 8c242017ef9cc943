"""Pictures of breasts with bright or dim regions and histories that partly tell which; and small networks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from monai.bundle import ConfigWorkflow
from PIL import Image

from common.networks.text_folders import write_tiny_folder

BUNDLE = Path(__file__).resolve().parents[2] / "bundles" / "mmbcd_mammo"
SIZE_PX = 64
BOXES = ((12, 12, 24, 24), (8, 36, 20, 48), (30, 20, 42, 32))
TEXTS = {True: "hard lump in the {side} breast since 2 months", False: "routine screening, no complaint"}
WORDS = [text.format(side=side) for text in TEXTS.values() for side in ("left", "right")]
OPTIONS: dict[str, Any] = {
    "image_size": 16,
    "frozen_blocks": 0,
    "text_trained_layers": 0,
    "projection": 16,
    "hidden": 16,
    "attention_heads": 1,
    "mask_words": 5,
}
SMALLEST_DETECTOR = {
    "queries": 12,
    "depths": [1, 1, 1, 1],
    "stages": [2, 3],
    "levels": 2,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "denoising": 4,
}
"""Sizes of the detector: as small as the builder allows."""


def draw_mammogram(rng: np.random.Generator, malignant: bool) -> np.ndarray:
    """(64, 64) uint8: a half disc at the chest wall; the first region of a malignant breast is bright."""
    y, x = np.mgrid[:SIZE_PX, :SIZE_PX]
    pixels = np.where(((y - 32) / 30) ** 2 + (x / 56) ** 2 < 1, 90, 0) + rng.normal(0, 4, (SIZE_PX, SIZE_PX))
    x0, y0, x1, y1 = BOXES[0]
    if malignant:
        pixels[y0 + 3 : y1 - 3, x0 + 3 : x1 - 3] += rng.uniform(60, 120)
    return np.clip(pixels, 0, 255).astype(np.uint8)


def draw_datalist(folder: Path, counts: tuple[int, int, int] = (8, 6, 6), seed: int = 0) -> Path:
    """Four pictures of each patient; the left breast of every other patient is malignant.

    Beside the datalist stand `boxes.json` (COCO, one picture without any) and `text`, a tiny text encoder.
    Every fourth patient has no history, every third of the rest one that says the opposite.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    content: dict[str, Any] = {"name": "breasts", "licence": "generated", "history": "synthetic"}
    boxes: dict[str, list[Any]] = {"images": [], "annotations": []}
    for part, count in zip(("training", "validation", "test"), counts, strict=True):
        content[part] = [
            row
            for number in range(count)
            for row in _draw_patient(folder, f"{part}{number}", number, rng, boxes)
        ]
    (folder / "boxes.json").write_text(json.dumps(boxes))
    write_tiny_folder(folder / "text", WORDS * 4)
    path = folder / "datalist.json"
    path.write_text(json.dumps(content))
    return path


def _draw_patient(
    folder: Path, name: str, number: int, rng: np.random.Generator, boxes: dict[str, list[Any]]
) -> list[dict[str, Any]]:
    rows = []
    ill = number % 2 == 0
    told = ill != (number % 3 == 2)
    history = None if number % 4 == 3 else TEXTS[told].format(side="left")
    for side in "LR":
        for view in ("CC", "MLO"):
            malignant = ill and side == "L"
            stem = f"{name}_{side}_{view}"
            Image.fromarray(draw_mammogram(rng, malignant)).save(folder / f"{stem}.png")
            place = len(boxes["images"])
            boxes["images"].append({"id": place, "file_name": f"{stem}.png", "width": 64, "height": 64})
            for rank, (x0, y0, x1, y1) in enumerate(() if stem == "training1_R_CC" else BOXES):
                box = {"image_id": place, "bbox": [x0, y0, x1 - x0, y1 - y0], "score": 0.9 - 0.1 * rank}
                boxes["annotations"].append(box)
            rows.append(
                {
                    "image": f"{stem}.png",
                    "patient": name,
                    "study": "s1",
                    "laterality": side,
                    "view": view,
                    "malignant": int(malignant),
                    "boxes": [list(BOXES[0])] if malignant else [],
                    "history": history,
                    "age": 40 + 4 * number,
                    "density": "ABCD"[number % 4],
                    "vendor": ("Toy", "Other")[number % 2],
                }
            )
    return rows


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


def training_overrides(
    folder: Path, options: Mapping[str, Any] | None = None, **changes: Any
) -> dict[str, Any]:
    """What a quick training run on `draw_datalist` needs."""
    path = draw_datalist(folder / "data")
    return {
        "datalist": path,
        "boxes": path.parent / "boxes.json",
        "output_dir": folder / "run",
        "text_folder": path.parent / "text",
        "vision": "tiny",
        "text": "tiny",
        "rois": 3,
        "network_options": OPTIONS | dict(options or {}),
        "batch_size": 8,
        "learning_rate": 0.003,
        "encoder_rate": 0.3,
        "warmup_epochs": 0.5,
        "epochs": 3,
        **changes,
    }


def run_on_two_processes(config: str, overrides: Mapping[str, Any]) -> None:
    """A training config under torchrun with gloo, as the README says."""
    configs = [str(BUNDLE / "configs" / name) for name in (config, "multi_gpu_train.json")]
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc_per_node=2",
        "-m",
        "monai.bundle",
        "run",
    ]
    command += ["--config_file", str(configs), "--bundle_root", str(BUNDLE), "--backend", "gloo"]
    for key, value in overrides.items():
        command += [f"--{key}", str(value)]
    paths = [str(BUNDLE), str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    subprocess.run(command, env=environment, check=True, timeout=900, capture_output=True)
