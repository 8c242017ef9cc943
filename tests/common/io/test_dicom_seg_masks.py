"""Segmentations that others write: fractional, label maps, turned axes, and those of another CT."""

from __future__ import annotations

from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from ct_cases import edit, hu_volume, write_series
from highdicom.seg import SegmentDescription
from pydicom.sr.codedict import codes

from common.errors import InputError
from common.io.ct_volume import CtVolume, read_ct
from common.io.dicom_seg_masks import read_dicom_seg


@pytest.fixture
def volume(tmp_path: Path) -> CtVolume:
    write_series(tmp_path / "ct")
    return read_ct(tmp_path / "ct")


def write_seg(path: Path, volume: CtVolume, pixels: np.ndarray, kind: str, **options: object) -> Path:
    """highdicom's own writer; pixels (K, rows, columns)."""
    sources = [pydicom.dcmread(one.file.open()) for one in volume.source.slices]
    segments = [
        SegmentDescription(n, f"part {n}", codes.SCT.Organ, codes.SCT.Kidney, "MANUAL")
        for n in range(1, (int(pixels.max()) if pixels.dtype == np.uint8 else 1) + 1)
    ]
    hd.seg.Segmentation(
        sources, pixels, kind, segments, hd.UID(), 1, hd.UID(), 1, "maker", "model", "1", "1", **options
    ).save_as(path)
    return path


def labels_of(volume: CtVolume) -> np.ndarray:
    labels = np.zeros(volume.shape, np.uint8)
    labels[3:7, 2:5, 1:4] = 1
    labels[7:9, 2:8, 2:6] = 2
    return labels


def test_label_maps(tmp_path: Path, volume: CtVolume) -> None:
    labels = labels_of(volume)
    path = write_seg(tmp_path / "seg.dcm", volume, labels.transpose(2, 1, 0), "LABELMAP")
    one, two = read_dicom_seg(path, volume)
    assert (one.number, one.label, two.label) == (1, "part 1", "part 2")
    assert one.code == ("SCT", "64033007", "Kidney")
    np.testing.assert_array_equal(one.mask, labels == 1)
    np.testing.assert_array_equal(two.mask, labels == 2)


def test_fractions_count_from_one_half(tmp_path: Path, volume: CtVolume) -> None:
    shares = np.random.default_rng(0).random(volume.shape)
    path = write_seg(tmp_path / "seg.dcm", volume, shares.transpose(2, 1, 0), "FRACTIONAL")
    (found,) = read_dicom_seg(path, volume)
    clear = np.abs(shares - 0.5) > 0.01
    np.testing.assert_array_equal(found.mask[clear], shares[clear] > 0.5)


def test_other_axes_of_the_same_grid(tmp_path: Path, volume: CtVolume) -> None:
    """The SEG is drawn on coronal planes of the CT's voxels."""
    labels = (labels_of(volume) > 0).astype(np.uint8)
    grid = hd.Volume.from_components(
        labels.transpose(1, 2, 0)[:, ::-1].copy(),
        direction=np.array([[0, 0, 1], [1, 0, 0], [0, -1, 0]]).astype(float),
        spacing=[0.9, 2.5, 0.7],
        position=(np.diag([-1, -1, 1, 1]) @ volume.affine_ras_mm @ [0, 0, 6, 1])[:3],
        coordinate_system="PATIENT",
        frame_of_reference_uid=pydicom.dcmread(volume.source.slices[0].file.open()).FrameOfReferenceUID,
    )
    path = tmp_path / "seg.dcm"
    sources = [pydicom.dcmread(one.file.open()) for one in volume.source.slices]
    segment = SegmentDescription(1, "turned", codes.SCT.Organ, codes.SCT.Kidney, "MANUAL")
    hd.seg.Segmentation(
        sources, grid, "BINARY", [segment], hd.UID(), 1, hd.UID(), 1, "maker", "model", "1", "1"
    ).save_as(path)
    assert pydicom.dcmread(path).Rows == 7
    (found,) = read_dicom_seg(path, volume)
    np.testing.assert_array_equal(found.mask, labels > 0)


def test_other_files_are_refused(tmp_path: Path, volume: CtVolume) -> None:
    with pytest.raises(InputError, match=r"0001\.dcm: expected a DICOM SEG, got CT: check the path"):
        read_dicom_seg(tmp_path / "ct" / "0001.dcm", volume)
    path = write_seg(tmp_path / "seg.dcm", volume, labels_of(volume).transpose(2, 1, 0), "BINARY")
    edit([path], lambda dataset, _: setattr(dataset, "PixelData", dataset.PixelData[:10]))
    with pytest.raises(InputError, match=r"seg\.dcm: expected an intact DICOM file, got a damaged one"):
        read_dicom_seg(path, volume)


def test_segmentations_of_another_grid_are_refused(tmp_path: Path, volume: CtVolume) -> None:
    path = write_seg(tmp_path / "seg.dcm", volume, labels_of(volume).transpose(2, 1, 0), "BINARY")

    def shifted(by_mm: float) -> CtVolume:
        affine = volume.affine_ras_mm.copy()
        affine[0, 3] += by_mm
        return CtVolume(volume.voxels_hu, affine, volume.source)

    with pytest.raises(
        InputError, match=r"expected a SEG on the grid of the CT, got pixels between its voxels"
    ):
        read_dicom_seg(path, shifted(0.2))
    with pytest.raises(
        InputError, match=r"expected a SEG on the grid of the CT, got pixels outside: give the"
    ):
        read_dicom_seg(path, shifted(0.7))
    edit([path], lambda d, _: delattr(d.SharedFunctionalGroupsSequence[0], "PlaneOrientationSequence"))
    with pytest.raises(
        InputError, match=r"expected a SEG on the grid of the CT, got frames without position"
    ):
        read_dicom_seg(path, volume)


def test_segments_without_concept(tmp_path: Path, volume: CtVolume) -> None:
    path = write_seg(tmp_path / "seg.dcm", volume, labels_of(volume).transpose(2, 1, 0), "BINARY")

    def strip(dataset: pydicom.Dataset, _: int) -> None:
        for segment in dataset.SegmentSequence:
            del segment.SegmentedPropertyTypeCodeSequence

    edit([path], strip)
    assert [segment.code for segment in read_dicom_seg(path, volume)] == [None, None]
    assert hu_volume().shape == volume.shape
