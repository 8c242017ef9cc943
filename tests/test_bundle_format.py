"""Every folder in bundles/ satisfies every check of tools/bundle_format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import toy_mammo_training
from bundle_format import STATIC_CHECKS, Bundle, Check, run_check
from bundle_format.workflows import (
    WORKFLOW_TYPES,
    build_network,
    check_export,
    check_network,
    check_properties,
    check_weights,
)
from PIL import Image
from toy_ksam import draw_datalist

ROOT = Path(__file__).resolve().parents[1]
BUNDLES = sorted(path.parent.name for path in (ROOT / "bundles").glob("*/configs"))


@pytest.fixture(scope="module", params=BUNDLES)
def bundle(request: pytest.FixtureRequest) -> Bundle:
    """A bundle of this repository."""
    return Bundle(ROOT / "bundles" / request.param, ROOT)


@pytest.fixture(scope="module")
def network(bundle: Bundle) -> torch.nn.Module:
    """Its network with its weights."""
    if not (bundle.path / "models/model.pt").is_file():
        pytest.skip(f"weights of {bundle.name} are not there: python3 tools/weights.py get")
    return build_network(bundle)


@pytest.mark.parametrize("check", STATIC_CHECKS, ids=lambda check: check.__name__)
def test_bundle_satisfies(check: Check, bundle: Bundle) -> None:
    assert run_check(check, bundle) == []


def test_network_is_as_declared(bundle: Bundle, network: torch.nn.Module) -> None:
    assert list(check_network(bundle, network)) == []


def test_weights_fit_the_network(bundle: Bundle, network: torch.nn.Module) -> None:
    assert list(check_weights(bundle, network)) == []


def test_network_can_be_exported(bundle: Bundle, network: torch.nn.Module) -> None:
    assert list(check_export(bundle, network)) == []


@pytest.mark.parametrize("workflow", WORKFLOW_TYPES)
def test_monai_finds_every_property(
    workflow: str, bundle: Bundle, network: torch.nn.Module, tmp_path: Path
) -> None:
    overrides = SAMPLES[bundle.name](bundle, tmp_path)
    assert list(check_properties(bundle, workflow, overrides)) == []


def write_patches(bundle: Bundle, folder: Path) -> dict[str, Any]:
    """Ten patches of noise per class in one folder per class; the overrides that name them."""
    rng = np.random.default_rng(0)
    for row in bundle.labels:
        (folder / "patches" / row["name"]).mkdir(parents=True)
        for number in range(10):
            pixels = rng.integers(0, 255, (224, 224, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "patches" / row["name"] / f"{number}.png")
    return {"dataset_dir": str(folder / "patches"), "output_dir": str(folder / "out"), "patch_mpp": 0.5}


def write_pictures(bundle: Bundle, folder: Path) -> dict[str, Any]:
    """A few pictures with label maps and their datalist; the overrides that name them."""
    datalist = draw_datalist(folder / "pictures")
    return {
        "dataset_dir": str(folder / "pictures"),
        "datalist": str(datalist),
        "output_dir": str(folder / "out"),
    }


def write_mammograms(bundle: Bundle, folder: Path) -> dict[str, Any]:
    """Mammograms of a few patients with their datalist; the overrides that name them, and small encoders."""
    toy_mammo_training.draw_datalist(folder / "studies")
    return {
        "dataset_dir": str(folder / "studies"),
        "output_dir": str(folder / "out"),
        "vision": "tiny",
        "frozen_blocks": 0,
        "text": "tiny",
    }


SAMPLES = {
    "wsi_scale_selector": write_patches,
    "ksam_kidney_seg": write_pictures,
    "mmbcd_mammo": write_mammograms,
}
