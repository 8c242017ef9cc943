"""Which files become a study, which are left out and why, and what is refused."""

from __future__ import annotations

import shutil
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from toy_mammo_files import draw_breast, make_mammogram, write_study

from common.errors import InputError
from common.io.mammo_header import FOR_PROCESSING, PROCESSING_REASON, SECONDARY_CAPTURE, TOMOSYNTHESIS
from common.io.mammogram import MammoStudy, find_studies, open_study, read_mammogram, read_study


def add(folder: Path, name: str, side: str = "L", view: str = "CC", **changes: Any) -> Path:
    """One more file in a study's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    uid = changes.pop("uid", f"1.2.9.{zlib.crc32(name.encode())}")
    image = make_mammogram(side, view, **{"SOPInstanceUID": uid, **changes})
    image.save_as(folder / name, enforce_file_format=False)
    return folder / name


def edit(path: Path, **changes: Any) -> None:
    image = pydicom.dcmread(path)
    for keyword, value in changes.items():
        setattr(image, keyword, value)
    image.save_as(path)


def names(study: MammoStudy) -> list[str]:
    return [f"{one.laterality} {one.view}" for one in study.mammograms]


def test_four_views_in_the_order_of_a_hanging(tmp_path: Path) -> None:
    write_study(tmp_path / "study")
    add(tmp_path / "study", "0.dcm", "L", "ML")
    study = read_study(tmp_path / "study")
    assert names(study) == ["R CC", "L CC", "R MLO", "L MLO", "L ML"]
    assert study.left_out == study.notes == ()
    assert study.history is None
    one = study.mammograms[1]
    np.testing.assert_allclose(one.pixels, draw_breast("L") / 4095, atol=1e-6)
    # the half disc fills rows 5 to 92 and columns to 52; the margin is 2
    np.testing.assert_allclose(one.breast_px, (3, 0, 94, 54), atol=2)
    assert one.breast.shape == (one.breast_px[2] - one.breast_px[0], one.breast_px[3])
    assert (one.source.rows, one.source.columns, one.source.spacing_mm) == (96, 64, (0.5, 0.5))
    assert (one.source.age_years, one.source.manufacturer) == (64, "Toy")
    assert one.source.header.PatientID == "P-4711"
    assert "4711" not in repr(study.mammograms)


def test_one_view_is_a_study(tmp_path: Path) -> None:
    path = add(tmp_path, "a.dcm", "R", "MLO")
    assert names(read_study(path)) == names(read_study(tmp_path)) == ["R MLO"]


def test_a_zip_is_read_where_it_lies(tmp_path: Path) -> None:
    write_study(tmp_path / "study")
    (tmp_path / "study" / "history.txt").write_text("lump in the left breast")
    shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path / "study")
    study = read_study(tmp_path / "packed.zip")
    assert names(study) == ["R CC", "L CC", "R MLO", "L MLO"]
    assert study.history is not None
    assert study.history.source == "sidecar history.txt"


def test_streaming_gives_the_same_mammograms(tmp_path: Path) -> None:
    write_study(tmp_path)
    opened = open_study(tmp_path)
    for one, two in zip(opened.stream(), opened.read().mammograms, strict=True):
        assert one.name == two.name
        np.testing.assert_array_equal(one.pixels, two.pixels)


def test_a_prior_study_is_left_out_and_named(tmp_path: Path) -> None:
    write_study(tmp_path)
    prior = {"StudyInstanceUID": "1.2.77", "StudyDate": "20220101"}
    add(tmp_path / "prior", "old.dcm", "R", "CC", **prior)
    add(tmp_path, "same_day.dcm", "R", "ML", StudyInstanceUID="1.2.78")
    study = read_study(tmp_path)
    assert len(study.mammograms) == 4
    assert dict(study.left_out) == {
        "old.dcm": "an earlier study of the patient",
        "same_day.dcm": "another study of the patient",
    }
    assert study.notes == ("Of 3 studies of the patient the newest was read.",)
    named = read_study(tmp_path, "1.2.77")
    assert names(named) == ["R CC"]
    assert named.study_uid == "1.2.77"
    assert ("L_CC.dcm", "another study was named") in named.left_out
    with pytest.raises(InputError, match=r"expected the study that was named, got 3 with other UIDs: check"):
        read_study(tmp_path, "1.2.3.4")


def test_foreign_series_are_left_out_and_named(tmp_path: Path) -> None:
    write_study(tmp_path)
    for number in range(3):
        add(tmp_path, f"us{number}.dcm", Modality="US", SeriesInstanceUID="1.2.5", SeriesNumber=7)
    add(tmp_path, "raw.dcm", SOPClassUID=FOR_PROCESSING)
    (tmp_path / "notes.pdf").write_bytes(b"%PDF")
    study = read_study(tmp_path)
    assert study.left_out == (("raw.dcm", PROCESSING_REASON), ("series 7 (3 files)", "not MG but US"))


def test_synthetic_partial_and_repeated_pictures_stand_back(tmp_path: Path) -> None:
    """Where a real and whole view stands they are left out; where none stands they are read, with a note."""
    write_study(tmp_path, (("R", "CC"), ("L", "CC")))
    add(tmp_path, "synthetic.dcm", "L", "CC", ImageType=["DERIVED", "PRIMARY", "", "GENERATED_2D"])
    add(tmp_path, "part.dcm", "L", "CC", PartialView="YES")
    shutil.copy(tmp_path / "L_CC.dcm", tmp_path / "again.dcm")
    add(tmp_path, "only_synthetic.dcm", "L", "MLO", SOPClassUID=TOMOSYNTHESIS)
    for number in (1, 2):
        add(tmp_path, f"half{number}.dcm", "R", "MLO", PartialView="YES")
    study = read_study(tmp_path)
    assert names(study) == ["R CC", "L CC", "R MLO", "R MLO", "L MLO"]
    assert dict(study.left_out) == {
        "again.dcm": "the same picture as L_CC.dcm",
        "synthetic.dcm": "computed from a tomosynthesis; another one of that view was read",
        "part.dcm": "a part of a view that is there as a whole; another one of that view was read",
    }
    assert set(study.notes) == {
        "half1.dcm: shows a part of the breast.",
        "half2.dcm: shows a part of the breast.",
        "only_synthetic.dcm: computed from a tomosynthesis.",
    }


def test_a_repeated_exposure_is_read_too(tmp_path: Path) -> None:
    write_study(tmp_path)
    add(tmp_path, "again.dcm", "L", "CC")
    assert names(read_study(tmp_path))[1:3] == ["L CC", "L CC"]


def test_an_unknown_view_is_noted(tmp_path: Path) -> None:
    path = add(tmp_path, "a.dcm")
    edit(path, ViewCodeSequence=[], ViewPosition="")
    study = read_study(tmp_path)
    assert names(study) == ["L unknown"]
    assert study.notes == ("a.dcm: the view is not stated.",)


@pytest.mark.parametrize("where", ["flat", "folders"])
def test_two_patients_are_refused(tmp_path: Path, where: str) -> None:
    write_study(tmp_path / "one")
    add(tmp_path / ("one" if where == "flat" else "two"), "x.dcm", PatientID="P-0815")
    message = {
        "flat": r"expected one patient in a folder, got 2: separate them",
        "folders": r"expected a study of one patient, got 2: give one at a time",
    }[where]
    with pytest.raises(InputError, match=message) as caught:
        read_study(tmp_path)
    assert "4711" not in str(caught.value)
    if where == "flat":
        with pytest.raises(InputError, match=message):
            find_studies(tmp_path)


@pytest.mark.parametrize("files", ["one", "all"])
def test_a_missing_laterality_is_refused(tmp_path: Path, files: str) -> None:
    write_study(tmp_path)
    for path in sorted(tmp_path.iterdir())[: 1 if files == "one" else 4]:
        edit(path, ImageLaterality="", Laterality="")
    with pytest.raises(
        InputError, match=r"^L_CC\.dcm: expected laterality R or L in \(0020,0062\) or .*, got none: complete"
    ):
        read_study(tmp_path)


def test_raw_pictures_alone_are_refused(tmp_path: Path) -> None:
    write_study(tmp_path / "study", PresentationIntentType="FOR PROCESSING")
    with pytest.raises(
        InputError,
        match=r"^study: expected a mammogram that can be read, got 4 left out \(FOR PROCESSING.*\): export",
    ):
        read_study(tmp_path / "study")


def test_burned_in_annotations_are_refused(tmp_path: Path) -> None:
    write_study(tmp_path / "study", BurnedInAnnotation="YES")
    with pytest.raises(
        InputError, match=r"got 4 left out \(text is burned into the picture\): export full-f"
    ):
        read_study(tmp_path / "study")


def test_no_mammogram_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(
        InputError, match=r"expected mammograms \(DICOM MG, .*\), got 1 other files: check it"
    ):
        read_study(tmp_path)
    add(tmp_path, "ct.dcm", Modality="CT")
    for read in (read_study, find_studies):
        with pytest.raises(InputError, match=r"expected mammograms .*, got DICOM of CT: check it"):
            read(tmp_path)
        with pytest.raises(InputError, match=r"^none: expected a study.*, got no such path: check it"):
            read(tmp_path / "none")


def test_truncated_pixels_refuse_the_study(tmp_path: Path) -> None:
    write_study(tmp_path)
    path = tmp_path / "R_MLO.dcm"
    path.write_bytes(path.read_bytes()[:-600])
    with pytest.raises(InputError, match=r"^R_MLO\.dcm: expected an intact DICOM file, got a damaged one"):
        read_study(tmp_path)
    with pytest.raises(InputError, match=r"^R_MLO\.dcm: expected an intact"):
        list(open_study(tmp_path).stream())


def test_cbis_ddsm(tmp_path: Path) -> None:
    """Four files, each a patient and a study of its own in its header: one study of one patient."""
    for number, (side, view) in enumerate((("L", "CC"), ("L", "MLO"), ("R", "CC"), ("R", "MLO"))):
        word = {"L": "LEFT", "R": "RIGHT"}[side]
        add(
            tmp_path / "P" / str(number),
            "1-1.dcm",
            side,
            view,
            uid=f"1.2.4.{number}",
            SOPClassUID=SECONDARY_CAPTURE,
            PatientID=f"Mass-Test_P_00173_{word}_{view}",
            StudyInstanceUID=f"1.2.5.{number}",
            SeriesDescription="full mammogram images",
            ImageLaterality=None,
            ViewPosition=None,
            PatientOrientation=view,
            WindowCenter=None,
            WindowWidth=None,
        )
    add(tmp_path / "P" / "roi", "1-2.dcm", PatientID="Mass-Test_P_00173_LEFT_CC_1")
    study = read_study(tmp_path)
    assert names(study) == ["R CC", "L CC", "R MLO", "L MLO"]
    assert study.left_out == (("1-2.dcm", "a crop or a mask of a finding"),)
    assert study.mammograms[0].source.study_uid == "1.2.5.2" == study.study_uid
    assert study.mammograms[0].source.notes[0].startswith("The header states no window")
    assert len(find_studies(tmp_path)) == 1


def test_a_folder_of_studies_is_a_list(tmp_path: Path) -> None:
    write_study(tmp_path / "a" / "now", PatientID="1")
    write_study(tmp_path / "a" / "before", PatientID="1", StudyDate="20200101", StudyInstanceUID="1.2.6")
    write_study(tmp_path / "b", PatientID="2")
    (tmp_path / "b" / "history.txt").write_text("screening")
    (tmp_path / "history.txt").write_text("of nobody")
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        archive.write(tmp_path / "b" / "L_CC.dcm", "L_CC.dcm")
    cases = find_studies(tmp_path)
    assert [case.name for case in cases] == ["a", "b", "c"]
    first, second, third = map(read_study, cases)
    assert [len(study.mammograms) for study in (first, second, third)] == [4, 4, 1]
    assert len(first.left_out) == 4
    assert first.history is None
    assert second.history is not None
    assert second.history.text == "screening"


def test_a_zip_of_studies_is_a_list(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_study(tmp_path / "data" / "cases" / name, PatientID=name)
    (tmp_path / "data" / "cases" / "b" / "history.txt").write_text("pain")
    shutil.make_archive(str(tmp_path / "set"), "zip", tmp_path / "data")
    shutil.rmtree(tmp_path / "data")
    cases = find_studies(tmp_path / "set.zip")
    assert [case.name for case in cases] == ["a", "b"]
    studies = [read_study(case) for case in cases]
    assert [len(study.mammograms) for study in studies] == [4, 4]
    assert [study.history is None for study in studies] == [True, False]
    (tmp_path / "sets").mkdir()
    (tmp_path / "set.zip").rename(tmp_path / "sets" / "set.zip")
    assert [case.name for case in find_studies(tmp_path)] == ["sets-a", "sets-b"]
    with pytest.raises(InputError, match=r"^set\.zip: expected a study of one patient, got 2"):
        read_study(tmp_path / "sets" / "set.zip")


def test_one_study_is_one_case(tmp_path: Path) -> None:
    write_study(tmp_path / "x")
    (case,) = find_studies(tmp_path / "x")
    assert (case.name, case.path) == ("x", tmp_path / "x")
    (case,) = find_studies(tmp_path / "x" / "L_CC.dcm")
    assert case.name == "L_CC"
    assert names(read_study(case)) == ["L CC"]


def test_patients_without_an_id_in_folders_of_their_own(tmp_path: Path) -> None:
    for number in (1, 2):
        uid = f"1.2.8.{number}"
        write_study(tmp_path / str(number), PatientID="", PatientName="", StudyInstanceUID=uid)
    assert [case.name for case in find_studies(tmp_path)] == ["1", "2"]


def test_the_history_of_the_header_comes_before_files(tmp_path: Path) -> None:
    write_study(tmp_path)
    (tmp_path / "history.txt").write_text("from a file")
    edit(tmp_path / "L_MLO.dcm", AdditionalPatientHistory="lump felt left")
    history = read_study(tmp_path).history
    assert history is not None
    assert (history.text, history.source) == (
        "lump felt left",
        "DICOM (0010,21B0) AdditionalPatientHistory",
    )


def test_a_history_that_is_refused_does_not_stop_the_study(tmp_path: Path) -> None:
    write_study(tmp_path)
    (tmp_path / "result.hl7").write_text("MSH|^~\\&|a|b|c|d|2024||ORU^R01|1|P|2.5\rOBX|1|TX|||cancer\r")
    study = read_study(tmp_path)
    assert study.history is None
    (reason,) = study.refused_histories
    assert reason.startswith("result.hl7: expected an HL7 order")


def test_one_file_of_a_data_set(tmp_path: Path) -> None:
    path = add(tmp_path, "a.dcm")
    edit(path, ImageLaterality="")
    with pytest.raises(
        InputError, match=r"^a\.dcm: expected laterality R or L and a view of CC, MLO.*, got o"
    ):
        read_mammogram(path)
    one = read_mammogram(path, laterality="R", view="MLO")
    assert (one.laterality, one.view) == ("R", "MLO")
    with pytest.raises(InputError, match=r"^a\.dcm: expected laterality R or L and a view"):
        read_mammogram(path, laterality="R", view="AP")
    edit(path, BurnedInAnnotation="YES")
    with pytest.raises(InputError, match=r"^a\.dcm: expected a mammogram, got text is burned into the pict"):
        read_mammogram(path, laterality="R")
    with pytest.raises(InputError, match=r"^no\.dcm: expected a mammogram, got no such file: check the path"):
        read_mammogram(tmp_path / "no.dcm")
    (tmp_path / "a.bin").write_text("x")
    with pytest.raises(InputError, match=r"^a\.bin: expected DICOM, PNG, JPEG or TIFF, got another file"):
        read_mammogram(tmp_path / "a.bin")


def test_a_breast_without_background_is_noted(tmp_path: Path) -> None:
    pixels = np.full((96, 64), 40, np.uint16)
    pixels[0, 0] = 50
    path = tmp_path / "a.dcm"
    make_mammogram("L", "CC", pixels).save_as(path, enforce_file_format=True)
    one = read_mammogram(path)
    assert one.breast_px == (0, 0, 96, 64)
    assert one.source.notes == (
        "The breast does not stand out from the background: the whole picture was taken.",
    )
