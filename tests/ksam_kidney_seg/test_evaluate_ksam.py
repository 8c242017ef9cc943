"""Evaluation as a command: a network that answers by colour, pictures and a volume, prompts of both kinds."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from PIL import Image
from toy_ksam import SIZE_PX, build_toy, draw_datalist, open_workflow

from common.errors import ConfigError, InputError, find_refusal
from common.networks.card import WeightsCard
from common.training.datalist import hash_patient
from ksam.datalist import load_datalist
from ksam.delta import save_delta
from ksam.evaluate import EvaluationMaterial, count_scored_templates, refuse_training_patients
from ksam.prompts import save_task
from ksam.template_choice import draw_task
from ksam.template_maker import StructureRule, make_templates, read_labelled


def evaluate(folder: Path, **overrides: Any) -> dict[str, Any]:
    settings = {"output_dir": folder / "out", "weights": None, "templates": 3, "bootstrap": 200}
    settings |= {"engine": "torch", "network_def": {"_target_": "toy_ksam.build_colour"}}
    try:
        open_workflow("evaluate.json", "infer", **settings | overrides).run()
    except RuntimeError as error:
        raise (find_refusal(error) or error) from error.__cause__
    return json.loads((folder / "out" / "metrics.json").read_text())


def test_config_can_be_examined_without_data(tmp_path: Path) -> None:
    network = {"_target_": "toy_ksam.build_toy"}
    assert open_workflow("evaluate.json", "infer", network_def=network).check_properties() == []


def test_pictures_with_templates_of_training_patients(tmp_path: Path) -> None:
    result = evaluate(tmp_path, datalist=draw_datalist(tmp_path / "data"))
    assert result["datalist"]["cases"] == 3 and result["hd95_unit"] == "px"
    assert result["prompts"]["drawn_from_training"] and len(result["prompts"]["templates"]) == 3
    disc = result["structures"]["disc"]
    assert disc["dice"] > 0.95 and 0 <= disc["dice_sd"] < 0.05 and disc["hd95"] < 3
    assert disc["dice_interval"][0] <= disc["dice"] <= disc["dice_interval"][1]
    assert result["structures"]["cup"]["dice"] > 0.9
    with (tmp_path / "out" / "cases.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * 2 * (3 + 1)  # patients, structures, templates and ensemble
    assert {row["patient"] for row in rows} == {f"discs-test{n}" for n in range(3)}
    own = [float(r["dice"]) for r in rows if r["structure"] == "disc" and r["template"] != "ensemble"]
    assert disc["dice"] == pytest.approx(np.mean(own), abs=1e-6)
    assert "not for diagnosis" in (tmp_path / "out" / "metrics.md").read_text()
    assert Image.open(tmp_path / "out" / "scores.png").width > 300


def test_one_template_of_a_task_folder(tmp_path: Path) -> None:
    """What an outside scorer does: a datalist without training part, and one template of the new camera."""
    path = draw_datalist(tmp_path / "data")
    task = draw_task(load_datalist(path, "training"), 1, 0)
    save_task(task, tmp_path / "task")
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"training": [], "validation": []}))
    result = evaluate(tmp_path, datalist=path, prompts=tmp_path / "task", structures=["cup"])
    assert set(result["structures"]) == {"cup", "mean"} and len(result["prompts"]["templates"]) == 1
    assert result["structures"]["cup"]["dice_sd"] is None
    assert result["structures"]["cup"]["ensemble_dice"] is None
    assert not result["prompts"]["drawn_from_training"]


def test_a_template_among_the_scored_pictures_is_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = draw_datalist(tmp_path / "data")
    case, other = load_datalist(path, "test")[:2]
    rules = [StructureRule("disc", (1, 2)), StructureRule("cup", (2,))]
    task = draw_task(load_datalist(path, "training"), 1, 0)
    for picture, found in ((case, 1), (load_datalist(path, "training")[0], 0)):
        labelled = read_labelled(picture.image, picture.label, rules)
        own = replace(task, templates=tuple(make_templates(labelled, [0], "own")))
        assert count_scored_templates([case, other], own) == found
    assert count_scored_templates([case], task) == 0  # drawn from a datalist: no file is known
    save_task(
        replace(
            task, templates=tuple(make_templates(read_labelled(case.image, case.label, rules), [0], "own"))
        ),
        tmp_path / "task",
    )
    assert evaluate(tmp_path, datalist=path, prompts=tmp_path / "task")["prompts"]["scored_too"] == 1
    assert "1 of the scored files are templates too" in caplog.text


def draw_volumes(folder: Path) -> Path:
    """Balls of 100 HU in air, slices 5 mm apart, pixels of 2 mm."""
    folder.mkdir()
    parts: dict[str, list[dict[str, str]]] = {"training": [], "validation": [], "test": []}
    for number, part in enumerate(("training", "training", "test")):
        i, j, k = np.mgrid[:24, :24, :6]
        ball = np.hypot(np.hypot(2 * (i - 12), 2 * (j - 11 - number)), 5 * (k - 2.5)) < 12
        for name, voxels in (
            ("ct", np.where(ball, 100, -1000).astype(np.int16)),
            ("label", ball.astype(np.uint8)),
        ):
            image = nib.Nifti1Image(voxels, np.diag([-2.0, -2.0, 5.0, 1.0]))
            image.header.set_xyzt_units("mm")
            nib.save(image, folder / f"{name}{number}.nii.gz")
        row = {"image": f"ct{number}.nii.gz", "label": f"label{number}.nii.gz", "patient": f"p{number}"}
        parts[part].append(row)
    header = {"name": "balls", "modality": "CT", "licence": "generated", "crop": "none"}
    header |= {"structures": [{"name": "ball", "values": [1]}], "window": {"center_hu": 0, "width_hu": 400}}
    (folder / "balls.json").write_text(json.dumps(header | parts))
    return folder / "balls.json"


def test_volumes_are_scored_as_a_whole_in_millimetres(tmp_path: Path) -> None:
    result = evaluate(tmp_path, datalist=draw_volumes(tmp_path / "data"), templates=2, ensemble=False)
    ball = result["structures"]["ball"]
    assert result["hd95_unit"] == "mm" and ball["cases"] == 1 and ball["patients"] == 1
    assert ball["dice"] > 0.9 and ball["hd95"] <= 5.0
    assert ball["dice_interval"] is None and ball["false_alarms"] == 0


def test_slices_that_help_each_other_are_evaluated_and_recorded(tmp_path: Path) -> None:
    """Smoothing needs the distance of slices, which is read even where no distances are measured."""
    arguments = {"datalist": draw_volumes(tmp_path / "data"), "templates": 2, "hd95": False}
    assert "consistency" not in evaluate(tmp_path, **arguments)["settings"]
    result = evaluate(tmp_path, **arguments, consistency={"smooth_mm": 2.0})
    assert result["settings"]["consistency"]["smooth_mm"] == 2
    assert result["structures"]["ball"]["dice"] > 0.9


def test_training_patients_are_refused_without_their_names(tmp_path: Path) -> None:
    path = draw_datalist(tmp_path / "data", counts=(2, 0, 1))
    network = build_toy()
    network.set_bank(torch.zeros(1, 1, 3, SIZE_PX, SIZE_PX), torch.ones(1, 1, 1, SIZE_PX, SIZE_PX))
    notes = {"training_patients": json.dumps([hash_patient("discs-test0")])}
    save_delta(network, tmp_path / "seen.safetensors", WeightsCard("seen"), notes=notes)
    overrides = {"datalist": path, "weights": tmp_path / "seen.safetensors", "hd95": False}
    with pytest.raises(InputError, match="expected patients that untrained has not seen, got 1") as caught:
        evaluate(tmp_path, **overrides)
    assert "test0" not in str(caught.value)
    assert evaluate(tmp_path, **overrides, allow_training_patients=True)["structures"]["disc"]["hd95"] is None
    refuse_training_patients(load_datalist(path, "test"), [hash_patient("somebody else")], "x")


def test_refusals(tmp_path: Path) -> None:
    path = draw_datalist(tmp_path / "data", counts=(2, 0, 1))
    with pytest.raises(ConfigError, match="part: expected one of training, validation, test, got 'all'"):
        EvaluationMaterial(str(path), "all")
    with pytest.raises(InputError, match="structures: expected disc, cup, got 'rim'"):
        print(EvaluationMaterial(str(path), structures=["rim"]).task)
    task = draw_task(load_datalist(path, "training"), 1, 0)
    save_task(task, tmp_path / "task")
    text = (tmp_path / "task" / "task.json").read_text()
    (tmp_path / "task" / "task.json").write_text(text.replace('"disc"', '"Disc"').replace('"cup"', '"Cup"'))
    with pytest.raises(InputError, match="prompts: expected one of the datalist's structures disc, cup, got"):
        print(EvaluationMaterial(str(path), prompts=str(tmp_path / "task")).task)
    save_task(task, tmp_path / "whole")
    volumes = draw_volumes(tmp_path / "ct")
    with pytest.raises(InputError, match="expected a picture as its templates are, got a CT"):
        print(EvaluationMaterial(str(volumes), prompts=str(tmp_path / "whole")).task)
    with pytest.raises(InputError, match="expected one of the structures disc, cup, got 'ball'"):
        content = json.loads(path.read_text())
        content["structures"] = [{"name": "ball", "values": [1, 2]}]
        path.write_text(json.dumps(content))
        print(EvaluationMaterial(str(path), prompts=str(tmp_path / "whole"), structures=["ball"]).task)
