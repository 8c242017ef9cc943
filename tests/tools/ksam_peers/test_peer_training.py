"""Training of peers: discs are learned, nothing is trained twice, batches of different patients."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from experiment.ksam_peers.traditional import TraditionalNetwork
from experiment.ksam_peers.training import (
    HISTORY,
    WEIGHTS,
    TrainingSettings,
    draw_batches,
    load_validation,
    read_training_settings,
    train_peer,
    validate,
)
from toy_ksam import draw_datalist

from common.errors import ConfigError
from common.training.optimisation import PrecisionInferer
from ksam.datalist import load_datalist
from ksam.samples import load_samples
from ksam.template_choice import draw_task

SETTINGS = TrainingSettings(
    epochs=4, episodes=40, learning_rate=0.01, val_interval=2, precision="fp32", geometry={"waves": 0.0}
)


def build_unet() -> TraditionalNetwork:
    torch.manual_seed(0)
    return TraditionalNetwork("UNet", 2, 32, {"channels": [8, 16, 32], "strides": [2, 2]})


def test_a_unet_learns_discs_and_is_loaded_the_second_time(tmp_path: Path) -> None:
    path = draw_datalist(tmp_path / "d")
    cases = load_datalist(path, "training"), load_datalist(path, "validation")
    structures = draw_task(cases[0], 1, 0).structures
    network = build_unet()
    train_peer(network, cases, structures, SETTINGS, tmp_path / "run")
    history = json.loads((tmp_path / "run" / HISTORY).read_text())
    losses = [row["loss"] for row in history["epochs"]]
    assert len(losses) == 4 and losses[-1] < 0.7 * losses[0]
    assert [row["epoch"] for row in history["epochs"] if "mean_dice" in row] == [2, 4]
    shown = load_validation(cases[1], 32, None, [s.name for s in structures])
    best = validate(network, shown, structures, PrecisionInferer("fp32"))
    assert best > 0.8 and best == pytest.approx(
        max(r.get("mean_dice", 0) for r in history["epochs"]), abs=1e-6
    )
    again, stamp = build_unet(), (tmp_path / "run" / WEIGHTS).stat().st_mtime_ns
    train_peer(again, cases, structures, SETTINGS, tmp_path / "run")
    assert (tmp_path / "run" / WEIGHTS).stat().st_mtime_ns == stamp and not again.training
    image = torch.rand(1, 3, 32, 32) * 255
    torch.testing.assert_close(again(image), network(image))


def test_batches_hold_different_patients_and_repeat_with_the_seed(tmp_path: Path) -> None:
    samples = load_samples(load_datalist(draw_datalist(tmp_path), "training"), 32)
    settings = TrainingSettings(batch_size=6, camera=None, geometry=None)
    image, truth = next(draw_batches(samples, settings))
    assert image.shape == (6, 3, 32, 32) and truth.shape == (6, 2, 32, 32)
    assert image.min() >= 0 and image.max() > 200 and set(np.unique(truth)) == {0, 1}
    assert len({one.numpy().tobytes() for one in image}) == 6
    assert torch.equal(next(draw_batches(samples, settings))[0], image)
    larger = next(draw_batches(samples, TrainingSettings(batch_size=8)))
    assert larger[0].shape[0] == 8


def test_without_two_validation_patients_the_last_weights_stay(tmp_path: Path) -> None:
    path = draw_datalist(tmp_path / "d", counts=(3, 1, 1))
    cases = load_datalist(path, "training"), load_datalist(path, "validation")
    assert (
        load_validation(cases[1], 32, None, ["disc"]) == [] and load_validation([], 32, None, ["disc"]) == []
    )
    settings = TrainingSettings(epochs=1, episodes=4, precision="fp32")
    train_peer(build_unet(), cases, draw_task(cases[0], 1, 0).structures, settings, tmp_path / "run")
    assert "mean_dice" not in json.loads((tmp_path / "run" / HISTORY).read_text())["epochs"][0]


def test_refusals() -> None:
    with pytest.raises(ConfigError, match="epochs: expected at least 1, got 0: correct training"):
        TrainingSettings(epochs=0)
    with pytest.raises(ConfigError, match="camera, geometry: expected arguments of CameraRange and .* got"):
        TrainingSettings(camera={"lens": 1})
    with pytest.raises(ConfigError, match="training: expected settings of TrainingSettings, got .*'steps'"):
        read_training_settings({"steps": 1})
