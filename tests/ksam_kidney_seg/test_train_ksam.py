"""Training as a config: discs are learned, an interrupted run resumes exactly, and every refusal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_ksam import BUNDLE, build_toy, draw_datalist, open_workflow, training_overrides

from common.errors import ClassifierError, ConfigError, InputError, find_refusal
from common.training.datalist import hash_patient
from common.training.run_keeper import RunKeeper
from ksam import train
from ksam.delta import read_delta
from ksam.loss import KnowledgeLoss
from ksam.material import TrainingMaterial
from ksam.prompts import save_task

SMALL = {"episodes": 8, "batch_size": 4, "camera": {}, "geometry": {}, "watch_interval": 2}


def run_training(**overrides: Any) -> list[dict[str, float]]:
    try:
        open_workflow("train.json", "train", **overrides).run()
    except RuntimeError as error:
        raise (find_refusal(error) or error) from error.__cause__
    return json.loads((Path(overrides["output_dir"]) / "history.json").read_text())


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], list[dict[str, float]]]:
    folder = tmp_path_factory.mktemp("training")
    other = draw_datalist(folder / "other", "others", (2, 1, 0), seed=5)
    overrides = training_overrides(folder, **SMALL, watch=[str(other)], tracker="tensorboard")
    return overrides, run_training(**overrides)


def test_config_can_be_examined_without_data(tmp_path: Path) -> None:
    network = {"_target_": "toy_ksam.build_toy"}
    workflow = open_workflow("train.json", "train", network_def=network, output_dir=tmp_path / "run")
    assert workflow.check_properties() == []
    assert not (tmp_path / "run").exists()


def test_history_holds_structures_and_watched_tasks(
    finished: tuple[dict[str, Any], list[dict[str, float]]],
) -> None:
    overrides, history = finished
    assert [row["epoch"] for row in history] == [1, 2, 3]
    assert all({"mean_dice", "dice_disc", "dice_cup", "loss"} <= set(row) for row in history)
    assert ["others_mean_dice" in row for row in history] == [False, True, False]
    mean = [(row["dice_disc"] + row["dice_cup"]) / 2 for row in history]
    assert [row["mean_dice"] for row in history] == pytest.approx(mean)
    assert list(overrides["output_dir"].glob("events.out.tfevents.*"))


def test_delta_says_what_it_was_trained_on(finished: tuple[dict[str, Any], list[dict[str, float]]]) -> None:
    overrides, history = finished
    delta = read_delta(overrides["output_dir"] / "delta.safetensors")
    best = max(history, key=lambda row: row["mean_dice"])
    assert delta.card.purpose == "research" and delta.card.version == str(best["epoch"])
    assert delta.card.training_data == "discs (licence: generated), 9 patients"
    assert delta.structures == ("disc", "cup")
    assert delta.state["bank.masks"].shape == (2, 2, 1, 32, 32)
    patients = json.loads(delta.notes["training_patients"])
    assert hash_patient("discs-training0") in patients and hash_patient("discs-test0") not in patients
    card = json.loads((overrides["output_dir"] / "delta.json").read_text())
    assert card["weights"]["sha256"] == delta.card.sha256 and card["validation"] == best


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
    assert [{k: v for k, v in row.items() if k != "seconds"} for row in whole] == [
        {k: v for k, v in row.items() if k != "seconds"} for row in resumed
    ]
    states = [
        torch.load(f / "checkpoint.pt")["network"] for f in (finished[0]["output_dir"], tmp_path / "run")
    ]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    with pytest.raises(ConfigError, match="resume: expected seed '0' as in checkpoint.pt, got '1'"):
        run_training(**overrides, resume=True, seed=1)
    with pytest.raises(ConfigError, match="expected no earlier run, got its checkpoint.pt"):
        run_training(**overrides)


def test_discs_are_learned_from_kept_features(tmp_path: Path) -> None:
    overrides = training_overrides(
        tmp_path, epochs=8, cache_features=2, episodes=24, val_interval=8, tasks_per_pair=2, clip_norm=1.0
    )
    history = run_training(**overrides | {"engine": "torch", "warmup_epochs": 1.0})
    assert history[-1]["mean_dice"] > 0.5 and history[-1]["loss"] < 0.8 * history[0]["loss"]
    assert (tmp_path / "run" / "features" / "embeddings.npy").is_file()


def test_the_last_weights_are_kept_where_that_is_asked_for(tmp_path: Path) -> None:
    overrides = training_overrides(tmp_path, **SMALL, keep="last", epochs=2, val_interval=5)
    run_training(**overrides)
    state = read_delta(overrides["output_dir"] / "delta.safetensors").state
    trained = torch.load(overrides["output_dir"] / "checkpoint.pt", weights_only=False)["network"]
    assert all(torch.equal(state[name].half(), value.half()) for name, value in trained.items())
    described = json.loads((overrides["output_dir"] / "delta.json").read_text())
    assert described["weights"]["version"] == "2" and "mean_dice" not in described["validation"]


def test_a_task_folder_becomes_the_bank_of_weights_trained_on_more(tmp_path: Path) -> None:
    overrides = training_overrides(tmp_path, **SMALL, keep="last", epochs=1)
    cup = TrainingMaterial(str(overrides["datalist"]), ["cup"], templates=3).task
    save_task(cup, tmp_path / "cup")
    run_training(**overrides, bank=str(tmp_path / "cup"))
    delta = read_delta(overrides["output_dir"] / "delta.safetensors")
    assert delta.structures == ("cup",) and delta.state["bank.masks"].shape == (1, 3, 1, 32, 32)
    described = json.loads((overrides["output_dir"] / "delta.json").read_text())
    assert described["templates"] == [template.id for template in cup.templates]
    with pytest.raises(InputError, match="none: expected .*, got"):
        run_training(**overrides | {"output_dir": tmp_path / "other"}, bank=str(tmp_path / "none"))
    assert not (tmp_path / "other" / "history.json").exists()


def test_what_is_kept_is_best_or_last(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="keep: expected one of best, last, got 'first': choose one"):
        run_training(**training_overrides(tmp_path, **SMALL, keep="first"))


def test_moving_to_another_task_keeps_the_patients(
    tmp_path: Path, finished: tuple[dict[str, Any], list[dict[str, float]]]
) -> None:
    first = finished[0]["output_dir"] / "delta.safetensors"
    network = {"_target_": "toy_ksam.build_toy", "delta": "@start_from"}
    overrides = training_overrides(tmp_path, **SMALL, epochs=1, start_from=first, network_def=network)
    overrides["datalist"] = draw_datalist(tmp_path / "second", "second", (2, 1, 0), seed=3)
    run_training(**overrides)
    delta = read_delta(tmp_path / "run" / "delta.safetensors")
    patients = json.loads(delta.notes["training_patients"])
    assert {hash_patient("discs-training0"), hash_patient("second-training0")} <= set(patients)


def test_a_loss_that_is_not_a_number_keeps_the_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = training_overrides(tmp_path, episodes=8, epochs=2)
    plain, calls = KnowledgeLoss.forward, []

    def diverge(loss: KnowledgeLoss, *tensors: Any) -> torch.Tensor:
        calls.append(1)
        return plain(loss, *tensors) * (float("nan") if len(calls) == 3 else 1.0)

    with monkeypatch.context() as patch:
        patch.setattr(KnowledgeLoss, "forward", diverge)
        with pytest.raises(ConfigError, match="expected a finite loss, got nan in epoch 2: lower it"):
            run_training(**overrides)
    kept = torch.load(tmp_path / "run" / "checkpoint.pt")
    assert [row["epoch"] for row in kept["keeper"]["history"]] == [1]
    assert all(value.isfinite().all() for value in kept["network"].values())
    assert (tmp_path / "run" / "delta.safetensors").is_file()


def edit_datalist(path: Path, **changes: Any) -> Path:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return path


def test_unusable_datalists_are_refused_at_once(tmp_path: Path) -> None:
    overrides = training_overrides(tmp_path)
    whole = json.loads(overrides["datalist"].read_text())
    with pytest.raises(InputError, match="expected a datalist, got no such file"):
        run_training(**overrides | {"datalist": tmp_path / "none.json"})
    with pytest.raises(InputError, match="watched.json: expected a datalist, got no such file"):
        run_training(**overrides, watch=[str(tmp_path / "watched.json")])
    edit_datalist(overrides["datalist"], training=[])
    with pytest.raises(InputError, match="expected cases under 'training', got none"):
        run_training(**overrides)
    both = [{**whole["validation"][0], "patient": whole["training"][0]["patient"]}]
    edit_datalist(overrides["datalist"], training=whole["training"], validation=both)
    with pytest.raises(InputError, match="expected every patient in one part, got 1 in several"):
        run_training(**overrides)
    assert not (tmp_path / "run" / "checkpoint.pt").exists()


def test_start_refuses_missing_weights(tmp_path: Path) -> None:
    with pytest.raises(ClassifierError, match="base: expected a file with weights, got 'none.pth'"):
        train.build_start("lite", str(tmp_path / "none.pth"))
    with pytest.raises(ClassifierError, match="start_from: expected a file with weights"):
        train.build_start("lite", __file__, str(tmp_path / "none.safetensors"))


def test_switches_reach_the_network() -> None:
    network = train.build_start("lite", pretrained=False, km=False, lora_rank=None, options={"pm_depth": 1})
    assert network.knowledge_merge is None and network.options.pm_depth == 1
    assert network.options.lora_rank == 0


def test_trained_network_needs_its_prior_and_device() -> None:
    with pytest.raises(ConfigError, match="loss_prior: expected a network with a similarity prior"):
        train.build_trained_network(build_toy(), "cpu", loss_prior=0.1)
    with pytest.raises(ConfigError, match="device: expected one that this machine has, got 'cuda:99'"):
        train.build_trained_network(build_toy(), "cuda:99")


@pytest.mark.slow
def test_two_processes_train_and_resume_alone(tmp_path: Path) -> None:
    overrides = training_overrides(tmp_path, episodes=16, epochs=2)
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
    subprocess.run(command, env=environment, check=True, timeout=600, capture_output=True)
    history = json.loads((tmp_path / "run" / "history.json").read_text())
    assert len(history) == 2 and all("dice_cup" in row for row in history)
    assert len(run_training(**overrides | {"epochs": 3}, resume=True)) == 3
