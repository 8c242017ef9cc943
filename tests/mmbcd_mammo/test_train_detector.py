"""Training of the detector: lesions reach it where they are, a run resumes exactly, recall by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toy_mammo_training import BOXES, SMALLEST_DETECTOR, draw_datalist, open_workflow, run_on_two_processes

from common.errors import ClassifierError, ConfigError, InputError, OutputError, find_refusal
from common.io.mammogram import read_mammogram
from common.networks.focalnet_dino.build import build_focalnet_dino
from common.training.run_keeper import RunKeeper
from mmbcd.breast_frame import prepare_breast
from mmbcd.datalist import load_datalist
from mmbcd.detector import build_detector
from mmbcd.detector_data import Breasts, DetectorMaterial, TrainingBreasts
from mmbcd.detector_training import LesionRecall, find_ranks
from mmbcd.detector_weights import read_detector
from mmbcd.train_detector import build_start

History = list[dict[str, float]]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def overrides_in(folder: Path, **changes: Any) -> dict[str, Any]:
    return {
        "datalist": draw_datalist(folder / "data", (4, 2, 0)),
        "output_dir": folder / "run",
        "network_options": SMALLEST_DETECTOR,
        "image_size": 64,
        "rois": 4,
        "learning_rate": 0.001,
        "epochs": 3,
        **changes,
    }


def run_training(**overrides: Any) -> History:
    try:
        open_workflow("train_detector.json", "train", **overrides).run()
    except RuntimeError as error:
        raise (find_refusal(error) or error) from error.__cause__
    return json.loads((Path(overrides["output_dir"]) / "history.json").read_text())


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], History]:
    overrides = overrides_in(tmp_path_factory.mktemp("detector"))
    return overrides, run_training(**overrides)


def test_a_run_leaves_a_detector_that_inference_takes(finished: tuple[dict[str, Any], History]) -> None:
    overrides, history = finished
    assert [row["epoch"] for row in history] == [1, 2, 3]
    assert all({"mean_recall", "recall_at_1", "recall_at_2", "recall_at_4"} <= set(row) for row in history)
    path = overrides["output_dir"] / "detector.safetensors"
    trained = read_detector(path)
    assert trained.image_size == (64, 64) and trained.card.purpose == "research"
    assert trained.card.training_data == "breasts (licence: generated), 6 patients"
    assert len(trained.notes["training_patients"]) == 6 and trained.notes["lesions"] == "malignant"
    picture = overrides["datalist"].parent / "training0_L_CC.png"
    found = build_detector(path, k=4)(read_mammogram(picture, "L", "CC"))
    assert 1 <= len(found) <= 4


def test_the_config_has_what_monai_asks_for(tmp_path: Path, finished: tuple[dict[str, Any], History]) -> None:
    overrides = finished[0] | {"output_dir": tmp_path / "run"}
    workflow = open_workflow("train_detector.json", "train", **overrides)
    assert workflow.check_properties() == [] and not (tmp_path / "run").exists()


@pytest.mark.slow
def test_two_processes_train_the_detector(tmp_path: Path) -> None:
    overrides = overrides_in(tmp_path, epochs=1)
    run_on_two_processes("train_detector.json", overrides)
    assert read_detector(tmp_path / "run" / "detector.safetensors").card.version == "1"
    assert len(run_training(**overrides | {"epochs": 2}, resume=True)) == 2


def test_an_interrupted_run_resumes_exactly(
    tmp_path: Path, finished: tuple[dict[str, Any], History], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, whole = finished
    overrides = first | {"output_dir": tmp_path / "run", "cache_dir": first["output_dir"] / "breasts"}
    begin = RunKeeper._start_epoch

    def interrupt(keeper: RunKeeper, trainer: Any) -> None:
        if trainer.state.epoch == 3:
            raise KeyboardInterrupt
        begin(keeper, trainer)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(RunKeeper, "_start_epoch", interrupt)
        run_training(**overrides)
    torch.manual_seed(99)
    resumed = run_training(**overrides, resume=True)
    assert [{k: v for k, v in row.items() if k != "seconds"} for row in whole] == [
        {k: v for k, v in row.items() if k != "seconds"} for row in resumed
    ]


def test_the_trainer_sees_what_inference_sees(tmp_path: Path) -> None:
    material = DetectorMaterial(draw_datalist(tmp_path / "d", (2, 2, 0)))
    breasts = Breasts(lambda: material.training, material.boxes_of, 64, tmp_path / "kept")
    entry = breasts.entries[0]
    mammogram = read_mammogram(entry.image, "L", "CC")
    image, mask, frame = prepare_breast(mammogram.pixels, mammogram.breast_px, (64, 64))
    sample = breasts.sample(0)
    torch.testing.assert_close(sample["image"], image, atol=1e-4, rtol=0)
    assert torch.equal(sample["mask"], mask)
    assert frame.to_pixels(sample["target"]["boxes"].numpy()) == pytest.approx(np.array([BOXES[0]]), abs=1e-3)
    rows, columns = frame.seen_px
    mirrored = breasts.sample(0, mirrored=True)
    torch.testing.assert_close(
        mirrored["image"][:, :rows, :columns].flip(2), sample["image"][:, :rows, :columns]
    )
    assert mirrored["target"]["boxes"][0, 0] == pytest.approx(1 - float(sample["target"]["boxes"][0, 0]))
    training = TrainingBreasts(breasts, 1.0)
    assert torch.equal(training[len(breasts)]["image"], mirrored["image"])


def test_which_boxes_are_lesions(tmp_path: Path) -> None:
    path = draw_datalist(tmp_path / "d", (2, 2, 0))
    content = json.loads(path.read_text())
    content["training"][2]["boxes"] = [[1, 2, 3, 4]]  # of a healthy breast
    content["training"][3]["boxes"] = None
    content["training"][0]["boxes"] = None  # malignant, and nobody drew
    path.write_text(json.dumps(content))
    malignant, every = DetectorMaterial(path), DetectorMaterial(path, "all")
    assert [len(malignant.boxes_of(e) or ()) for e in malignant.training] == [1, 0, 0, 0, 0, 0, 0]
    assert [len(every.boxes_of(e) or ()) for e in every.training] == [1, 1, 0, 0, 0, 0]
    with pytest.raises(ConfigError, match="lesions: expected one of malignant, all, got 'benign'"):
        DetectorMaterial(path, "benign")
    for row in content["training"]:
        row["boxes"] = []
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match="expected mammograms with boxes of lesions, got none among 8"):
        DetectorMaterial(path).training  # noqa: B018


def test_ranks_by_hand() -> None:
    boxes = np.array([[0, 0, 10, 10], [20, 20, 30, 30], [40, 40, 50, 50]], float)
    lesions = np.array([[20, 20, 30, 32], [0, 8, 10, 18], [40, 40, 50, 50]], float)
    # overlaps of 100/120, 20/180 and all of it
    missed = int(np.iinfo(np.int32).max)
    assert find_ranks(boxes, lesions) == [1, missed, 2]
    assert find_ranks(boxes, lesions, 0.1) == [1, 0, 2]
    assert find_ranks(boxes[:0], lesions[:1]) == [missed] and find_ranks(boxes, lesions[:0]) == []


def test_recall_by_hand(tmp_path: Path) -> None:
    """One lesion is the second best box, one is not found: recall 0 at one box, 1/2 from two on."""
    path = draw_datalist(tmp_path / "d", (1, 1, 0))
    breasts = Breasts(
        lambda: load_datalist(path, "validation")[:2], lambda entry: entry.boxes, 64, tmp_path / "kept"
    )
    recall = LesionRecall(breasts, 4, 0.1)
    target = torch.from_numpy(breasts.targets(0)).float()[0]
    far, small = target.clone(), target.clone()
    far[:2] = 0.75
    small[2:] = 0.01
    boxes = torch.stack([torch.stack([far, target, far]), torch.stack([far, small, far])])
    logits = torch.tensor([[[2.0], [1.0], [-9.0]], [[2.0], [1.0], [-9.0]]])
    recall.update((boxes, logits, torch.tensor([0, 1])))
    expected = {"mean_recall": 1 / 3, "recall_at_1": 0.0, "recall_at_2": 0.5, "recall_at_4": 0.5}
    assert recall.compute() == pytest.approx(expected)
    entries = breasts.entries
    breasts.boxes_of = lambda entry: [*entry.boxes, (60, 60, 63, 63)] if entry is entries[0] else entry.boxes
    recall.update((boxes, logits, torch.tensor([0, 1])))  # a lesion outside of the breast is missed, too
    assert recall.compute()["recall_at_4"] == pytest.approx(1 / 3)
    recall.reset()
    assert recall.found == {}
    with pytest.raises(ConfigError, match="hit_iou: expected above 0 up to 1, got 0"):
        LesionRecall(breasts, hit_iou=0)


def test_patients_of_the_weights_it_started_from_stay_known(
    tmp_path: Path, finished: tuple[dict[str, Any], History]
) -> None:
    path = finished[0]["output_dir"] / "detector.safetensors"
    other = draw_datalist(tmp_path / "data", (4, 2, 0))
    other.write_text(other.read_text().replace('"training', '"again').replace('"again"', '"training"'))
    for image in (tmp_path / "data").glob("training*.png"):
        image.rename(image.with_name(image.name.replace("training", "again")))
    run_training(**finished[0] | {"datalist": other, "output_dir": tmp_path, "epochs": 1, "start_from": path})
    known = set(read_detector(path).training_patients)
    assert known < set(read_detector(tmp_path / "detector.safetensors").training_patients)


def test_starts_and_refusals(tmp_path: Path, finished: tuple[dict[str, Any], History]) -> None:
    path = finished[0]["output_dir"] / "detector.safetensors"
    again = build_start("tiny", str(path), options=SMALLEST_DETECTOR)
    own = read_detector(path).state
    assert all(torch.equal(value, own[name]) for name, value in again.state_dict().items())
    with pytest.raises(ConfigError, match="size: expected the sizes that run was trained with, got others"):
        build_start("tiny", str(path))
    with pytest.raises(ClassifierError, match="start_from: expected a file with weights, got 'none.pth'"):
        build_start("tiny", str(tmp_path / "none.pth"))
    other = build_focalnet_dino("tiny", 3, **SMALLEST_DETECTOR)
    torch.save(other.state_dict(), tmp_path / "coco.pth")
    moved = build_start("tiny", str(tmp_path / "coco.pth"), options=SMALLEST_DETECTOR)
    assert torch.equal(moved.level_embed, other.level_embed) and moved.sizes.num_classes == 1
    with pytest.raises(ConfigError, match="image_size: expected rows and columns as multiples of 32"):
        Breasts(list, lambda entry: None, 50, tmp_path)
    with pytest.raises(ConfigError, match="flip: expected 0 to 1, got 2"):
        TrainingBreasts(Breasts(list, lambda entry: None, 64, tmp_path), 2)
    (tmp_path / "file").touch()
    path = draw_datalist(tmp_path / "d", (1, 1, 0))
    blocked = Breasts(lambda: load_datalist(path, "training"), lambda e: e.boxes, 64, tmp_path / "file")
    with pytest.raises(OutputError, match="expected a writable place|expected room for breasts"):
        blocked.prepare()
