"""The three hooks of MONAI Label around a small network: the same scores as the pipeline's, and refusals."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toy_mammo import make_boxes, make_network, write_boxes, write_study

from common.errors import InputError
from common.networks.card import WeightsCard
from mmbcd.calibration import Scoring
from mmbcd.classifier import Mmbcd
from mmbcd.history_use import HistorySource
from mmbcd.inferer import MmbcdInferer
from mmbcd.monai_label import FindStudy, LabelInferer, ReportScores
from mmbcd.pipeline import MammoPipeline, build_dataset
from mmbcd.regions import Regions, build_regions

TEXT = "lump in the left breast"
BOTH = (("R", "CC"), ("L", "CC"))


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Mmbcd:
    network = make_network(tmp_path_factory.mktemp("text"))
    network.card = WeightsCard("toy", "1", "demonstration", "none", "ab" * 32)
    return network


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return write_study(tmp_path / "study", BOTH)


def regions_of(folder: Path, boxes: dict[str, Any] | None = None) -> Regions:
    return build_regions(boxes=write_boxes(folder / "boxes.json", make_boxes() if boxes is None else boxes))


def infer(
    image: Path,
    network: Mmbcd,
    history: Any = "",
    use_history: Any = True,
    boxes: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """What MONAI Label does with a request, from preprocessing to postprocessing; the answer as JSON."""
    data = FindStudy()({"image": str(image), "clinical_history": history})
    regions = regions_of(image.parent, boxes)
    inferer = LabelInferer(regions, history, use_history, False, Scoring(), engine="torch")
    answer = ReportScores()(data | {"pred": inferer(data["image"][None], network)[0]})
    assert answer["pred"].shape == () and answer["skip_writer"]
    return dict(json.loads(json.dumps(answer, allow_nan=False)))


def run(study: Path, network: Mmbcd, output: Path, history: str) -> dict[str, Any]:
    parts = (regions_of(study.parent), MmbcdInferer("torch"), HistorySource(history), Scoring())
    MammoPipeline(build_dataset(study), network, *parts, output).run()
    return dict(json.loads((output / "result.json").read_text()))


def test_scores_are_those_of_the_pipeline(study, network, tmp_path):
    answer, record = infer(study, network, TEXT), run(study, network, tmp_path / "out", TEXT)
    for key in ("study", "breasts", "images", "history", "weights", "engine", "settings"):
        assert answer["result"][key] == record[key]
    score = record["study"]["score"]
    assert answer["prediction"] == [
        {"idx": 0, "label": "not malignant", "score": pytest.approx(1 - score)},
        {"idx": 1, "label": "malignant", "score": score},
    ]


def test_the_history_of_the_client_counts_and_is_not_repeated(study, network):
    told, untold = infer(study, network, TEXT), infer(study, network, "")
    assert (
        told["result"]["history"]["status"] == "used" and untold["result"]["history"]["status"] == "missing"
    )
    assert told["result"]["study"]["score"] != untold["result"]["study"]["score"]
    assert TEXT not in json.dumps(told)


@pytest.mark.parametrize("written", [False, "false", "No", "0"])
def test_the_client_can_switch_the_history_off(study, network, written):
    assert infer(study, network, TEXT, written)["result"]["history"]["status"] == "missing"


def test_a_zip_of_the_study_scores_alike(study, network, tmp_path):
    with zipfile.ZipFile(tmp_path / "study.zip", "w") as archive:
        for file in study.iterdir():
            archive.write(file, file.name)
    zipped = infer(tmp_path / "study.zip", network, TEXT)["result"]
    assert zipped["study"] == infer(study, network, TEXT)["result"]["study"]


def test_one_file_is_a_study_of_one_view(study, network):
    answer = infer(study / "R_CC.dcm", network)
    assert [row["name"] for row in answer["result"]["images"]] == ["R CC"]


def test_without_a_region_nothing_is_predicted(study, network):
    answer = infer(study, network, boxes={"R_CC.dcm": [], "L_CC.dcm": []})
    assert answer["prediction"] == [] and answer["result"]["study"]["score"] is None


def test_other_tensors_go_as_in_the_pipeline(study, network):
    inferer = LabelInferer(regions_of(study.parent), "", True, False, Scoring(), engine="torch")
    size = network.image_size
    assert inferer(torch.zeros(2, 3, 1, size, size), network).shape == (2, 2)


def test_refused_images(study, tmp_path):
    with pytest.raises(InputError, match="image: expected a path, got ndarray"):
        FindStudy()({"image": np.zeros(3)})
    with pytest.raises(InputError, match="image: expected a path, got str"):
        FindStudy()({"image": ""})  # what MONAI Label makes of a name that it does not know
    (tmp_path / "two").mkdir()
    for patient in ("A", "B"):
        write_study(tmp_path / "two" / patient, BOTH, PatientID=patient)
    with pytest.raises(InputError, match="two: expected one patient, got 2: name one of them"):
        FindStudy()({"image": str(tmp_path / "two")})
