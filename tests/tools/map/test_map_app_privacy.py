"""Nothing about the patient in what a run says and logs, and the input stays as it was."""

from __future__ import annotations

import hashlib
import json
import logging

import pydicom
import pytest
from phantoms.ct_series import write_ct_series
from redact import Redactor
from run_case import run_case
from toy_mammo_files import STUDY_UID, write_study
from toy_map import KSAM, MMBCD, PATIENT, TOY_KSAM, toy_mmbcd_settings
from toy_segmenter import AFFINE, body_volume


def write_ct(folder, **shown):
    """A patient's series in folders and files that are named after the patient."""
    place = folder / PATIENT["PatientName"] / PATIENT["PatientID"]
    paths = write_ct_series(place, body_volume(**shown), AFFINE, tags=PATIENT, series_number=3)
    for path in paths:
        path.rename(path.with_name(f"{PATIENT['AccessionNumber']}_{path.name}"))
    return sorted(place.iterdir())


def find_secrets(path):
    """Values of a header that name the patient or the study."""
    header = pydicom.dcmread(path)
    uids = [str(header[name].value) for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")]
    words = [word for value in PATIENT.values() for word in value.replace("^", " ").split() if len(word) > 3]
    return [*PATIENT.values(), *words, *uids]


def check_silent(text, secrets):
    low = text.lower()
    assert [secret for secret in secrets if secret.lower() in low] == []


def hash_folder(folder):
    return {
        path: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()
    }


def test_a_ct_run_says_nothing_about_the_patient(tmp_path, capfd):
    files = write_ct(tmp_path / "in")
    secrets, before = find_secrets(files[0]), hash_folder(tmp_path / "in")
    found = run_case(KSAM, tmp_path / "in", tmp_path / "out", TOY_KSAM)
    logging.getLogger().warning("of another library")
    said = capfd.readouterr()
    assert (found.exit_code, found.status) == (0, "done") and "mL" in found.message
    log = (tmp_path / "out" / "run.json").read_text(encoding="utf-8")
    check_silent(log + said.out + said.err + found.message, secrets)
    assert "INFO ct: Dark" in said.err
    study = hashlib.sha256(pydicom.dcmread(files[0]).StudyInstanceUID.encode()).hexdigest()[:16]
    assert json.loads(log)["studies"] == [study]
    assert {"dicom/ct_seg.dcm", "dicom/ct_sr.dcm", "report.html"} <= set(json.loads(log)["files"])
    assert hash_folder(tmp_path / "in") == before


def test_an_empty_finding_is_said_to_be_one(tmp_path):
    write_ct(tmp_path / "in", dark=False, light=False)
    found = run_case(KSAM, tmp_path / "in", tmp_path / "out", TOY_KSAM)
    assert (found.exit_code, found.status) == (0, "empty")
    assert found.message == "Nothing found: no dark or light in this series"
    assert (tmp_path / "out" / "report.html").is_file()


@pytest.mark.parametrize(("fault", "code"), [("cut", 12), ("modality", 10), ("second", 11)])
def test_refusals_say_nothing_about_the_patient(tmp_path, capfd, fault, code):
    files = write_ct(tmp_path / "in")
    secrets = find_secrets(files[0])
    if fault == "cut":
        files[2].write_bytes(files[2].read_bytes()[:700])
    if fault == "modality":
        for path in files:
            header = pydicom.dcmread(path)
            header.Modality, header.SOPClassUID = "MR", "1.2.840.10008.5.1.4.1.1.4"
            header.save_as(path)
    if fault == "second":
        write_ct_series(files[0].parent / "more", body_volume(), AFFINE, tags=PATIENT, series_number=8)
    found = run_case(KSAM, tmp_path / "in", tmp_path / "out", TOY_KSAM)
    said = capfd.readouterr()
    log = (tmp_path / "out" / "run.json").read_text(encoding="utf-8")
    assert found.exit_code == code == json.loads(log)["exit_code"], found.message
    check_silent(log + said.out + said.err + found.message, secrets)
    if fault == "cut":
        assert "file 3" in found.message
    if fault == "second":
        assert "series 3 (CT, 5 pictures); series 8 (CT, 5 pictures)" in found.message


def test_every_series_gets_its_own_folder_where_all_are_wanted(tmp_path):
    place = write_ct(tmp_path / "in")[0].parent
    write_ct_series(place / "more", body_volume(dark=False), AFFINE, tags=PATIENT, series_number=8)
    found = run_case(KSAM, tmp_path / "in", tmp_path / "out", {**TOY_KSAM, "several": "all"})
    assert (found.exit_code, found.status) == (0, "done")
    names = {path.relative_to(tmp_path / "out").as_posix() for path in found.files}
    assert {"series-3/dicom/series-3_seg.dcm", "series-8/dicom/series-8_seg.dcm", "summary.json"} <= names
    named = run_case(KSAM, tmp_path / "in", tmp_path / "out", {**TOY_KSAM, "series": 8})
    assert named.exit_code == 0 and "dark not found" in named.message.lower()
    assert not (tmp_path / "out" / "series-3").exists()


def test_a_history_beside_the_mammograms_reaches_the_study_and_no_log(tmp_path, capfd):
    text = "lump in the left breast"
    study = write_study(tmp_path / "in" / "Secret^Name")
    (study / "history.txt").write_text(text, encoding="utf-8")
    found = run_case(MMBCD, tmp_path / "in", tmp_path / "out", toy_mmbcd_settings(tmp_path))
    said = capfd.readouterr()
    assert found.exit_code == 0, found.message
    result = json.loads((tmp_path / "out" / "result.json").read_text(encoding="utf-8"))
    assert (result["history"]["status"], result["history"]["source"]) == ("used", "sidecar history.txt")
    log = (tmp_path / "out" / "run.json").read_text(encoding="utf-8")
    secrets = ("Secret", "P-4711", "19600101", text, STUDY_UID)
    check_silent(log + said.out + said.err + found.message, secrets)


def test_a_name_in_a_sentence_is_replaced_by_its_place(tmp_path):
    for name in ("b/KOWALSKA_ZOFIA.dcm", "a/12345678.ima", "a/x.dcm"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    redact = Redactor(tmp_path)
    assert redact("KOWALSKA_ZOFIA.dcm: expected DICOM") == "file 3: expected DICOM"
    assert redact("12345678: 2 files,\n 112345678 bytes") == "file 1: 2 files, 112345678 bytes"
    assert redact(f"{tmp_path.name}: expected one study") == "input: expected one study"
