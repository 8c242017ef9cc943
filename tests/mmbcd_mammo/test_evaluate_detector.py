"""The detector's recall on patients kept aside, against boxes that are known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toy_mammo_training import SMALLEST_DETECTOR, draw_datalist, open_workflow

from common.errors import ConfigError, InputError
from common.networks.card import WeightsCard
from common.networks.focalnet_dino.build import build_focalnet_dino
from common.training.datalist import hash_patient
from mmbcd.datalist import load_datalist
from mmbcd.detector_data import DetectorMaterial
from mmbcd.detector_weights import save_detector
from mmbcd.evaluate_detector import DetectorEvaluator, format_recalls
from mmbcd.rois import RoiSet


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Three patients to be evaluated, and an untrained detector that saw one of another part."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("detector")
    datalist = draw_datalist(folder / "data", (1, 1, 3))
    seen = load_datalist(datalist, "training")[0].patient
    notes = {"training_patients": [hash_patient(seen)]}
    card = WeightsCard("toy", "1", "research", "generated")
    weights = folder / "detector.safetensors"
    save_detector(build_focalnet_dino("tiny", 1, **SMALLEST_DETECTOR), weights, card, (64, 64), notes=notes)
    return {"datalist": datalist, "detector_weights": weights, "rois": 4, "bootstrap": 50}


def build(trained: dict[str, Any], folder: Path, **changes: Any) -> DetectorEvaluator:
    material = DetectorMaterial(trained["datalist"], "all")
    return DetectorEvaluator(material, trained["detector_weights"], str(folder), rois=4, draws=200, **changes)


def test_the_config_writes_recalls_of_inference(trained: dict[str, Any], tmp_path: Path) -> None:
    workflow = open_workflow("evaluate_detector.json", "infer", **trained, output_dir=tmp_path)
    workflow.run()
    found = json.loads((tmp_path / "metrics.json").read_text())
    assert list(found["recall"]) == ["1", "2", "4"] and found["weights"]["name"] == "toy"
    assert "toy: research weights, not for diagnosis" in (tmp_path / "metrics.md").read_text()


def test_recall_by_hand(trained: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A detector that puts every lesion of the first patient first and those of the third one second."""
    evaluator = build(trained, tmp_path)
    entries = evaluator.material.load("test")
    lesions = {entry.image.name: np.array(evaluator.material.boxes_of(entry), float) for entry in entries}
    owners = {entry.image.name: entry.patient for entry in entries}
    ill = sorted({owners[name] for name, boxes in lesions.items() if len(boxes)})
    far = np.array([[0, 0, 1, 1]], float)

    def find(mammogram: Any) -> RoiSet:
        own = lesions[mammogram.name].reshape(-1, 4)
        order = [own, far] if owners[mammogram.name] == ill[0] else [far, own]
        boxes = np.concatenate(order)
        return RoiSet(boxes, np.linspace(1, 0.5, len(boxes)))

    monkeypatch.setattr(evaluator, "detector", find)
    content = evaluator.run()
    count = sum(len(boxes) for boxes in lesions.values())
    first = sum(len(boxes) for name, boxes in lesions.items() if owners[name] == ill[0])
    assert content["lesions"] == count and content["patients"] == len(ill) == 2
    assert content["recall"]["1"]["value"] == pytest.approx(first / count)
    assert content["recall"]["2"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert (content["recall"]["1"]["low"], content["recall"]["1"]["high"]) == (
        0,
        1,
    )  # one patient or the other
    assert "| 2 | 1.00 | 1.00 to 1.00 |" in format_recalls(content)


def test_patients_of_the_training_are_refused(trained: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected patients that toy was not trained on, got 1 of its own"):
        build(trained, tmp_path, part="training").run()
    assert not any(tmp_path.iterdir())
    content = build(trained, tmp_path, part="training", allow_training_patients=True).run()
    assert content["recall"]["1"]["low"] is None  # one patient has no interval


def test_refusals(trained: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="part: expected one of training, validation, test, got 'all'"):
        build(trained, tmp_path, part="all")
    with pytest.raises(ConfigError, match="hit_iou: expected above 0 up to 1, got 2"):
        build(trained, tmp_path, hit_iou=2)
