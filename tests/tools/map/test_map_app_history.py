"""Histories of the header and of a file beside the mammograms, through the application (JSON, HL7, FHIR)."""

from __future__ import annotations

import json

import pytest
from run_case import run_case
from toy_mammo_files import write_study
from toy_map import MMBCD, toy_mmbcd_settings

TEXT = "lump in the left breast"
HEAD = "MSH|^~\\&|HIS|H|RIS|R|20240102||{kind}|1|P|2.5\rPID|1||P-4711||Secret^Name\r"
ORDER = HEAD.format(kind="ORM^O01") + "|".join(["OBR", "1", *[""] * 11, TEXT]) + "\r"
RESULT = HEAD.format(kind="ORU^R01") + f"OBX|1|TX|GDT||{TEXT}, malignant\r"
REQUEST = {"resourceType": "ServiceRequest", "status": "active", "reasonReference": [{"reference": "#c"}]}
REQUEST |= {"contained": [{"resourceType": "Condition", "id": "c", "code": {"text": TEXT}}]}
BUNDLE = {"resourceType": "Bundle", "entry": [{"resource": REQUEST}]}
REPORT = {"resourceType": "DiagnosticReport", "conclusion": f"{TEXT}, malignant"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Run a study with one more file, or with settings; returns outcome, result.json and run.json."""
    settings = toy_mmbcd_settings(tmp_path_factory.mktemp("toy"))

    def run_one(name=None, content="", header=None, **more):
        folder = tmp_path_factory.mktemp("case")
        study = write_study(folder / "in" / "study", **(header or {}))
        if name is not None:
            (study / name).write_text(content, encoding="utf-8", newline="")
        found = run_case(MMBCD, folder / "in", folder / "out", settings | more)
        assert found.exit_code == 0, found.message
        result, log = ((folder / "out" / file).read_text("utf-8") for file in ("result.json", "run.json"))
        return found, json.loads(result), log

    return run_one


@pytest.fixture(scope="module")
def told(run):
    """The score with the same words given as a setting, and without any."""
    with_text, without = run(clinical_history=TEXT)[1], run()[1]
    assert without["history"]["status"] == "missing"
    assert with_text["study"]["score"] != without["study"]["score"]
    return with_text["study"]["score"], without["study"]["score"]


@pytest.mark.parametrize(
    ("name", "content", "source"),
    [
        ("history.json", json.dumps({"history": TEXT}), "sidecar history.json"),
        ("Secret_Name.hl7", ORDER, "HL7 OBR-13"),
        ("Secret_Name.fhir.json", json.dumps(REQUEST), "FHIR ServiceRequest.reasonReference"),
        ("fhir.json", json.dumps(BUNDLE), "FHIR ServiceRequest.reasonReference"),
    ],
)
def test_every_form_gives_the_score_of_its_words(run, told, capfd, name, content, source):
    found, result, log = run(name, content)
    assert (result["history"]["status"], result["history"]["source"]) == ("used", source)
    assert result["study"]["score"] == told[0]
    said = capfd.readouterr()
    shown = found.message + log + said.out + said.err
    assert [word for word in (TEXT, "Secret", "P-4711") if word in shown] == []


def test_the_studys_own_history_comes_before_the_file(run, told):
    header = {"AdditionalPatientHistory": TEXT}
    _, result, _ = run("history.json", json.dumps({"history": "nothing of note"}), header=header)
    assert result["history"]["status"] == "used" and result["study"]["score"] == told[0]


@pytest.mark.parametrize(
    ("name", "content", "status"),
    [
        ("Secret_Name.hl7", RESULT, "refused"),
        ("Secret_Name.fhir.json", json.dumps(REPORT), "missing"),
    ],
)
def test_a_reading_is_no_history(run, told, capfd, name, content, status):
    """What was read before must not come back as what was known."""
    found, result, log = run(name, content)
    assert result["history"]["status"] == status and result["study"]["score"] == told[1]
    said = capfd.readouterr()
    shown = found.message + log + said.out + said.err
    assert [word for word in (TEXT, "Secret") if word in shown] == [] and TEXT not in json.dumps(result)
