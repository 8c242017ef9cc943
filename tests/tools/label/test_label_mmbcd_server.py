"""MMBCD behind MONAI Label: a study and a history over HTTP, against `monai.bundle run`."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests
from label_servers import ANSWER_S, ROOT, label_python, label_server
from toy_mammo import write_study

pytestmark = [pytest.mark.slow, pytest.mark.weights, pytest.mark.timeout(3600)]
BUNDLE = ROOT / "bundles" / "mmbcd_mammo"
MODEL = "mmbcd_mammo_classification"
TEXT = "palpable lump in the left breast"


class Served(NamedTuple):
    url: str
    studies: Path


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A study of two views, as a zip and as single files."""
    label_python()
    studies = tmp_path_factory.mktemp("label") / "studies"
    write_study(studies, (("R", "CC"), ("L", "CC")))
    with zipfile.ZipFile(studies / "study.zip", "w") as archive:
        for file in studies.glob("*.dcm"):
            archive.write(file, file.name)
    (studies / "broken.zip").write_bytes(b"no study")
    with label_server("mmbcd_mammo", studies) as url:
        yield Served(url, studies)


def infer(served: Served, image: str, **params: Any) -> requests.Response:
    form = {"params": (None, json.dumps(params))}
    address = f"{served.url}/infer/{MODEL}?image={image}&output=json"
    return requests.post(address, files=form, timeout=ANSWER_S)


@pytest.fixture(scope="module")
def told(served: Served) -> dict[str, Any]:
    answer = infer(served, "study", clinical_history=TEXT)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_scores_are_those_of_bundle_run(told, served, tmp_path):
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", "configs/inference.json"]
    command += ["--study", str(served.studies / "study.zip"), "--clinical_history", TEXT]
    subprocess.run([*command, "--output_dir", str(tmp_path)], cwd=BUNDLE, check=True, capture_output=True)
    record = json.loads((tmp_path / "result.json").read_text())
    for key in ("study", "breasts", "images", "history", "weights", "detector", "engine"):
        assert told["result"][key] == record[key]
    assert told["prediction"][1] == {"idx": 1, "label": "malignant", "score": record["study"]["score"]}


def test_model_is_a_classification_with_free_text(served):
    model = requests.get(f"{served.url}/info/", timeout=60).json()["models"][MODEL]
    assert model["type"] == "classification" and model["labels"] == {"not malignant": 0, "malignant": 1}
    assert model["config"]["clinical_history"] == "" and model["config"]["use_history"] is True


def test_each_view_and_breast_has_its_score(told):
    result = told["result"]
    assert {row["name"] for row in result["images"]} == {"R CC", "L CC"}
    assert {row["laterality"] for row in result["breasts"]} == {"R", "L"}
    assert result["weights"]["purpose"] == "demonstration"


def test_the_history_matters_and_stays_out_of_answer_and_log(served, told):
    untold = infer(served, "study").json()
    assert (
        untold["result"]["history"]["status"] == "missing" and told["result"]["history"]["status"] == "used"
    )
    log = (served.studies.parent / "server.log").read_text()
    assert TEXT not in json.dumps(told) and TEXT not in log and "Traceback" not in log


def test_a_single_file_is_read_as_a_study_of_one_view(served):
    assert [row["name"] for row in infer(served, "R_CC").json()["result"]["images"]] == ["R CC"]


def test_other_pages_and_changes_of_the_weights_are_refused(served):
    weights = (BUNDLE / "models" / "model.pt").stat()
    foreign = requests.get(f"{served.url}/info/", headers={"Origin": "https://evil.example"}, timeout=60)
    assert foreign.status_code == 403 and "access-control-allow-origin" not in foreign.headers
    assert (
        requests.get(f"{served.url}/info/", headers={"Host": "evil.example"}, timeout=60).status_code == 403
    )
    local = requests.get(f"{served.url}/info/", headers={"Origin": "http://localhost:3000"}, timeout=60)
    assert local.ok and local.headers["access-control-allow-origin"] == "http://localhost:3000"
    address = f"{served.url}/model/{MODEL}"
    upload = {"file": ("model.pt", b"other weights")}
    for answer in (requests.delete(address, timeout=60), requests.put(address, files=upload, timeout=60)):
        assert answer.status_code == 403 and "expected no change of images" in answer.json()["detail"]
    assert (BUNDLE / "models" / "model.pt").stat() == weights


def test_refusals_are_one_line(served):
    answer = infer(served, "broken")
    assert answer.status_code == 422 and "broken.zip" in answer.json()["detail"], answer.text
    assert "\n" not in answer.json()["detail"]
    assert infer(served, "nobody").status_code == 404
