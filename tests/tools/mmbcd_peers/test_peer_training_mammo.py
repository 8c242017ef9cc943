"""What peers see of a datalist, how they are trained on it, and figures of what they say."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from experiment.mmbcd_peers.base import PICTURE, REGIONS, Batch, TrainedPeer
from experiment.mmbcd_peers.clip import build_clip
from experiment.mmbcd_peers.scoring import (
    compare,
    find_figures,
    read_scores,
    to_cases,
    write_scores,
)
from experiment.mmbcd_peers.training import (
    TrainingSettings,
    draw_batches,
    read_training_settings,
    score_views,
    train_peer,
)
from experiment.mmbcd_peers.views import Views, ViewSource
from PIL import Image
from torch import nn
from toy_mammo_peers import write_clip
from toy_mammo_training import draw_datalist

from common.errors import ConfigError
from common.training.datalist import hash_patient
from mmbcd.datalist import Entry, load_datalist
from mmbcd.regions import build_regions
from mmbcd.statistics import auc

PX = 16


class BrightPeer(TrainedPeer):
    """Sees how bright the brightest pixel is; a logistic regression of one feature."""

    def __init__(self) -> None:
        self.network = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1).requires_grad_(False))
        self.network[1].load_state_dict({"weight": torch.ones(1, 1), "bias": torch.zeros(1)})
        self.image_size = PX

    def _find(self, batch: Batch) -> torch.Tensor:
        return self.network(batch.crops.flatten(1).amax(1, keepdim=True) - 0.5)[:, 0]

    def find_loss(self, batch: Batch) -> torch.Tensor:
        labels = batch.labels.float()
        return nn.functional.binary_cross_entropy_with_logits(self._find(batch), labels)

    def score(self, batch: Batch) -> np.ndarray:
        return self._find(batch).sigmoid().numpy().astype(float)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return draw_datalist(tmp_path_factory.mktemp("peers") / "data")


@pytest.fixture(scope="module")
def source(data: Path) -> ViewSource:
    return ViewSource(build_regions(boxes=data.parent / "boxes.json", rois=3), data.parent / "views")


def open_views(source: ViewSource, data: Path, part: str, sees: str = REGIONS) -> Views:
    return source.open(load_datalist(data, part), part, sees, PX)


def settings(**changes: object) -> TrainingSettings:
    given = {"epochs": 4, "batch_size": 8, "learning_rate": 0.5, "precision": "fp32", "warmup_epochs": 0.0}
    return TrainingSettings(**given | {"schedule": "constant", "flip": 0.0} | changes)


def test_regions_and_their_absence(source: ViewSource, data: Path) -> None:
    views = open_views(source, data, "training")
    batch = views.take([0, 6])
    assert batch.crops.shape == (2, 3, 3, PX, PX) and batch.labels.tolist() == [True, False]
    assert views.entries[6].image.name == "training1_R_CC.png"  # the one without a box
    assert batch.present.tolist() == [[True] * 3, [False] * 3] and not batch.crops[1].any()
    assert batch.histories[0] == "hard lump in the left breast since 2 months"
    flipped = views.take([0], np.array([[True, False]]))
    assert torch.equal(flipped.crops[0], batch.crops[0].flip(-2))


def test_the_complete_mammogram(source: ViewSource, data: Path) -> None:
    views = open_views(source, data, "test", PICTURE)
    batch = views.take([0])
    assert batch.crops.shape == (1, 1, 3, PX, PX) and batch.present.all()
    pixels = np.asarray(Image.open(views.entries[0].image), np.float32) / 255
    means = pixels.reshape(PX, 4, PX, 4).mean((1, 3))
    assert np.allclose(batch.crops[0, 0, 0].numpy(), means, atol=0.01)


def test_an_epoch_takes_every_mammogram_once(source: ViewSource, data: Path) -> None:
    views = open_views(source, data, "training")
    seen: list[int] = []
    views.take = lambda numbers, flips: seen.extend(numbers)  # type: ignore[method-assign]
    batches = list(draw_batches(views, settings(batch_size=4, accumulate=2), 1, steps=4))
    assert len(batches) == 8 and sorted(seen) == list(range(32))
    list(draw_batches(views, settings(batch_size=4, accumulate=2), 1, steps=4))
    list(draw_batches(views, settings(batch_size=4), 2, steps=8))
    assert seen[:32] == seen[32:64] != seen[64:]


def test_it_is_trained_once_and_the_best_weights_are_kept(
    source: ViewSource, data: Path, tmp_path: Path
) -> None:
    peer = BrightPeer()
    nn.init.constant_(peer.network[0].weight, -1.0)  # the wrong way round
    pair = open_views(source, data, "training"), open_views(source, data, "validation")
    before = score_views(peer, pair[1], 5)
    assert auc(to_cases(before, pair[1].entries)) < 0.1
    train_peer(peer, pair, settings(), tmp_path)
    after = score_views(peer, pair[1], 5)
    history = json.loads((tmp_path / "training.json").read_text())["epochs"]
    assert max(row["auc"] for row in history) == pytest.approx(float(auc(to_cases(after, pair[1].entries))))
    assert history[-1]["loss"] < history[0]["loss"] and len(history) == 4
    state = torch.load(tmp_path / "trained.pt")
    assert list(state) == ["0.weight", "0.bias"]  # what is frozen is not kept
    again = BrightPeer()
    again.find_loss = None  # type: ignore[assignment,method-assign]
    train_peer(again, pair, settings(), tmp_path)
    assert np.array_equal(score_views(again, pair[1], 8), after)


def test_gathered_batches_make_one_step(source: ViewSource, data: Path, tmp_path: Path) -> None:
    """Two batches of four with the gradients added are one of eight."""
    training = open_views(source, data, "training")
    found = []
    for size, gathered in ((8, 1), (4, 2)):
        torch.manual_seed(0)
        peer = BrightPeer()
        own = settings(epochs=1, batch_size=size, accumulate=gathered, val_interval=None, clip_norm=0.0)
        train_peer(peer, (training, None), own, tmp_path / str(size))
        found.append(peer.network[0].weight.item())
    assert found[0] == pytest.approx(found[1], rel=1e-4)


def test_clip_learns_from_pairs(source: ViewSource, data: Path, tmp_path: Path) -> None:
    """Bright regions and histories of unseen patients: the nearer of the two prompts is the true one."""
    views = {part: open_views(source, data, part) for part in ("training", "validation", "test")}
    torch.manual_seed(0)
    peer = build_clip({"text": str(write_clip(tmp_path / "clip"))}, "tiny", image_size=PX)
    own = settings(epochs=5, learning_rate=3e-4, flip=0.5)
    train_peer(peer, (views["training"], views["validation"]), own, tmp_path)
    scores = score_views(peer, views["test"], 8)
    assert auc(to_cases(scores, views["test"].entries)) > 0.9


def test_refusals(source: ViewSource, data: Path, tmp_path: Path) -> None:
    views = open_views(source, data, "training")
    with pytest.raises(ConfigError, match="batch_size: expected a step of at most the 32 .*got 33 x 1"):
        train_peer(BrightPeer(), (views, None), settings(batch_size=33), tmp_path)
    for changes, message in (
        ({"epochs": 0}, "epochs: expected at least 1, got 0"),
        ({"val_interval": 0}, "val_interval: expected at least 1, got 0"),
        ({"flip": 1.5}, "flip, precision: expected 0 to 1 and bf16 or fp32, got 1.5 and 'bf16'"),
        ({"colour": 1}, "training: expected settings of TrainingSettings, got .*'colour'"),
    ):
        with pytest.raises(ConfigError, match=message):
            read_training_settings(changes)


def test_figures(data: Path, tmp_path: Path) -> None:
    entries: Sequence[Entry] = load_datalist(data, "test")[:4]  # left, left, right, right of an ill patient
    assert [entry.malignant for entry in entries] == [True, True, False, False]
    scores = np.array([0.9, np.nan, 0.6, 0.1])
    found = find_figures(to_cases(scores, entries), True, 0, 0)
    wanted = {"accuracy": 0.5, "f1": 0.5, "sensitivity": 0.5, "specificity": 0.5, "auc": 0.5}
    assert {name: interval.value for name, interval in found.items()} == wanted
    assert "auc" not in find_figures(to_cases(scores, entries), False, 0, 0)
    best = to_cases(np.array([0.9, 0.8, 0.2, 0.1]), entries)
    assert compare(best, to_cases(scores, entries), 0, 0).value == 0.5
    write_scores(tmp_path / "scores.csv", scores, entries)
    assert np.array_equal(read_scores(tmp_path / "scores.csv"), scores, equal_nan=True)
    text = (tmp_path / "scores.csv").read_text()
    assert hash_patient("test0") in text and "lump" not in text
