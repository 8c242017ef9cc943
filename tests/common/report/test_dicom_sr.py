"""Comprehensive SR: what was found is read back by highdicom and pydicom."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from toy_mammo_files import STUDY_UID, VIEWS, find_dicom_errors, make_mammogram

from common.errors import InputError
from common.report import dicom_sr
from common.report.dicom_sr import Amount, Finding, Site, Statement, write_measurement_report
from common.report.provenance import Algorithm

METHOD = Algorithm("MMBCD", "1.0", "ab" * 32)
SCORE = Code("score", "99CMB", "Malignancy score")
RIGHT = Site(codes.SCT.Breast, codes.SCT.Right)
BOX = (3.0, 4.0, 20.5, 30.0)


@pytest.fixture
def headers() -> list[Dataset]:
    images = [make_mammogram(*view) for view in VIEWS]
    for image in images:
        del image.PixelData
    return images


def findings(headers: list[Dataset], box: tuple[float, ...] = BOX) -> list[Finding]:
    amount = Amount(SCORE, 0.75, codes.UCUM.NoUnits)
    answer = (Code("history", "99CMB", "Use of the history"), Code("used", "99CMB", "Used"))
    whole = Finding("study", codes.DCM.OverallAssessment, headers, None, None, [amount], [answer])
    region = Finding("R CC region 1", codes.DCM.SelectedRegion, headers[:1], RIGHT, box, [amount])  # type: ignore[arg-type]
    return [whole, region]


def write(headers: list[Dataset], path: Path, **changes: Any) -> str:
    given = {"findings": findings(headers), "statements": [Statement(codes.DCM.Summary, "Größe")]} | changes
    return write_measurement_report(
        **given, headers=headers, procedure=codes.SCT.Mammography, algorithm=METHOD, path=path
    )


def test_regions_come_back(headers: list[Dataset], tmp_path: Path):
    uid = write(headers, tmp_path / "sr.dcm")
    report = hd.sr.srread(tmp_path / "sr.dcm")
    assert report.SOPInstanceUID == uid and report.StudyInstanceUID == STUDY_UID
    (group,) = report.content.get_planar_roi_measurement_groups()
    np.testing.assert_array_equal(group.roi.value, [[3, 4], [20.5, 4], [20.5, 30], [3, 30], [3, 4]])
    assert (
        group.roi.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        == headers[0].SOPInstanceUID
    )
    assert group.tracking_identifier == "R CC region 1"
    (site,) = group.finding_sites
    assert (site.value.meaning, site.laterality.meaning) == ("Breast", "Right")
    (score,) = group.get_measurements()
    assert (score.name.meaning, score.value, score.unit.value) == ("Malignancy score", 0.75, "1")


def test_whole_images_and_words_come_back(headers: list[Dataset], tmp_path: Path):
    write(headers, tmp_path / "sr.dcm")
    report = hd.sr.srread(tmp_path / "sr.dcm")
    (group,) = report.content.get_image_measurement_groups()
    assert [str(one.referenced_sop_instance_uid) for one in group.source_images] == [
        header.SOPInstanceUID for header in headers
    ]
    (evaluation,) = group.get_qualitative_evaluations()
    assert (evaluation.name.meaning, evaluation.value.meaning) == ("Use of the history", "Used")
    assert report.ContentSequence[-1].TextValue == "Größe"
    assert (report.CompletionFlag, report.VerificationFlag) == ("COMPLETE", "UNVERIFIED")


def test_evidence_and_origin(headers: list[Dataset], tmp_path: Path):
    write(headers, tmp_path / "sr.dcm")
    report = pydicom.dcmread(tmp_path / "sr.dcm")
    (study,) = report.CurrentRequestedProcedureEvidenceSequence
    (series,) = study.ReferencedSeriesSequence
    assert {item.ReferencedSOPInstanceUID for item in series.ReferencedSOPSequence} == {
        header.SOPInstanceUID for header in headers
    }
    assert report.file_meta.TransferSyntaxUID.name == "Explicit VR Little Endian"
    assert report.PatientID == "P-4711" and report.SeriesInstanceUID != headers[0].SeriesInstanceUID
    assert "MMBCD" in [one.get("ManufacturerModelName") for one in report.ContributingEquipmentSequence]
    assert report.CodingSchemeIdentificationSequence[0].CodingSchemeDesignator == "99CMB"


def test_an_image_with_frames_is_referred_to_by_its_first(headers: list[Dataset], tmp_path: Path):
    headers[0].SOPClassUID, headers[0].NumberOfFrames = "1.2.840.10008.5.1.4.1.1.13.1.3", 1
    write(headers, tmp_path / "sr.dcm")
    (group,) = hd.sr.srread(tmp_path / "sr.dcm").content.get_planar_roi_measurement_groups()
    assert group.roi.ContentSequence[0].ReferencedSOPSequence[0].ReferencedFrameNumber == 1
    assert not find_dicom_errors(tmp_path / "sr.dcm")


def test_images_of_other_studies_are_evidence_too(headers: list[Dataset], tmp_path: Path):
    headers[3].StudyInstanceUID = "1.2.3"
    write(headers, tmp_path / "sr.dcm")
    report = pydicom.dcmread(tmp_path / "sr.dcm")
    assert report.PertinentOtherEvidenceSequence[0].StudyInstanceUID == "1.2.3"


def test_the_same_again_is_the_same_instance(headers: list[Dataset], tmp_path: Path):
    uid = write(headers, tmp_path / "a.dcm")
    assert write(headers, tmp_path / "b.dcm") == uid
    assert write(headers, tmp_path / "c.dcm", statements=[]) != uid
    moved = findings(headers, (3.0, 4.0, 20.5, 31.0))
    assert write(headers, tmp_path / "d.dcm", findings=moved) != uid


def test_an_anonymous_header_is_completed_and_kept(headers: list[Dataset], tmp_path: Path, recwarn):
    for header in headers:
        del header.PatientBirthDate
        header.PatientName = "Only_One_Part"
    write(headers, tmp_path / "sr.dcm")
    assert pydicom.dcmread(tmp_path / "sr.dcm").PatientBirthDate == ""
    assert "PatientBirthDate" not in headers[0]
    assert not [warning for warning in recwarn if "Only_One_Part" in str(warning.message)]


def test_an_independent_validator_finds_no_error(headers: list[Dataset], tmp_path: Path):
    write(headers, tmp_path / "sr.dcm")
    errors = find_dicom_errors(tmp_path / "sr.dcm")
    if errors is None:
        pytest.skip("dciodvfy (Debian: dicom3tools) is not installed")
    assert errors == []


@pytest.mark.parametrize("box", [(-1, 0, 5, 5), (0, 0, 65, 5), (0, 0, 5, 97), (5, 5, 5, 9), (0, 9, 5, 8)])
def test_a_box_outside_the_image_is_refused(headers: list[Dataset], tmp_path: Path, box: tuple[float, ...]):
    with pytest.raises(InputError, match="R CC region 1: expected a box inside the image of 64 x 96 px, got"):
        write(headers, tmp_path / "sr.dcm", findings=findings(headers, box))
    assert not (tmp_path / "sr.dcm").exists()


def test_nothing_to_report_is_refused(headers: list[Dataset], tmp_path: Path):
    with pytest.raises(InputError, match="report: expected at least one finding for a DICOM SR, got none"):
        write(headers, tmp_path / "sr.dcm", findings=[])


def test_headers_that_cannot_be_built_upon_are_refused(
    headers: list[Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def refuse(*_: object) -> None:
        raise ValueError("no")

    monkeypatch.setattr(dicom_sr, "_report", refuse)
    with pytest.raises(
        InputError, match="report: expected headers that a DICOM SR can follow, got broken ones"
    ):
        write(headers, tmp_path / "sr.dcm")
