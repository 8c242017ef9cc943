"""What stands at a path: studies, volumes, pictures."""

from __future__ import annotations

import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from ct_cases import hu_volume, write_series
from PIL import Image

from common.errors import InputError
from common.io.ct_volume import find_cases, read_ct

MR = {"Modality": "MR", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.4"}


def test_one_study_is_one_case(tmp_path: Path) -> None:
    write_series(tmp_path / "ct" / "a", series_number=1)
    write_series(tmp_path / "ct" / "b", series_number=2, tags=MR)
    (case,) = find_cases(tmp_path / "ct")
    assert (case.path, case.kind, case.series, case.name) == (tmp_path / "ct", "ct", None, "ct")
    assert read_ct(case.path, case.series).source.series_number == 1


def test_patients_in_folders_of_their_own(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_series(tmp_path / name / "DICOM", seed=name)
    write_series(tmp_path / "only MR", seed="c", tags=MR)
    cases = find_cases(tmp_path)
    assert [(case.name, case.series) for case in cases] == [("a-DICOM", None), ("b-DICOM", None)]
    assert [read_ct(case.path).source.name for case in cases] == ["DICOM", "DICOM"]


def test_patients_mixed_in_one_folder_are_told_apart_by_series(tmp_path: Path) -> None:
    for number, name in enumerate(("a", "b")):
        for path in write_series(tmp_path / "mixed", seed=name, volume=hu_volume((14, 11, 5 + number))):
            path.rename(tmp_path / "mixed" / f"{name}{path.name}")
    cases = find_cases(tmp_path / "mixed")
    assert [case.name for case in cases] == ["mixed-1", "mixed-2"]
    assert sorted(read_ct(case.path, case.series).shape[2] for case in cases) == [5, 6]


def test_files_of_all_kinds(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    nib.save(nib.Nifti1Image(hu_volume(), np.eye(4)), tmp_path / "x" / "ct.nii.gz")
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(tmp_path / "eye.PNG")
    photograph = write_series(tmp_path / "op")[0]
    for path in sorted((tmp_path / "op").iterdir())[1:]:
        path.unlink()
    tags = {"Modality": "OP", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.77.1.5.1"}
    photograph = write_series(tmp_path / "op", tags=tags, volume=hu_volume((14, 11, 1)))[0]
    with zipfile.ZipFile(tmp_path / "study.zip", "w") as archive:
        for path in write_series(tmp_path / "files"):
            archive.write(path, path.name)
    (tmp_path / "notes.txt").write_text("x")
    found = {(case.name, case.kind) for case in find_cases(tmp_path)}
    assert found == {
        ("eye", "picture"),
        ("x-ct", "ct"),
        ("op-0001", "picture"),
        ("study", "ct"),
        ("files", "ct"),
    }
    assert find_cases(photograph)[0].kind == "picture"


@pytest.mark.parametrize(
    ("name", "stem", "kind"), [("a.nii.gz", "a", "ct"), ("b.x.nrrd", "b.x", "ct"), ("c.JPG", "c", "picture")]
)
def test_one_file_is_one_case(tmp_path: Path, name: str, stem: str, kind: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    (case,) = find_cases(tmp_path / name)
    assert (case.path, case.kind, case.series, case.name) == (tmp_path / name, kind, None, stem)


def test_a_dicom_file_is_one_case(tmp_path: Path) -> None:
    (case,) = find_cases(write_series(tmp_path)[0])
    assert (case.kind, case.name) == ("ct", "0001")


def test_names_are_unique(tmp_path: Path) -> None:
    for name in ("a.nii", "a.nrrd", "a.png"):
        (tmp_path / name).write_bytes(b"x")
    assert [case.name for case in find_cases(tmp_path)] == ["a-1", "a-2", "a-3"]


def test_nothing_to_segment_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"no: expected a case or a folder of cases, got no such path: check it"
    ):
        find_cases(tmp_path / "no")
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(
        InputError, match=r"expected cases \(DICOM CT, zip, NIfTI, NRRD, pictures\), got 1 others"
    ):
        find_cases(tmp_path)
    write_series(tmp_path, tags=MR)
    with pytest.raises(
        InputError, match=r"expected a CT series, got series 1 \(MR, 7 pictures\), not CT but MR"
    ):
        find_cases(tmp_path)
