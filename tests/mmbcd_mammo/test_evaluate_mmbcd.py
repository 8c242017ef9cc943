"""Evaluation as a config: figures, calibration that inference takes, histories that are taken away."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_mammo_training import OPTIONS, draw_datalist, open_workflow

from common.errors import ConfigError, InputError, find_refusal
from common.networks.card import WeightsCard
from common.networks.focalnet_dino.build import build_focalnet_dino
from common.training.datalist import hash_patient
from mmbcd.calibration import Scoring, read_calibration
from mmbcd.datalist import load_datalist
from mmbcd.detector_weights import save_detector
from mmbcd.evaluate import EvaluationMaterial, refuse_training_patients
from mmbcd.network import build_mmbcd
from mmbcd.weights import save_weights


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Overrides of an evaluation of weights that were never trained."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("evaluation")
    path = draw_datalist(folder / "data")
    network = build_mmbcd(text_folder=path.parent / "text", vision="tiny", text="tiny", rois=3, **OPTIONS)
    notes = {"training_patients": [hash_patient("training0")]}
    card = WeightsCard("toy", "1", "demonstration", "generated")
    save_weights(network, folder / "mmbcd.safetensors", card, notes=notes)
    return {
        "datalist": path,
        "weights": folder / "mmbcd.safetensors",
        "boxes": path.parent / "boxes.json",
        "text_folder": path.parent / "text",
        "rois": 3,
        "cache_dir": folder / "regions",
        "bootstrap": 20,
        "engine": "torch",
        "precision": "fp32",
    }


def evaluate(trained: dict[str, Any], output_dir: Path, **changes: Any) -> dict[str, Any]:
    try:
        open_workflow("evaluate.json", "infer", **trained | {"output_dir": output_dir} | changes).run()
    except RuntimeError as error:
        raise (find_refusal(error) or error) from error.__cause__
    return json.loads((output_dir / "metrics.json").read_text())


def read_cases(folder: Path) -> list[dict[str, str]]:
    head, *lines = (folder / "cases.csv").read_text().splitlines()
    return [dict(zip(head.split(","), line.split(","), strict=True)) for line in lines]


def test_the_config_has_what_monai_asks_for(trained: dict[str, Any], tmp_path: Path) -> None:
    workflow = open_workflow("evaluate.json", "infer", **trained | {"output_dir": tmp_path / "out"})
    assert workflow.check_properties() == [] and not (tmp_path / "out").exists()


def test_everything_is_written(trained: dict[str, Any], tmp_path: Path) -> None:
    found = evaluate(trained, tmp_path)
    assert found["datalist"] | {"licence": "", "histories": ""} == {
        "name": "breasts",
        "licence": "",
        "histories": "",
        "part": "test",
        "images": 24,
        "patients": 6,
    }
    assert {level: row["cases"] for level, row in found["levels"].items()} == {
        "image": 24,
        "breast": 12,
        "study": 6,
    }
    assert found["levels"]["study"]["malignant"] == 3 and found["weights"]["purpose"] == "demonstration"
    assert {row["attribute"] for row in found["subgroups"]} == {"age", "density", "vendor", "view", "history"}
    assert len(read_cases(tmp_path)) == 24 and (tmp_path / "scores.png").is_file()
    text = (tmp_path / "metrics.md").read_text()
    assert "toy: demonstration weights, not for diagnosis" in text and "| history | missing |" in text
    assert "lump" not in json.dumps(found) + text


def test_inference_takes_the_calibration(trained: dict[str, Any], tmp_path: Path) -> None:
    found = evaluate(trained, tmp_path, sensitivity=0.6)
    scoring = Scoring(tmp_path / "calibration.json")
    scoring.settle(found["weights"]["sha256"])
    fitted = scoring.calibration
    assert (
        set(fitted.levels) == {"image", "breast", "study"} and fitted.fitted_on == "breasts, validation part"
    )
    assert fitted.levels["image"].cases == 24 and fitted.levels["breast"].malignant == 3
    row = read_cases(tmp_path)[0]
    assert float(row["probability"]) == pytest.approx(
        fitted.probability("image", float(row["score"])), abs=1e-5
    )
    assert fitted.levels["image"].operating_point.sensitivity >= 0.6


def test_without_calibration(trained: dict[str, Any], tmp_path: Path) -> None:
    found = evaluate(trained, tmp_path, calibrate=None, breast_rule="mean")
    assert found["levels"]["image"]["ece_calibrated"] is None and found["settings"]["breast_rule"] == "mean"
    assert not (tmp_path / "calibration.json").exists() and "probability" not in read_cases(tmp_path)[0]
    assert read_calibration(None).levels == {}


def test_histories_can_be_taken_away_or_exchanged(trained: dict[str, Any], tmp_path: Path) -> None:
    own, missing, shuffled = (
        evaluate(trained, tmp_path / name, histories=name, calibrate=None)["levels"]["image"]
        for name in ("own", "missing", "shuffled")
    )
    rows = {name: read_cases(tmp_path / name) for name in ("own", "missing", "shuffled")}
    assert all(row["has_history"] == "0" for row in rows["missing"])
    assert 0 < sum(row["has_history"] == "1" for row in rows["own"]) < 24
    pairs = list(zip(rows["own"], rows["missing"], strict=True))
    without = [first["score"] == second["score"] for first, second in pairs if first["has_history"] == "0"]
    assert all(without) and any(first["score"] != second["score"] for first, second in pairs)
    alone = [[row["image_only"] for row in part] for part in rows.values()]
    assert alone[0] == alone[1] == alone[2]
    assert own["auc_image_only"] == missing["auc_image_only"] == shuffled["auc_image_only"]
    assert [row["score"] for row in rows["shuffled"]] != [row["score"] for row in rows["own"]]


def test_each_study_has_its_own_history(trained: dict[str, Any], tmp_path: Path) -> None:
    """A later visit of the same patient does not lend its text to the earlier one."""
    content = json.loads(trained["datalist"].read_text())
    for row in content["test"]:
        if row["patient"] == "test0" and row["view"] == "MLO":
            row |= {"study": "s2", "history": None}
    path = trained["datalist"].with_name("visits.json")
    path.write_text(json.dumps(content))
    evaluate(trained, tmp_path, datalist=path, calibrate=None)
    rows = {row["name"]: row["has_history"] for row in read_cases(tmp_path) if row["patient"] == "test0"}
    assert (rows["test0_L_CC.png"], rows["test0_L_MLO.png"]) == ("1", "0")


def test_patients_of_the_detector_are_refused(trained: dict[str, Any], tmp_path: Path) -> None:
    network = build_focalnet_dino("tiny", queries=12, depths=[1, 1, 1, 1], stages=[2, 3], levels=2)
    notes = {"training_patients": [hash_patient("test1")]}
    card = WeightsCard("found", "1", "demonstration", "generated")
    save_detector(network, tmp_path / "d.safetensors", card, (64, 64), notes=notes)
    with pytest.raises(InputError, match="patients that the detector found was not trained on, got 1 of its"):
        evaluate(trained, tmp_path, boxes=None, detector_weights=tmp_path / "d.safetensors")


def test_refusals(trained: dict[str, Any], tmp_path: Path) -> None:
    for changes, message in (
        ({"part": "dev"}, "part: expected one of training, validation, test, got 'dev'"),
        ({"calibrate": "platt"}, "calibrate: expected one of temperature, isotonic or null, got 'platt'"),
        ({"histories": "blank"}, "histories: expected one of own, missing, shuffled, got 'blank'"),
        ({"specificity": 1.2}, "specificity: expected above 0 up to 1, got 1.2"),
        ({"sensitivity": 0}, "sensitivity: expected above 0 up to 1, got 0"),
        ({"breast_rule": "sum"}, "breast_rule: expected one of max, mean, got 'sum'"),
    ):
        with pytest.raises(ConfigError, match=message):
            evaluate(trained, tmp_path, **changes)
    with pytest.raises(InputError, match="expected patients that toy was not trained on, got 1 of its own"):
        evaluate(trained, tmp_path, part="training")
    found = evaluate(trained, tmp_path, part="training", allow_training_patients=True, calibrate=None)
    assert found["datalist"]["images"] == 32


def test_training_patients_are_compared_by_hash(trained: dict[str, Any]) -> None:
    entries = load_datalist(trained["datalist"], "test")
    refuse_training_patients(entries, [hash_patient("somebody else")], "x")
    with pytest.raises(InputError, match="x was not trained on, got 1"):
        refuse_training_patients(entries, [hash_patient("test0")], "x")
    assert len(EvaluationMaterial(str(trained["datalist"]))) == 24
