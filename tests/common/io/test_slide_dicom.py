"""DICOM whole-slide images: a small pyramid is written with pydicom and read back through OpenSlide."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from common.errors import InputError
from common.io.slide import find_slides, is_slide_file, open_slide

TILE = 128
MPP_XY = (0.25, 0.26)


def ramp(width: int, height: int, downsample: int) -> np.ndarray:
    """Red grows with x, green with y: one grey level every 4 level-0 pixels at the centre of each pixel."""
    picture = np.full((height, width, 3), 60, np.uint8)
    picture[..., 0] = (np.arange(width) + 0.5) * downsample / 4
    picture[..., 1] = ((np.arange(height) + 0.5) * downsample / 4)[:, None]
    return picture


def write_level(path: Path, pixels: np.ndarray, downsample: int, series: str, kind: str = "VOLUME") -> Path:
    """One uncompressed TILED_FULL instance."""
    height, width = pixels.shape[:2]
    rows, columns = -(-height // TILE), -(-width // TILE)
    padded = np.zeros((rows * TILE, columns * TILE, 3), np.uint8)
    padded[:height, :width] = pixels
    frames = padded.reshape(rows, TILE, columns, TILE, 3).swapaxes(1, 2)
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID = "1.2.840.10008.5.1.4.1.1.77.1.6"
    data.SOPInstanceUID = generate_uid()
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    data.PatientName, data.PatientID = "Secret^Name", "SECRET-ID"
    data.SeriesInstanceUID, data.StudyInstanceUID = series, generate_uid()
    data.Modality = "SM"
    data.ImageType = ["DERIVED" if downsample > 1 else "ORIGINAL", "PRIMARY", kind, "NONE"]
    data.TotalPixelMatrixColumns, data.TotalPixelMatrixRows = width, height
    data.Columns = data.Rows = TILE
    data.NumberOfFrames = rows * columns
    data.SamplesPerPixel, data.PhotometricInterpretation, data.PlanarConfiguration = 3, "RGB", 0
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 8, 8, 7, 0
    data.DimensionOrganizationType = "TILED_FULL"
    data.ImagedVolumeWidth = width * downsample * MPP_XY[0] / 1000
    data.ImagedVolumeHeight = height * downsample * MPP_XY[1] / 1000
    measures = Dataset()
    measures.PixelSpacing = [MPP_XY[1] * downsample / 1000, MPP_XY[0] * downsample / 1000]
    shared = Dataset()
    shared.PixelMeasuresSequence = [measures]
    data.SharedFunctionalGroupsSequence = [shared]
    optics = Dataset()
    optics.ObjectiveLensPower = 40
    optics.OpticalPathIdentifier = "1"
    data.OpticalPathSequence = [optics]
    data.PixelData = frames.tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)
    return path


def write_slide(folder: Path, width: int = 900, height: int = 700) -> Path:
    """Two levels of one series."""
    series = generate_uid()
    write_level(folder / "level1.dcm", ramp(width // 4, height // 4, 4), 4, series)
    write_level(folder / "level0.dcm", ramp(width, height, 1), 1, series)
    return folder


@pytest.mark.parametrize("name", ["", "level0.dcm", "level1.dcm"])
def test_a_series_is_one_slide_whichever_way_it_is_named(tmp_path: Path, name: str) -> None:
    with open_slide(write_slide(tmp_path / "case") / name) as slide:
        assert (slide.format, slide.width_px, slide.height_px) == ("dicom", 900, 700)
        assert slide.downsamples == (1.0, 4.0)
        patch = slide.read_square((448, 352), 4.0, 64)
        fine = slide.read_square((448, 352), 1.0, 64)
    x = (np.arange(64) + 0.5) * 4 + 448 - 128
    y = (np.arange(64) + 0.5) * 4 + 352 - 128
    np.testing.assert_array_equal(patch[0, :, 0], np.floor(x / 4))
    np.testing.assert_array_equal(patch[:, 0, 1], np.floor(y / 4))
    np.testing.assert_array_equal(fine[0, :, 0], np.floor((np.arange(64) + 0.5 + 448 - 32) / 4))
    assert (patch[..., 2] == 60).all()


def test_the_pixel_size_comes_from_pixel_spacing(tmp_path: Path) -> None:
    with open_slide(write_slide(tmp_path / "case")) as slide:
        said = {s.source: s for s in slide.resolution.statements}
        assert slide.resolution.chosen_source == "dicom.PixelSpacing"
        assert slide.mpp == pytest.approx((0.25 * 0.26) ** 0.5)
        assert "not square (0.25 x 0.26 um)" in slide.resolution.contradictions[0]
    assert (said["dicom.PixelSpacing"].mpp_x, said["dicom.PixelSpacing"].mpp_y) == pytest.approx(MPP_XY)
    volume = said["dicom.ImagedVolumeWidth"]
    assert (volume.mpp_x, volume.mpp_y) == pytest.approx(MPP_XY)
    assert said["dicom.ObjectiveLensPower"].magnification == 40


def test_nothing_that_names_a_patient_is_kept(tmp_path: Path) -> None:
    with open_slide(write_slide(tmp_path / "case")) as slide:
        assert "secret" not in f"{slide!r} {slide.properties}".lower()


def test_a_series_counts_once_among_other_slides(tmp_path: Path) -> None:
    case = write_slide(tmp_path / "case")
    write_level(case / "label.dcm", ramp(100, 60, 1), 1, generate_uid(), "LABEL")
    Image.fromarray(ramp(100, 60, 1)).save(tmp_path / "plain.png")
    assert find_slides(tmp_path) == [case, tmp_path / "plain.png"]
    assert find_slides(case) == [case]
    assert is_slide_file(case / "level0.dcm")


def test_several_series_in_a_folder_are_several_slides(tmp_path: Path) -> None:
    write_level(tmp_path / "a0.dcm", ramp(300, 200, 1), 1, generate_uid())
    second = generate_uid()
    write_level(tmp_path / "b1", ramp(75, 50, 4), 4, second)
    write_level(tmp_path / "b0", ramp(300, 200, 1), 1, second)
    assert find_slides(tmp_path) == [tmp_path / "a0.dcm", tmp_path / "b0"]
    with pytest.raises(InputError, match="expected a folder with one DICOM WSI series, got 2: name one file"):
        open_slide(tmp_path)


def test_other_dicom_is_not_a_slide(tmp_path: Path) -> None:
    path = tmp_path / "ct.dcm"
    write_level(path, ramp(100, 60, 1), 1, generate_uid())
    data = dcmread(path)
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    data.save_as(path)
    with pytest.raises(InputError, match=r"ct\.dcm: expected a slide .*got something else"):
        open_slide(path)
    with pytest.raises(InputError, match="expected a folder with slides, got none"):
        find_slides(tmp_path)
