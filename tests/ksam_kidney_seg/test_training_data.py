"""Which episodes a run sees, in every process, and what is refused before anything is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from toy_ksam import build_toy, draw_datalist

from common.errors import ConfigError, InputError
from ksam.material import TrainingMaterial
from ksam.training_data import EpisodeData, EpisodeSampler, EpisodeSettings, build_train_loader


def build_data(datalist: Path | str, **changes: Any) -> EpisodeData:
    settings = EpisodeSettings(episodes=10, camera={}, geometry={}, tasks_per_pair=2)
    return EpisodeData(TrainingMaterial(str(datalist)), build_toy(), settings, **changes)


def test_no_episode_comes_twice() -> None:
    sampler = EpisodeSampler(build_data("none.json"))
    seen = []
    for epoch in range(3):
        sampler.set_epoch(epoch)
        seen += list(sampler)
    assert seen == list(range(30)) and len(sampler) == 10


def test_processes_share_an_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    shares = []
    for rank in range(3):
        monkeypatch.setattr("ksam.training_data.process_place", lambda rank=rank: (rank, 3))
        sampler = EpisodeSampler(build_data("none.json"))
        sampler.set_epoch(2)
        shares.append(list(sampler))
    assert [len(share) for share in shares] == [3, 3, 3]
    assert sorted(number for share in shares for number in share) == list(range(20, 29))


def test_an_episode_depends_on_its_number_only(tmp_path: Path) -> None:
    path = draw_datalist(tmp_path / "data", counts=(3, 1, 0))
    first, second = build_data(path), build_data(path)
    second[4]
    for key, value in first[17].items():
        assert torch.equal(value, second[17][key]), key
    batch = next(iter(build_train_loader(first, 2, 0)))
    assert batch["label"].shape == (2, 2, 32, 32) and batch["image"].shape == (2, 3, 32, 32)


def test_nothing_is_read_before_it_is_needed(tmp_path: Path) -> None:
    data = build_data(tmp_path / "none.json")
    assert len(data) == 10
    with pytest.raises(InputError, match="expected a datalist, got no such file"):
        data.prepare()
    path = draw_datalist(tmp_path / "data", counts=(2, 0, 1))
    with pytest.raises(InputError, match="expected cases under 'validation', got none"):
        build_data(path).prepare()


def test_refusals() -> None:
    with pytest.raises(ConfigError, match="episodes: expected at least 1, got 0"):
        EpisodeSettings(0)
    with pytest.raises(ConfigError, match="tasks: expected fields of TaskMix, got"):
        EpisodeSettings(1, tasks={"stars": 1.0})
    with pytest.raises(ConfigError, match="geometry: expected fields of GeometryRange, got"):
        EpisodeSettings(4, geometry="{'turn_deg': 12}")  # a text where a command line lost its brackets
    with pytest.raises(ConfigError, match="camera: expected fields of CameraRange, got"):
        EpisodeSettings(1, camera={"lens": 1.0})
    with pytest.raises(ConfigError, match="batch_size: expected 1 to the 10 episodes of an epoch, got 11"):
        build_train_loader(build_data("none.json"), 11, 0)
    settings = EpisodeSettings(4)
    with pytest.raises(ConfigError, match="cache_features: expected a frozen encoder, got lora_rank 2"):
        EpisodeData(TrainingMaterial("none.json"), build_toy(lora_rank=2), settings, cache_features=2)
