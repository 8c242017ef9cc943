"""Which files are looked at, and that a zip can do no harm."""

from __future__ import annotations

import os
import stat
import zipfile
from pathlib import Path

import pydicom
import pytest
from ct_cases import write_series
from pydicom.uid import ImplicitVRLittleEndian

from common.errors import InputError
from common.io import dicom_files
from common.io.ct_volume import read_ct
from common.io.dicom_files import is_dicom, list_files, open_file


def test_hidden_files_and_links_to_folders_are_left_out(tmp_path: Path) -> None:
    for name in ("a/b/c", "a/.hidden", ".git/config"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "a" / "round").symlink_to(tmp_path)
    assert [file.name for file in list_files(tmp_path)] == ["c"]


def test_files_without_preamble_are_dicom(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "ct")
    for path in paths:
        dataset = pydicom.dcmread(path)
        del dataset.file_meta
        dataset.preamble = None
        pydicom.dcmwrite(path, dataset, implicit_vr=True, little_endian=True, enforce_file_format=False)
        assert path.read_bytes()[:4] != b"\0\0\0\0"
    assert read_ct(tmp_path / "ct").shape == (14, 11, 7)
    assert ImplicitVRLittleEndian.is_implicit_VR


def test_a_dicomdir_is_no_image(tmp_path: Path) -> None:
    path = write_series(tmp_path / "ct")[0].with_name("DICOMDIR")
    dataset = pydicom.dcmread(tmp_path / "ct" / "0001.dcm")
    for keyword in ("Modality", "PixelData"):
        delattr(dataset, keyword)
    dataset.SOPClassUID = pydicom.uid.MediaStorageDirectoryStorage
    dataset.save_as(path)
    volume = read_ct(tmp_path / "ct")
    assert volume.shape == (14, 11, 7)
    assert "Left out 1 other file, no DICOM image." in volume.source.notes


@pytest.fixture
def study(tmp_path: Path) -> Path:
    with zipfile.ZipFile(tmp_path / "study.zip", "w") as archive:
        for path in write_series(tmp_path / "ct"):
            archive.write(path, path.name)
    return tmp_path / "study.zip"


def test_links_and_litter_in_a_zip_are_left_out(study: Path) -> None:
    with zipfile.ZipFile(study, "a") as archive:
        link = zipfile.ZipInfo("link.dcm")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("__MACOSX/._0001.dcm", "x")
        archive.writestr(".DS_Store", "x")
    assert len(list_files(study)) == 7


def test_bombs_are_refused(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dicom_files, "MAX_MEMBER_BYTES", 500)
    with pytest.raises(InputError, match=r"study\.zip: expected a zip of one study, got .* GB: unpack it"):
        read_ct(study)
    monkeypatch.setattr(dicom_files, "MAX_FILES", 6)
    with pytest.raises(
        InputError, match=r"study\.zip: expected at most 6 files, got more: give a smaller folder"
    ):
        read_ct(study)
    with pytest.raises(InputError, match=r"ct: expected at most 6 files, got more: give a smaller folder"):
        read_ct(study.parent / "ct")


def test_encrypted_zips_are_refused(study: Path) -> None:
    content = bytearray(study.read_bytes())
    start = content.rindex(b"PK\x01\x02")
    content[start + 8] |= 1  # general purpose bit 0 of the last member's central header
    study.write_bytes(content)
    with pytest.raises(
        InputError, match=r"study\.zip: expected a zip without password, got an encrypted one"
    ):
        read_ct(study)


def test_damaged_zips_and_members_are_refused(study: Path) -> None:
    content = bytearray(study.read_bytes())
    content[200] ^= 0xFF
    study.write_bytes(content)
    with pytest.raises(
        InputError, match=r"0001\.dcm: expected a readable file, got a damaged one: copy it again"
    ):
        read_ct(study)
    start = content.index(b"PK\x01\x02")
    content[start : start + 4] = b"XXXX"
    study.write_bytes(content)
    with pytest.raises(
        InputError, match=r"study\.zip: expected an intact zip, got a damaged one: copy it again"
    ):
        read_ct(study)


def test_a_zip_by_name_alone_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"PK half of it")
    with pytest.raises(InputError, match=r"a\.zip: expected an intact zip, got a damaged one: copy it again"):
        read_ct(tmp_path / "a.zip")


@pytest.mark.parametrize("content", [b"", b"\0" * 4000, b"hello"])
def test_dicom_by_name_alone_is_refused(tmp_path: Path, content: bytes) -> None:
    write_series(tmp_path)[6].write_bytes(content)
    with pytest.raises(
        InputError, match=r"0007\.dcm: expected DICOM by its name, got other data: copy it again"
    ):
        read_ct(tmp_path)


def test_a_file_that_vanishes_is_refused(tmp_path: Path) -> None:
    path = write_series(tmp_path)[0]
    file = list_files(path)[0]
    assert is_dicom(file)
    path.unlink()
    with pytest.raises(InputError, match=r"0001\.dcm: expected a readable file, got a damaged one"):
        open_file(file)


def test_closed_folders_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def walk(folder: Path, onerror):
        onerror(PermissionError(13, "Permission denied"))
        return iter(())

    monkeypatch.setattr(os, "walk", walk)
    with pytest.raises(
        InputError, match=r"expected readable folders, got 'permission denied': check permissions"
    ):
        list_files(tmp_path)
