"""Results that do not belong into the study are never stored."""

from __future__ import annotations

from pathlib import Path

import pytest
from pacs.errors import ParkError, StudyError
from pacs.results import make_durable, read_results
from toy_pacs import build_instance, study_uid

SOURCE = build_instance(0, 0)


def write(folder: Path, name: str, **changes: str) -> Path:
    """A result of study 0 with some elements changed."""
    result = build_instance(0, 5, modality="OT", **changes)
    result.file_meta.MediaStorageSOPInstanceUID = result.SOPInstanceUID
    result.save_as(folder / name, enforce_file_format=True)
    return folder / name


def read(folder: Path) -> dict[str, Path]:
    """The results of study 0."""
    return read_results(folder, study_uid(0), SOURCE, {str(SOURCE.SOPInstanceUID)})


def test_results_by_uid_and_nothing_else_of_the_folder(tmp_path: Path) -> None:
    path = write(tmp_path, "one.dcm")
    (tmp_path / "report.html").touch()
    assert read(tmp_path) == {f"{study_uid(0)}.1.1005": path}
    make_durable([path])


def test_no_folder_means_no_results(tmp_path: Path) -> None:
    assert read(tmp_path / "dicom") == {}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"StudyInstanceUID": "1.2.3"}, "expected results of the same study, got one of another"),
        ({"PatientID": "SECRET1"}, "expected results of the same patient, got one of another"),
        ({"SOPInstanceUID": str(SOURCE.SOPInstanceUID)}, "expected results with UIDs of their own"),
    ],
)
def test_what_is_not_of_this_study_is_refused(tmp_path: Path, changes: dict[str, str], message: str) -> None:
    write(tmp_path, "one.dcm", **changes)
    with pytest.raises(ParkError, match=message) as caught:
        read(tmp_path)
    assert "SECRET" not in str(caught.value)


def test_two_results_with_one_uid_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "one.dcm")
    write(tmp_path, "two.dcm")
    with pytest.raises(ParkError, match="got one twice: the command is wrong"):
        read(tmp_path)


def test_a_file_that_is_no_dicom_is_refused(tmp_path: Path) -> None:
    (tmp_path / "one.dcm").write_bytes(b"nothing")
    with pytest.raises(StudyError, match="expected DICOM files, got one that is none"):
        read(tmp_path)
