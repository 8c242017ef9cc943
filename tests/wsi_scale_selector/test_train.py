"""Training end to end on colours, exact resumption, and the parts by hand."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toy_training import (
    BUNDLE,
    COLORS,
    SLIDE_MPP,
    draw_slides,
    open_workflow,
    training_overrides,
    write_classifier,
)

from common.errors import ClassifierError, find_refusal
from common.training.run_keeper import RunKeeper
from scale_selector import train
from scale_selector.classifier import load_classifier_spec
from scale_selector.data import hash_group
from scale_selector.network import build_network


def run_training(**overrides: Any) -> list[dict[str, float]]:
    open_workflow("train.json", "train", **overrides).run()
    return json.loads((Path(overrides["output_dir"]) / "history.json").read_text())


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], list[dict[str, float]]]:
    overrides = training_overrides(tmp_path_factory.mktemp("training"))
    return overrides, run_training(**overrides)


def test_config_has_all_properties(tmp_path: Path) -> None:
    assert open_workflow("train.json", "train", **training_overrides(tmp_path)).check_properties() == []


def test_colours_are_learned(finished: tuple[dict[str, Any], list[dict[str, float]]]) -> None:
    overrides, history = finished
    assert [row["epoch"] for row in history] == [1, 2, 3]
    assert max(row["mean_accuracy"] for row in history) == 1.0 and history[2]["loss"] < history[0]["loss"]
    network = build_network(overrides["output_dir"] / "classifier.json")
    patches = torch.tensor(np.array(list(COLORS.values())), dtype=torch.float32)
    logits = network(patches[:, :, None, None].expand(-1, -1, 16, 16))
    assert logits.argmax(1).tolist() == [0, 1]


def test_result_says_what_it_was_trained_on(finished: tuple[dict[str, Any], list[dict[str, float]]]) -> None:
    spec = load_classifier_spec(finished[0]["output_dir"] / "classifier.json")
    assert spec.name == "run" and spec.training_mpp == 0.5 and spec.expected_sha256 == spec.weights_sha256
    assert spec.reference and spec.reference["training_groups"] == sorted(
        hash_group(f"slide{number}") for number in range(4)
    )
    assert list(spec.reference["margin_quantiles"]) == ["0.05", "0.25", "0.5", "0.95"]


def test_margins_are_those_of_the_validation_patches(tmp_path: Path) -> None:
    overrides = training_overrides(tmp_path) | {"epochs": 1}
    workflow = open_workflow("train.json", "train", **overrides)
    workflow.run()
    network = build_network(tmp_path / "run" / "classifier.json")
    images = torch.stack([item["image"] for item in workflow.val_dataset]).float()
    with torch.no_grad():
        distances = network.features(images) @ network.weight / network.weight.norm(dim=0)
    expected = np.quantile(distances.amax(1).numpy(), [0.05, 0.25, 0.5, 0.95])
    written = load_classifier_spec(tmp_path / "run" / "classifier.json").reference["margin_quantiles"]
    assert list(written.values()) == pytest.approx(expected.tolist(), abs=1e-4)


def test_an_interrupted_run_resumes_exactly(
    tmp_path: Path, finished: tuple[dict[str, Any], list[dict[str, float]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides, whole = finished
    overrides = overrides | {"output_dir": tmp_path / "run"}
    begin = RunKeeper._start_epoch

    def interrupt(keeper: RunKeeper, trainer: Any) -> None:
        if trainer.state.epoch == 3:
            raise KeyboardInterrupt
        begin(keeper, trainer)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(RunKeeper, "_start_epoch", interrupt)
        run_training(**overrides)
    torch.manual_seed(99)  # what happened in between does not matter
    resumed = run_training(**overrides, resume=True)
    for one, other in zip(whole, resumed, strict=True):
        assert {k: v for k, v in one.items() if k != "seconds"} == {
            k: v for k, v in other.items() if k != "seconds"
        }
    states = [
        torch.load(f / "checkpoint.pt")["network"] for f in (finished[0]["output_dir"], tmp_path / "run")
    ]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_new_labels_give_a_new_head(tmp_path: Path) -> None:
    overrides = training_overrides(tmp_path)
    labels = [{"value": 0, "name": "green"}, {"value": 1, "name": "red"}, {"value": 2, "name": "blue"}]
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    run_training(**overrides | {"epochs": 1, "labels": str(tmp_path / "labels.json")})
    spec = load_classifier_spec(tmp_path / "run" / "classifier.json")
    assert spec.label_names == ("green", "red", "blue") and spec.arguments == {"num_classes": 3}
    assert build_network(spec).weight.shape == (8, 3)


def test_fine_tuning_starts_from_the_weights(finished: tuple[dict[str, Any], list[dict[str, float]]]) -> None:
    trained = finished[0]["output_dir"] / "classifier.json"
    overrides = finished[0] | {
        "classifier": trained,
        "output_dir": trained.parent / "next",
        "pretrained": True,
    }
    history = run_training(**overrides | {"epochs": 1, "learning_rate": 1e-6})
    assert history[0]["mean_accuracy"] == 1.0


def test_frozen_features_do_not_move(tmp_path: Path) -> None:
    workflow = open_workflow("train.json", "train", **training_overrides(tmp_path), freeze_features=True)
    before = {k: v.clone() for k, v in workflow.network_def.state_dict().items()}
    workflow.run()
    after = workflow.network_def.state_dict()
    assert {key for key in before if not torch.equal(before[key], after[key])} == {"weight", "bias"}


def test_early_stop(tmp_path: Path) -> None:
    history = run_training(**training_overrides(tmp_path) | {"epochs": 30, "patience": 2})
    accuracies = [row["mean_accuracy"] for row in history]
    assert len(history) < 30 and len(history) - 1 - accuracies.index(max(accuracies)) == 2


def test_validation_now_and_then_and_tensorboard(tmp_path: Path) -> None:
    history = run_training(**training_overrides(tmp_path) | {"val_interval": 2, "tensorboard": True})
    assert ["mean_accuracy" in row for row in history] == [False, True, False]
    assert list((tmp_path / "run").glob("events.out.tfevents.*"))


def test_folder_of_another_run(
    tmp_path: Path, finished: tuple[dict[str, Any], list[dict[str, float]]]
) -> None:
    with pytest.raises(RuntimeError) as caught:
        run_training(**finished[0])
    assert "expected no earlier run, got its checkpoint.pt" in str(caught.value.__cause__)
    with pytest.raises(RuntimeError) as caught:
        run_training(**training_overrides(tmp_path), resume=True)
    assert "resume: expected checkpoint.pt in output_dir, got none" in str(caught.value.__cause__)


def test_resume_of_another_classifier(tmp_path: Path) -> None:
    overrides = training_overrides(tmp_path) | {"epochs": 1}
    run_training(**overrides)
    other = write_classifier(
        tmp_path, network={"source": "module", "name": "toy_training.LongNetwork", "args": {}}
    )
    with pytest.raises(RuntimeError) as caught:
        run_training(**overrides | {"classifier": other, "epochs": 2}, resume=True)
    assert "resume: expected a checkpoint.pt of the same network" in str(find_refusal(caught.value))


def test_a_loss_that_explodes(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError) as caught:
        run_training(**training_overrides(tmp_path) | {"learning_rate": 1e30, "warmup_epochs": 0.0})
    assert "learning_rate: expected a finite loss" in str(find_refusal(caught.value))


def test_classes_without_patches_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    names = [{"value": 0, "name": "red"}, {"value": 1, "name": "green"}, {"value": 2, "name": "blue"}]
    classifier = write_classifier(tmp_path, labels=names)
    data = draw_slides(tmp_path / "data", 3)
    with caplog.at_level(logging.WARNING):
        train.build_material(str(classifier), str(data), "x20", None, {}, 0, 0.3, None, slide_mpp=SLIDE_MPP)
    assert "no training patches of: blue" in caplog.text


def test_batch_larger_than_an_epoch(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError) as caught:
        run_training(**training_overrides(tmp_path) | {"batch_size": 1000})
    assert "batch_size: expected 1 to the" in str(caught.value.__cause__)


def test_mean_class_accuracy_by_hand() -> None:
    assert train.mean_class_accuracy(torch.tensor([[8, 2, 0], [5, 5, 0], [0, 0, 0]])) == pytest.approx(0.65)


def test_torchscript_cannot_be_trained_for_new_labels(tmp_path: Path) -> None:
    path = write_classifier(tmp_path, network={"source": "torchscript"})
    labels = tmp_path / "labels.json"
    labels.write_text(json.dumps([{"value": 0, "name": "a"}, {"value": 1, "name": "b"}]))
    with pytest.raises(ClassifierError, match="got a TorchScript file"):
        train.build_material(str(path), str(tmp_path), "x20", str(labels), {}, 0, 0.2, None)


@pytest.mark.slow
def test_two_processes_learn_the_colours_and_resume_alone(tmp_path: Path) -> None:
    overrides = training_overrides(tmp_path)
    configs = [str(BUNDLE / "configs" / name) for name in ("train.json", "multi_gpu_train.json")]
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc_per_node=2",
        "-m",
        "monai.bundle",
        "run",
    ]
    command += ["--config_file", str(configs), "--bundle_root", str(BUNDLE), "--backend", "gloo"]
    for key, value in overrides.items():
        command += [f"--{key}", str(value)]
    paths = [str(BUNDLE), str(Path(__file__).parents[1] / "support"), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    subprocess.run(command, env=environment, check=True, timeout=300, capture_output=True)
    history = json.loads((tmp_path / "run" / "history.json").read_text())
    assert len(history) == 3 and max(row["mean_accuracy"] for row in history) == 1.0
    assert len(run_training(**overrides | {"epochs": 4}, resume=True)) == 4
