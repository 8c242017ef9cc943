"""Validation's Dice by hand, which slices are taken, and features that are kept while weights change."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from toy_ksam import build_toy, draw_datalist

from common.errors import ConfigError
from ksam import validation
from ksam.averaging import WeightAverage
from ksam.material import TrainingMaterial
from ksam.samples import spread_slices
from ksam.validation import (
    CaseDice,
    LazyLoader,
    ValidationData,
    ValidationInferer,
    WatchedTasks,
    dice_of,
)


def test_dice_by_hand() -> None:
    values = dice_of(np.array([[3, 4, 5], [0, 2, 3], [0, 5, 0], [0, 0, 0]]))
    assert values[:2].tolist() == [pytest.approx(6 / 9), 0.0] and np.isnan(values[2:]).all()


def test_slices_of_a_case_are_counted_together(tmp_path: Path) -> None:
    """Case 0: disc 4 of 4 and 0 of 4 pixels on two slices: 2*4/(4+8); case 1 shows no cup."""
    metric = CaseDice(TrainingMaterial(str(draw_datalist(tmp_path / "d", counts=(2, 1, 0)))))
    metric.reset()
    truth = torch.zeros(3, 2, 4, 4, dtype=torch.bool)
    truth[:, 0, 0] = True
    truth[0, 1, 0, 0] = True
    logits = torch.full((3, 2, 4, 4), -1.0)
    logits[0, 0, 0] = logits[2, 0, 0] = 1.0
    logits[0, 1, 0, 0] = 1.0
    metric.update((logits, truth, torch.tensor([0, 0, 1])))
    found = metric.compute()
    assert found["dice_disc"] == pytest.approx((8 / 12 + 1) / 2) and found["dice_cup"] == 1.0
    assert found["mean_dice"] == pytest.approx((found["dice_disc"] + 1) / 2)


def test_counts_of_processes_are_added(monkeypatch: pytest.MonkeyPatch) -> None:
    other = {0: np.array([[1, 1, 1]]), 2: np.array([[0, 1, 1]])}

    def gather(parts: list[Any], own: Any) -> None:
        parts[:] = [own, other]

    fake = SimpleNamespace(is_initialized=lambda: True, get_world_size=lambda: 2, all_gather_object=gather)
    monkeypatch.setattr(validation, "dist", fake)
    found = validation.gather_counts({0: np.array([[1, 2, 3]])})
    assert found[0].tolist() == [[2, 3, 4]] and found[2].tolist() == [[0, 1, 1]]


def test_slices_are_spread() -> None:
    shown = [False, True, False, True, True, True, False]
    assert spread_slices(shown, 3) == [1, 3, 5] and spread_slices(shown, 9) == [1, 2, 3, 4, 5]
    assert spread_slices(shown, 1) == [3] and spread_slices([False], 2) == []
    with pytest.raises(ConfigError, match="val_slices: expected at least 1, got 0"):
        ValidationData(TrainingMaterial("none.json"), build_toy(), 0)


@pytest.mark.parametrize("options", [{}, {"decoder": "match", "km": False, "pm": False}, {"lora_rank": 2}])
def test_kept_features_follow_the_weights(tmp_path: Path, options: dict[str, Any]) -> None:
    path = draw_datalist(tmp_path / "d", counts=(2, 2, 0))
    material, network = TrainingMaterial(str(path), templates=1), build_toy(**options)
    (batch,) = LazyLoader(ValidationData(material, network), 4)
    kept = ValidationInferer(material)
    before = kept(batch["image"], network)
    with torch.no_grad():
        for value in network.trainable_parameters():
            value.add_(0.05)
    after = kept(batch["image"], network)
    fresh = ValidationInferer(material)(batch["image"], network)
    torch.testing.assert_close(after, fresh)
    assert not torch.equal(before, after) and before.shape == batch["label"].shape


def test_watching_needs_an_interval() -> None:
    with pytest.raises(ConfigError, match="watch_interval: expected at least 1, got 0"):
        WatchedTasks([], build_toy(), WeightAverage(build_toy()), 0)
