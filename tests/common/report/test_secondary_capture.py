"""Secondary Capture: the same pixels come back, in the study of the images that they show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from toy_mammo_files import STUDY_UID, VIEWS, find_dicom_errors, make_mammogram

from common.errors import InputError, OutputError
from common.report import secondary_capture
from common.report.provenance import Algorithm
from common.report.secondary_capture import Capture, write_secondary_capture

METHOD = Algorithm("MMBCD", "1.0", "ab" * 32)
PIXELS = np.random.default_rng(0).integers(0, 256, (31, 17, 3), np.uint8)  # odd: bytes must be padded


def headers() -> list[Dataset]:
    return [make_mammogram(*view) for view in VIEWS]


def capture(pixels: np.ndarray = PIXELS, number: int = 1) -> Capture:
    return Capture(pixels, headers(), number, "Four views with regions")


def test_pixels_and_references_come_back(tmp_path: Path):
    uid = write_secondary_capture(capture(), METHOD, tmp_path / "sc.dcm")
    image = pydicom.dcmread(tmp_path / "sc.dcm")
    np.testing.assert_array_equal(image.pixel_array, PIXELS)
    assert image.SOPInstanceUID == uid and image.StudyInstanceUID == STUDY_UID
    assert image.SOPClassUID.name == "Secondary Capture Image Storage"
    assert image.file_meta.TransferSyntaxUID.name == "Explicit VR Little Endian"
    assert (image.BurnedInAnnotation, image.ConversionType, image.PatientID) == ("NO", "WSD", "P-4711")
    assert image.DerivationDescription == "Four views with regions"
    assert [item.ReferencedSOPInstanceUID for item in image.SourceImageSequence] == [
        header.SOPInstanceUID for header in headers()
    ]
    assert "MMBCD" in [one.get("ManufacturerModelName") for one in image.ContributingEquipmentSequence]


def test_uids_follow_from_the_content(tmp_path: Path):
    first = write_secondary_capture(capture(), METHOD, tmp_path / "a.dcm")
    assert write_secondary_capture(capture(), METHOD, tmp_path / "b.dcm") == first
    assert write_secondary_capture(capture(PIXELS // 2), METHOD, tmp_path / "c.dcm") != first
    other = write_secondary_capture(capture(number=2), METHOD, tmp_path / "d.dcm")
    one, two = (pydicom.dcmread(tmp_path / name) for name in ("a.dcm", "d.dcm"))
    assert other != first and one.SeriesInstanceUID == two.SeriesInstanceUID


def test_an_independent_validator_finds_no_error(tmp_path: Path):
    write_secondary_capture(capture(), METHOD, tmp_path / "sc.dcm")
    errors = find_dicom_errors(tmp_path / "sc.dcm")
    if errors is None:
        pytest.skip("dciodvfy (Debian: dicom3tools) is not installed")
    assert errors == []


@pytest.mark.parametrize("pixels", [PIXELS[..., 0], PIXELS.astype(float), PIXELS[..., :2]])
def test_other_pixels_are_refused(tmp_path: Path, pixels: np.ndarray):
    with pytest.raises(InputError, match=r"picture: expected \(H, W, 3\) uint8, got"):
        write_secondary_capture(capture(pixels), METHOD, tmp_path / "sc.dcm")


def test_broken_headers_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> None:
        raise ValueError("no")

    monkeypatch.setattr(secondary_capture, "_image", refuse)
    with pytest.raises(InputError, match="picture: expected headers that a Secondary Capture can follow"):
        write_secondary_capture(capture(), METHOD, tmp_path / "sc.dcm")


def test_other_pixels_in_the_file_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    build = secondary_capture._image

    def change(*given):
        image = build(*given)
        image.PixelData = bytes(len(image.PixelData))
        return image

    monkeypatch.setattr(secondary_capture, "_image", change)
    with pytest.raises(
        OutputError, match="picture: expected its pixels in the Secondary Capture, got others"
    ):
        write_secondary_capture(capture(), METHOD, tmp_path / "sc.dcm")
    assert not (tmp_path / "sc.dcm").exists()
