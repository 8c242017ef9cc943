"""Training as a config: it learns, an interrupted run resumes exactly, and every refusal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_mammo_training import open_workflow, run_on_two_processes, training_overrides

from common.errors import ConfigError, InputError, find_refusal
from common.training.datalist import hash_patient
from common.training.run_keeper import RunKeeper
from mmbcd import train
from mmbcd.training_network import TrainingNetwork
from mmbcd.weights import read_weights

History = list[dict[str, float]]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def run_training(**overrides: Any) -> History:
    try:
        open_workflow("train.json", "train", **overrides).run()
    except RuntimeError as error:
        raise (find_refusal(error) or error) from error.__cause__
    return json.loads((Path(overrides["output_dir"]) / "history.json").read_text())


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], History]:
    overrides = training_overrides(tmp_path_factory.mktemp("training"))
    return overrides, run_training(**overrides)


def test_the_config_has_what_monai_asks_for(tmp_path: Path, finished: tuple[dict[str, Any], History]) -> None:
    workflow = open_workflow("train.json", "train", **finished[0] | {"output_dir": tmp_path / "run"})
    assert workflow.check_properties() == [] and not (tmp_path / "run").exists()


def test_history_holds_the_figures_of_validation(finished: tuple[dict[str, Any], History]) -> None:
    _, history = finished
    assert [row["epoch"] for row in history] == [1, 2, 3]
    figures = {"auc", "auc_breast", "auc_image_only", "val_loss", "loss", "learning_rate", "seconds"}
    assert all(figures <= set(row) for row in history)
    assert all(0 <= row["auc"] <= 1 for row in history)
    assert history[1]["learning_rate"] > history[2]["learning_rate"]


def test_weights_say_what_they_were_trained_on(finished: tuple[dict[str, Any], History]) -> None:
    overrides, history = finished
    trained = read_weights(overrides["output_dir"] / "mmbcd.safetensors")
    best = max(history, key=lambda row: row["auc"])
    assert trained.card.purpose == "research" and trained.card.version == str(best["epoch"])
    assert trained.card.training_data == "breasts (licence: generated; synthetic histories), 14 patients"
    patients = trained.notes["training_patients"]
    assert hash_patient("training0") in patients and hash_patient("test0") not in patients
    assert trained.notes["regions"]["purpose"] == "given" and trained.notes["validation"] == best
    assert "lump" not in json.dumps(trained.notes)
    assert train.read_training_patients(str(overrides["output_dir"] / "mmbcd.safetensors")) == patients
    assert train.read_training_patients(None) == []


def test_an_interrupted_run_resumes_exactly(
    tmp_path: Path, finished: tuple[dict[str, Any], History], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, whole = finished
    overrides = first | {"output_dir": tmp_path / "run", "cache_dir": first["output_dir"] / "regions"}
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
    states = [torch.load(f / "checkpoint.pt")["network"] for f in (first["output_dir"], tmp_path / "run")]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    with pytest.raises(ConfigError, match="resume: expected seed '0' as in checkpoint.pt, got '1'"):
        run_training(**overrides, resume=True, seed=1)
    with pytest.raises(ConfigError, match="expected no earlier run, got its checkpoint.pt"):
        run_training(**overrides)


def test_kept_features_of_a_frozen_encoder_learn(tmp_path: Path) -> None:
    overrides = training_overrides(
        tmp_path, {"frozen_blocks": 4, "mask_rate": 0.0}, cache_features=True, epochs=12, learning_rate=0.01
    )
    history = run_training(**overrides)
    assert (tmp_path / "run" / "regions" / "training" / "features.npy").is_file()
    assert history[-1]["auc"] > 0.8 and history[-1]["loss"] < 0.8 * history[0]["loss"]
    trained = read_weights(tmp_path / "run" / "mmbcd.safetensors")
    assert not any(name.startswith(("vision", "text")) for name in trained.state)


def test_going_on_keeps_the_patients(tmp_path: Path, finished: tuple[dict[str, Any], History]) -> None:
    first = finished[0]["output_dir"] / "mmbcd.safetensors"
    overrides = finished[0] | {"output_dir": tmp_path / "run", "start_from": first, "epochs": 1}
    overrides |= {"cache_dir": finished[0]["output_dir"] / "regions"}
    content = json.loads(finished[0]["datalist"].read_text())
    for part in ("training", "validation"):
        for row in content[part]:
            row["patient"] = f"other-{row['patient']}"
    second = finished[0]["datalist"].with_name("second.json")
    second.write_text(json.dumps(content))
    run_training(**overrides | {"datalist": second})
    patients = train.read_training_patients(str(tmp_path / "run" / "mmbcd.safetensors"))
    assert {hash_patient("training0"), hash_patient("other-training0")} <= set(patients)


def test_unusable_settings_and_datalists_are_refused(tmp_path: Path) -> None:
    overrides = training_overrides(tmp_path)
    for changes, error, message in (
        ({"datalist": tmp_path / "none.json"}, InputError, "expected a datalist, got no such file"),
        ({"boxes": None, "detector_weights": None}, ConfigError, "expected detector_weights or boxes"),
        ({"cache_features": True}, ConfigError, "cache_features: expected a frozen vision encoder"),
        ({"batch_size": 0}, ConfigError, "batch_size: expected 1 or more mammograms, got 0"),
        ({"batch_size": 99}, ConfigError, "batch_size: expected 1 to the 32 mammograms of an epoch, got 99"),
        ({"flip": 1.5}, ConfigError, "flip: expected 0 to 1, got 1.5"),
        ({"loss_image": -1.0}, ConfigError, "loss: expected positive above 0 and image from 0 on"),
        ({"device": "cuda:99"}, ConfigError, "device: expected one that this machine has, got 'cuda:99'"),
    ):
        with pytest.raises(error, match=message):
            run_training(**overrides | changes)
    content = json.loads(overrides["datalist"].read_text())
    healthy = [row for row in content["validation"] if not row["malignant"]]
    overrides["datalist"].write_text(json.dumps(content | {"validation": healthy}))
    with pytest.raises(InputError, match="validation: expected malignant and other images, got 0 malignant"):
        run_training(**overrides)
    assert not (tmp_path / "run" / "checkpoint.pt").exists()


def test_encoders_have_a_rate_of_their_own() -> None:
    network = train.build_start("default", pretrained=False, vision="tiny", use_text=False, frozen_blocks=2)
    plain = train.build_trained_network(TrainingNetwork(network), "cpu")
    optimizer = train.build_optimizer(
        plain, network, 0.1, name="adam", learning_rate=1e-3, weight_decay=0.0, betas=(0.9, 0.99)
    )
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    for name, parameter in network.named_parameters():
        expected = None if not parameter.requires_grad else 1e-4 if name.startswith("vision") else 1e-3
        assert rates.get(id(parameter)) == (None if expected is None else pytest.approx(expected)), name


@pytest.mark.slow
def test_two_processes_train_and_one_goes_on(tmp_path: Path) -> None:
    overrides = training_overrides(tmp_path, epochs=2, batch_size=4)
    run_on_two_processes("train.json", overrides)
    history = json.loads((tmp_path / "run" / "history.json").read_text())
    assert len(history) == 2 and all("auc_breast" in row for row in history)
    assert len(run_training(**overrides | {"epochs": 3}, resume=True)) == 3
