"""What an application takes of an input folder of CT."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from ct_cases import write_series
from PIL import Image

from common.errors import ConfigError, NoEligibleError, SeveralEligibleError
from common.io.ct_volume import read_ct
from ksam.intake import EligibleCases

LOCALIZER = {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}
MR = {"Modality": "MR", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.4"}


def test_the_only_ct_is_taken_beside_localizer_and_mr(tmp_path):
    write_series(tmp_path / "in" / "DOE^JOHN" / "a", series_number=1, tags=LOCALIZER)
    write_series(tmp_path / "in" / "DOE^JOHN" / "b", series_number=2)
    write_series(tmp_path / "in" / "DOE^JOHN" / "c", series_number=3, tags=MR)
    dataset = EligibleCases(tmp_path / "in")
    (case,) = dataset.cases()
    assert (case.name, case.kind) == ("ct", "ct") and dataset.stands_alone([case])
    source = read_ct(case.path, case.series).source
    assert source.series_number == 2
    assert source.notes[0] == "Read series 2 (CT, 7 pictures), the only CT series that can be segmented."
    assert len(dataset) == 1


def test_several_series_are_refused_by_number(tmp_path):
    for number in (5, 2):
        write_series(tmp_path / str(number), series_number=number)
    with pytest.raises(
        SeveralEligibleError,
        match=r"expected one CT series, got 2 \(series 2 \(CT, 7 pictures\); series 5 \(CT, 7 pictures\)\): "
        "choose with series=NUMBER, several=best or several=all$",
    ):
        EligibleCases(tmp_path).cases()


def test_all_takes_every_series_under_its_number(tmp_path):
    for number in (5, 2):
        write_series(tmp_path / str(number), series_number=number)
    dataset = EligibleCases(tmp_path, several="all")
    cases = dataset.cases()
    assert [case.name for case in cases] == ["series-2", "series-5"] and not dataset.stands_alone(cases)
    assert [read_ct(case.path, case.series).source.series_number for case in cases] == [2, 5]


def test_best_takes_one_by_the_rules_of_reading(tmp_path):
    write_series(tmp_path / "a", series_number=2, tags={"ConvolutionKernel": "B70f"})
    write_series(tmp_path / "b", series_number=5, tags={"ConvolutionKernel": "B30f"})
    (case,) = EligibleCases(tmp_path, several="best").cases()
    assert read_ct(case.path, case.series).source.series_number == 5


def test_a_named_series_goes_before_the_rules(tmp_path):
    for number in (5, 2):
        write_series(tmp_path / str(number), series_number=number)
    dataset = EligibleCases(tmp_path, series=5)
    (case,) = dataset.cases()
    assert read_ct(case.path, case.series or dataset.series).source.series_number == 5
    with pytest.raises(NoEligibleError, match="expected series '9' once, got 0"):
        read_ct(tmp_path, 9)


def test_two_studies_are_two_even_for_best(tmp_path):
    for seed in (1, 2):
        write_series(tmp_path / str(seed), seed=seed, series_number=4)
    with pytest.raises(SeveralEligibleError, match=r"expected one CT study, got 2 \(a DICOM study; a DICOM"):
        EligibleCases(tmp_path, several="best").cases()
    with pytest.raises(SeveralEligibleError, match="expected one CT series, got 2"):
        EligibleCases(tmp_path).cases()
    cases = EligibleCases(tmp_path, several="all").cases()
    assert [case.name for case in cases] == ["series-4-1", "series-4-2"]
    assert len({read_ct(case.path, case.series).source.study_uid for case in cases}) == 2


def test_two_studies_in_one_folder_are_told_apart(tmp_path):
    for seed in (1, 2):
        for path in write_series(tmp_path / "whole" / str(seed), seed=seed):
            path.rename(tmp_path / "whole" / f"{seed}-{path.name}")
    cases = EligibleCases(tmp_path / "whole", several="all").cases()
    assert len({read_ct(case.path, case.series).source.study_uid for case in cases}) == 2 == len(cases)


def test_a_nifti_file_is_a_case_too(tmp_path):
    path = tmp_path / "in" / "doe.nii.gz"
    path.parent.mkdir()
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 3), np.int16), np.diag([1.0, 1, 1, 1])), path)
    dataset = EligibleCases(tmp_path / "in")
    (case,) = dataset.cases()
    assert (case.name, case.path) == ("ct", path) and dataset.stands_alone([case])
    write_series(tmp_path / "in" / "dicom")
    with pytest.raises(SeveralEligibleError, match=r"got 2 \((a file; series 1|series 1 .*; a file)"):
        EligibleCases(tmp_path / "in").cases()


def test_nothing_to_read_is_not_eligible(tmp_path):
    with pytest.raises(NoEligibleError, match="expected cases .* got 0 others"):
        EligibleCases(tmp_path).cases()
    write_series(tmp_path / "mr", tags=MR)
    with pytest.raises(
        NoEligibleError, match=r"expected a CT series, got series 1 \(MR, 7 pictures\), not CT"
    ):
        EligibleCases(tmp_path).cases()


def test_a_picture_is_eligible_where_pictures_are_wanted(tmp_path):
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "eye.png")
    with pytest.raises(NoEligibleError, match="expected a CT, got other kinds"):
        EligibleCases(tmp_path).cases()
    (case,) = EligibleCases(tmp_path, kind="picture").cases()
    assert (case.name, case.kind) == ("picture", "picture")


def test_an_unknown_setting_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="several: expected refuse, best, all, got one"):
        EligibleCases(tmp_path, several="one")
