"""A small repository with one complete bundle that satisfies every check; tests break copies of it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch

TEXT = "A toy that sorts patches."
NETWORK = '''"""Two channels out of three, averaged over the patch."""

from __future__ import annotations

import torch
from torch import nn


class ToyNetwork(nn.Module):
    """Pointwise convolution and average."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, classes, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.layer(image).mean(dim=(2, 3)))


def build_network(classes: int = 2) -> ToyNetwork:
    """The network with zeros as weights."""
    network = ToyNetwork(classes)
    for parameter in network.parameters():
        nn.init.zeros_(parameter)
    return network
'''
PIPELINE = '''"""Data and start of the toy."""

from __future__ import annotations

import numpy as np
import torch
from monai.data import Dataset


def start() -> None:
    """Nothing to prepare."""


def build_dataset(folder: str, items: int = 2) -> Dataset:
    """Grey patches."""
    pixels = np.full((3, 8, 8), 128, dtype=np.float32)
    return Dataset([{"image": torch.from_numpy(pixels), "label": torch.ones(2)} for _ in range(items)])


def build_optimizer(network: torch.nn.Module, rate: float) -> torch.optim.Optimizer:
    """SGD over all parameters."""
    return torch.optim.SGD(network.parameters(), lr=rate)
'''
LOGGING = """[loggers]
keys=root

[handlers]
keys=console

[formatters]
keys=plain

[logger_root]
level=INFO
handlers=console

[handler_console]
class=StreamHandler
formatter=plain
args=(sys.stdout,)

[formatter_plain]
format=%(message)s
"""
README = """# Toy

See [data](#data), [the licence](data_license.txt) and [the network](../{package}/network.py).

    python -m monai.bundle run --config_file configs/inference.json --output eval/result.json

## Data
None. Weights: `models/model.pt`.
"""


def write_toy(root: Path, name: str = "toy_sorter", package: str = "sorter") -> Path:
    """Write a repository into `root` and return the bundle's folder."""
    bundle = root / "bundles" / name
    tensors = {"is_patch_data": True, "dtype": "float32"}
    write(root / "requirements.txt", "-e .\n# libraries\nmonai==1.6.1\ntorch>=2.14,<3\nnumpy>=2.0,<3\n")
    write(root / "common/__init__.py", '"""Shared."""\n')
    write(bundle / "LICENSE", "Apache License 2.0\n")
    write(bundle / "docs/README.md", README.format(package=package))
    write(bundle / "docs/data_license.txt", "No data.\n")
    write(bundle / "configs/logging.conf", LOGGING)
    write(bundle / package / "__init__.py", '"""Toy."""\n')
    write(bundle / package / "network.py", NETWORK)
    write(bundle / package / "pipeline.py", PIPELINE)
    labels = [
        {"value": 0, "name": "grey", "code": None, "color": [128, 128, 128]},
        {"value": 1, "name": "white", "code": sct("371251000", "White color"), "color": [255, 255, 255]},
    ]
    write(bundle / "configs/labels.json", labels)
    write(bundle / "configs/metadata.json", make_metadata(tensors))
    for workflow, config in make_configs(package).items():
        write(bundle / f"configs/{workflow}.json", config)
    write_weights(bundle)
    return bundle


def write(path: Path, content: Any) -> None:
    """Write a text, or anything else as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = content if isinstance(content, str) else json.dumps(content, indent=4) + "\n"
    path.write_text(text, encoding="utf-8")


def sct(value: str, meaning: str) -> dict[str, str]:
    """A SNOMED CT concept."""
    return {"scheme": "SCT", "value": value, "meaning": meaning}


def write_weights(bundle: Path, state: Any = None) -> None:
    """models/model.pt and its row in large_files.yml."""
    path = bundle / "models/model.pt"
    path.parent.mkdir(exist_ok=True)
    torch.save(state or {"layer.weight": torch.zeros(2, 3, 1, 1), "layer.bias": torch.zeros(2)}, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    row = f"- path: models/model.pt\n  url: https://example.org/model.pt\n  hash_val: {digest}\n"
    write(bundle / "large_files.yml", f"large_files:\n{row}  hash_type: sha256\n")


def make_metadata(tensors: dict[str, Any]) -> dict[str, Any]:
    """configs/metadata.json."""
    image = {
        "type": "image",
        "format": "RGB",
        "modality": "histology",
        "num_channels": 3,
        "spatial_shape": ["4*n", 8],
        "value_range": [0, 255],
        "channel_def": {"0": "red", "1": "green", "2": "blue"},
        **tensors,
    }
    pred = {
        "type": "probabilities",
        "format": "classification",
        "num_channels": 2,
        "spatial_shape": [],
        "value_range": [0, 1],
        "channel_def": {"0": "grey", "1": "white"},
        **tensors,
    }
    return {
        "schema": "https://example.org/meta_schema_20240725.json",
        "version": "0.2.0",
        "changelog": {"0.2.0": "second", "0.1.0": "first"},
        "monai_version": "1.6.1",
        "pytorch_version": "2.14.1",
        "numpy_version": "2.4.0",
        "required_packages_version": {},
        "eval_metrics": {},
        "references": ["None (2026)"],
        **dict.fromkeys(("name", "task", "description", "authors", "copyright", "data_source"), TEXT),
        **dict.fromkeys(("data_type", "image_classes", "pred_classes", "intended_use"), TEXT),
        "network_data_format": {"inputs": {"image": image}, "outputs": {"pred": pred}},
    }


def make_configs(package: str) -> dict[str, dict[str, Any]]:
    """The four workflow configs."""
    network = {"_target_": f"{package}.network.build_network", "classes": 2}
    dataset = {"_target_": f"{package}.pipeline.build_dataset", "folder": "@dataset_dir"}
    head = {
        "bundle_root": ".",
        "device": "cpu",
        "dataset_dir": "patches",
        "imports": [f"$import {package}.pipeline as pipeline"],
        "network_def": network,
    }
    engine = {"device": "@device", "network": "@network_def"}
    inference = {
        **head,
        "dataset": dataset,
        "loader": {"_target_": "DataLoader", "dataset": "@dataset", "batch_size": 1},
        "inferer": {"_target_": "SimpleInferer"},
        "handlers": [],
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            **engine,
            "val_data_loader": "@loader",
            "inferer": "@inferer",
            "val_handlers": "@handlers",
        },
        "run": ["$pipeline.start()", "$@evaluator.run()"],
    }
    train = {
        **head,
        "optimizer": {
            "_target_": f"{package}.pipeline.build_optimizer",
            "network": "@network_def",
            "rate": 0.1,
        },
        "train": {
            "dataset": dataset,
            "loader": {"_target_": "DataLoader", "dataset": "@train::dataset", "batch_size": 1},
            "inferer": {"_target_": "SimpleInferer"},
            "trainer": {
                "_target_": "SupervisedTrainer",
                **engine,
                "max_epochs": 1,
                "train_data_loader": "@train::loader",
                "optimizer": "@optimizer",
                "loss_function": {"_target_": "torch.nn.MSELoss"},
                "inferer": "@train::inferer",
            },
        },
        "run": ["$pipeline.start()", "$@train::trainer.run()"],
    }
    loader = {**train["train"]["loader"], "batch_size": 2}
    return {
        "inference": inference,
        "evaluate": inference,
        "train": train,
        "multi_gpu_train": {"train": {**train["train"], "loader": loader}},
    }
