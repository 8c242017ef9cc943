"""What an application takes of an input folder of mammograms."""

from __future__ import annotations

import pytest
from toy_mammo_files import STUDY_UID, write_study

from common.errors import ConfigError, NoEligibleError, SeveralEligibleError
from mmbcd.intake import EligibleStudies


def write_visits(folder):
    write_study(folder / "new", StudyDate="20240102")
    write_study(folder / "old", (("R", "CC"),), StudyDate="20200102", StudyInstanceUID=f"{STUDY_UID}.7")
    return folder


def test_the_only_study_is_taken_without_its_folders_name(tmp_path):
    dataset = EligibleStudies(write_study(tmp_path / "DOE^JANE").parent)
    assert [case.name for case in dataset.cases()] == ["study"] and len(dataset) == 1


def test_two_patients_are_refused_or_both_taken(tmp_path):
    for patient in ("P-1", "P-2"):
        write_study(tmp_path / patient, PatientID=patient, StudyInstanceUID=f"{STUDY_UID}.{patient[-1]}")
    for several in ("refuse", "best"):
        with pytest.raises(
            SeveralEligibleError, match="expected one patient, got 2 .*: choose with several=all, or give one"
        ):
            EligibleStudies(tmp_path, several=several).cases()
    assert [case.name for case in EligibleStudies(tmp_path, several="all").cases()] == ["study-1", "study-2"]


def test_two_studies_of_a_patient_are_refused_unless_a_setting_chooses(tmp_path):
    folder = write_visits(tmp_path)
    with pytest.raises(
        SeveralEligibleError,
        match=r"expected one study, got 2 \(4 mammograms; 1 mammograms\): choose with several=best \(the "
        r"newest\) or visit=StudyInstanceUID$",
    ):
        EligibleStudies(folder).cases()
    assert len(EligibleStudies(folder, several="best").cases()) == 1
    assert len(EligibleStudies(folder, visit=STUDY_UID).cases()) == 1


def test_what_is_no_mammogram_is_not_eligible(tmp_path):
    with pytest.raises(NoEligibleError, match="expected mammograms .* got 0 other files"):
        EligibleStudies(tmp_path).cases()
    write_study(tmp_path / "ct", Modality="CT")
    with pytest.raises(NoEligibleError, match="expected mammograms .* got DICOM of CT"):
        EligibleStudies(tmp_path).cases()


def test_an_unknown_setting_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="several: expected refuse, best, all, got newest"):
        EligibleStudies(tmp_path, several="newest")
