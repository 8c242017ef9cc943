"""Samples of training and their figures by hand: masks, order, loss, validation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from toy_mammo_training import BOXES, OPTIONS, draw_datalist

from mmbcd.datalist import load_datalist
from mmbcd.fusion import MmbcdOutput
from mmbcd.network import build_mmbcd
from mmbcd.regions import build_regions
from mmbcd.samples import clean_history, describe_regions
from mmbcd.training_data import EpochSampler, Samples, TrainingSamples
from mmbcd.training_network import MalignancyLoss, PrepareBatch, TrainingInferer, TrainingNetwork
from mmbcd.validation import ValidationAuc


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_datalist(tmp_path_factory.mktemp("samples") / "data", (4, 2, 0))


@pytest.fixture(scope="module")
def samples(data: Path) -> Samples:
    options: dict[str, Any] = OPTIONS | {"mask_rate": 1.0, "mask_words": 20, "rois": 4}
    network = build_mmbcd(text_folder=data.parent / "text", vision="tiny", text="tiny", **options)
    regions = build_regions(boxes=data.parent / "boxes.json", rois=4)
    return Samples(lambda: load_datalist(data, "training"), network, regions, data.parent / "kept")


def test_a_sample_is_what_was_cut(samples: Samples) -> None:
    sample = samples[0]
    assert sample["rois"].shape == (4, 3, 16, 16) and sample["roi_mask"].tolist() == [True] * 3 + [False]
    assert not sample["rois"][3].any() and (sample["label"], sample["number"]) == (1, 0)
    assert samples.store[0].boxes_px.tolist() == [list(map(float, box)) for box in BOXES]
    empty = samples[[entry.image.name for entry in samples.entries].index("training1_R_CC.png")]
    assert not empty["roi_mask"].any() and not empty["rois"].any()
    mirrored = samples.sample(0, (True, False))["rois"]
    assert torch.equal(mirrored.flip(2), sample["rois"]) and not torch.equal(mirrored, sample["rois"])


def test_histories_are_those_of_the_breast(samples: Samples) -> None:
    left, right = samples.entries[0], samples.entries[2]
    assert left.laterality == "L" and right.laterality == "R" and left.history == right.history
    assert "lump" in clean_history(left) and clean_history(right) == ""
    assert clean_history(left.with_history("  lump\x07 in the   left breast ")) == "lump in the left breast"
    assert clean_history(left.with_history(None)) == ""


def test_an_index_is_the_same_sample_everywhere(samples: Samples) -> None:
    training = TrainingSamples(samples, 0.5, seed=3)
    first, again, later = training[5], TrainingSamples(samples, 0.5, seed=3)[5], training[5 + 16 * 7]
    assert torch.equal(first["rois"], again["rois"]) and first["history"] == again["history"]
    assert later["number"] == first["number"] == 5
    flipped = {tuple(training[16 * n]["rois"][0, 0, 0].tolist()) for n in range(12)}
    assert len(flipped) > 1


def test_relevant_words_are_masked_in_training_only(samples: Samples) -> None:
    training = TrainingSamples(samples)
    assert training.mask is not None and "lump" in training.mask.words
    masked = training[0]["history"]
    assert "<mask>" in masked and not set(training.mask.words) & set(masked.lower().split())
    assert "<mask>" not in samples[0]["history"]


def test_every_mammogram_once_in_an_epoch(samples: Samples) -> None:
    sampler = EpochSampler(TrainingSamples(samples), seed=1)
    epochs = []
    for epoch in (0, 1):
        sampler.set_epoch(epoch)
        epochs.append(list(sampler))
        assert sorted(index % 16 for index in epochs[-1]) == list(range(16)) and len(sampler) == 16
    assert not set(epochs[0]) & set(epochs[1])
    assert [i % 16 for i in epochs[0]] != [i % 16 for i in epochs[1]]


def test_processes_share_an_epoch(samples: Samples, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for rank in range(3):
        monkeypatch.setattr("mmbcd.training_data.process_place", lambda rank=rank: (rank, 3))
        found.append(list(EpochSampler(TrainingSamples(samples))))
    assert [len(part) for part in found] == [5, 5, 5]
    assert len({index for part in found for index in part}) == 15


def test_the_network_in_training_is_the_network(samples: Samples) -> None:
    rows = [samples[number] for number in (0, 4)]
    batch = {
        "rois": torch.stack([row["rois"] for row in rows]),
        "roi_mask": torch.stack([row["roi_mask"] for row in rows]),
        "history": [row["history"] for row in rows],
        "label": torch.tensor([row["label"] for row in rows]),
    }
    network = samples.network.eval()
    inputs, labels, _, given = PrepareBatch(network)(batch, torch.device("cpu"))
    assert labels.tolist() == [1, 0] and given["has_history"].tolist() == [bool(t) for t in batch["history"]]
    found = TrainingInferer("fp32")(inputs, TrainingNetwork(network), **given)
    torch.testing.assert_close(found.logits, network(inputs.transpose(1, 2), **given))
    kept = network.encode_rois(inputs.transpose(1, 2))
    again = TrainingNetwork(network)(kept, **given)
    torch.testing.assert_close(again.logits, found.logits)


def test_loss_by_hand() -> None:
    """Weighted cross-entropy is a weighted mean; the picture's part is added."""
    logits, alone = torch.tensor([[0.0, 1.0], [0.0, 0.0]]), torch.tensor([[2.0, 0.0], [0.0, 0.0]])
    labels = torch.tensor([1, 0])
    output = MmbcdOutput(logits, alone, torch.ones(2, 1))
    each = torch.stack([-logits.log_softmax(1)[0, 1], -logits.log_softmax(1)[1, 0]])
    own = -torch.stack([alone.log_softmax(1)[0, 1], alone.log_softmax(1)[1, 0]])
    expected = (3 * each[0] + each[1]) / 4 + 0.5 * (3 * own[0] + own[1]) / 4
    assert float(MalignancyLoss(3.0, 0.5)(output, labels)) == pytest.approx(float(expected))
    without_text = MmbcdOutput(logits, logits, torch.ones(2, 1))
    plain = F.cross_entropy(logits, labels)
    assert float(MalignancyLoss()(without_text, labels)) == pytest.approx(float(plain))


def test_validation_by_hand(data: Path) -> None:
    """The malignant breast's views score 0.9 and 0.2, all others 0.5: half of the pairs, every breast."""
    entries = load_datalist(data, "validation")
    scores = np.full(len(entries), 0.5)
    malignant = [number for number, entry in enumerate(entries) if entry.malignant]
    scores[malignant] = (0.9, 0.2)
    margins = torch.tensor(np.log(scores / (1 - scores)), dtype=torch.float32)
    logits = torch.stack([torch.zeros_like(margins), margins], 1)
    metric = ValidationAuc(lambda: entries)
    metric.update((logits[:3], -logits[:3], torch.arange(3)))
    metric.update((logits[3:], -logits[3:], torch.arange(3, len(entries))))
    found = metric.compute()
    assert found["auc"] == pytest.approx(0.5) and found["auc_breast"] == 1.0
    assert found["auc_image_only"] == pytest.approx(0.5)
    labels = torch.tensor([int(entry.malignant) for entry in entries])
    assert found["val_loss"] == pytest.approx(float(F.cross_entropy(logits, labels)), rel=1e-5)
    metric.reset()
    assert metric.found == {}


def test_regions_are_described_by_their_boxes(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "boxes.json"
    content = json.loads((data.parent / "boxes.json").read_text())
    described = []
    for shift in (0, 0, 1):
        content["annotations"][0]["bbox"][0] += shift
        path.write_text(json.dumps(content))
        described.append(describe_regions(build_regions(boxes=path)))
    assert described[0] == described[1] != described[2] and "engine" not in described[0]
