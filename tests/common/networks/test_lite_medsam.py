"""LiteMedSAM against numbers that its own package computed, and on real kidneys."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from common.engines import build_engine
from common.networks.sam import Sam, build_sam
from common.networks.sam_weights import adapt_state, load_backbone
from common.networks.tiny_vit import rename_keys

ROOT = Path(__file__).resolve().parents[3]
WEIGHTS = ROOT / "bundles/ksam_kidney_seg/models/lite_medsam.pth"
BOX = torch.tensor([[40.0, 50, 200, 140]])


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    """Names and shapes of the encoder's tensors; every 8191st feature and 509th logit."""
    return json.loads((Path(__file__).parent / "golden/lite_medsam.json").read_text(encoding="utf-8"))


def generate(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """A tensor that depends on its name only, of a size that keeps activations near 1."""
    if name.endswith("num_batches_tracked"):
        return torch.tensor(0)
    values = np.random.default_rng(zlib.crc32(name.encode())).uniform(-1, 1, shape)
    if name.endswith("running_var"):
        values = 1 + 0.5 * values
    elif len(shape) > 1 and not name.endswith(("attention_biases", "gaussian_matrix")):
        values = values * (3 / np.prod(shape[1:])) ** 0.5
    elif name.endswith("weight"):
        values = 1 + 0.5 * values
    return torch.from_numpy(np.asarray(values, np.float32))


def random_image() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, 3, 256, 256)).astype(np.float32))


def compare(network: Sam, expected: dict[str, list[float]]) -> None:
    with torch.inference_mode():
        features = network.image_encoder(random_image())
        sparse, dense = network.prompt_encoder(None, BOX, None)
        logits = network.decode(features, sparse, dense)
    for found, key, stride in ((features, "features", 8191), (logits, "logits", 509)):
        wanted = torch.tensor(expected[key])
        error = (found.flatten()[::stride] - wanted).abs().max()
        assert error < 1e-4 * wanted.abs().max(), key


def test_names_of_the_checkpoint_are_ours_renamed(golden: dict[str, Any]) -> None:
    state = {name: torch.zeros(shape) for name, shape in golden["image_encoder"].items()}
    own = build_sam("lite").state_dict()
    renamed = rename_keys(state)
    assert {name: value.shape for name, value in renamed.items()} == {
        name: value.shape for name, value in own.items() if name.startswith("image_encoder.")
    }
    assert rename_keys(renamed) == renamed


def test_equals_the_packaged_network_with_generated_weights(golden: dict[str, Any]) -> None:
    network = build_sam("lite")
    state = {name: generate(name, tuple(shape)) for name, shape in golden["image_encoder"].items()}
    for name, value in network.state_dict().items():
        if not name.startswith("image_encoder."):
            state[name] = generate(name, tuple(value.shape))
    network.load_state_dict(adapt_state(network, state, "generated"))
    compare(network, golden["generated"])


@pytest.mark.weights("lite-medsam")
def test_equals_the_packaged_network_with_its_checkpoint(golden: dict[str, Any]) -> None:
    network = build_sam("lite")
    load_backbone(network, WEIGHTS)
    compare(network, golden["checkpoint"])


@pytest.mark.shared_data
@pytest.mark.weights("lite-medsam")
def test_kidneys_from_a_box(shared_data: Path) -> None:
    """Zero-shot Dice with the box of the reference mask: 0.936 over every fourth slice with both kidneys."""
    network = build_sam("lite")
    load_backbone(network, WEIGHTS)
    engine = build_engine(network.image_encoder, torch.zeros(1, 3, 256, 256))
    files = [shared_data / f"ct_abdomen/{name}.nii.gz" for name in ("ct", "kidney_left", "kidney_right")]
    ct, *kidneys = (np.rot90(nib.load(file).get_fdata()) for file in files)
    scores = []
    for z in (74, 86, 98):  # first, middle and last of those
        features = torch.from_numpy(engine(to_square(ct[:, :, z])))
        scores += [dice_from_box(network, features, kidney[:, :, z] > 0) for kidney in kidneys]
    assert np.mean(scores) > 0.92, scores


def to_square(image_hu: np.ndarray) -> np.ndarray:
    """Soft-tissue window, longest edge to 256, zeros at the right and below: (1, 3, 256, 256)."""
    grey = torch.from_numpy(np.clip((image_hu + 160) / 400, 0, 1) * 255).float()[None, None]
    grey = F.interpolate(grey, scale_factor=256 / max(image_hu.shape), mode="bilinear")
    padded = F.pad(grey, (0, 256 - grey.shape[-1], 0, 256 - grey.shape[-2]))
    return padded.repeat(1, 3, 1, 1).numpy()


def dice_from_box(network: Sam, features: torch.Tensor, mask: np.ndarray) -> float:
    scale = 256 / max(mask.shape)
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    box = torch.tensor([[columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]]).float() * scale
    with torch.inference_mode():
        logits = network.decode(features, *network.prompt_encoder(None, box, None))
    height, width = (round(edge * scale) for edge in mask.shape)
    found = F.interpolate(logits[..., :height, :width], mask.shape, mode="bilinear")[0, 0].numpy() > 0
    return float(2 * (found & mask).sum() / (found.sum() + mask.sum()))
