"""DICOM series in every orientation: each voxel is found at its patient millimetres."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
from ct_cases import ORIENTATIONS, SHAPE, edit, hu_volume, write_enhanced, write_series

from common.errors import InputError
from common.geometry import world_points
from common.io.ct_volume import CtVolume, read_ct


def value_at(volume: CtVolume, point_mm: np.ndarray) -> int:
    """The voxel whose centre is a point in ras_mm."""
    ijk = np.linalg.inv(volume.affine_ras_mm) @ [*point_mm, 1]
    assert np.abs(ijk - np.rint(ijk)).max() < 1e-4
    return int(volume.voxels_hu[tuple(np.rint(ijk[:3]).astype(int))])


def assert_same_in_millimetres(volume: CtVolume, orientation: str) -> None:
    written = hu_volume()
    indices = np.random.default_rng(1).integers(0, SHAPE, (60, 3))
    for ijk, point in zip(indices, world_points(ORIENTATIONS[orientation], indices), strict=True):
        assert value_at(volume, point) == written[tuple(ijk)]


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_every_orientation_keeps_its_millimetres(tmp_path: Path, orientation: str) -> None:
    write_series(tmp_path, orientation)
    volume = read_ct(tmp_path)
    assert volume.voxels_hu.dtype == np.int16
    assert sorted(volume.shape) == sorted(SHAPE)
    assert_same_in_millimetres(volume, orientation)
    np.testing.assert_allclose(
        sorted(volume.spacing_mm), sorted(np.linalg.norm(_columns(orientation), axis=0))
    )
    assert volume.voxel_mm3 == pytest.approx(abs(np.linalg.det(_columns(orientation))))


def _columns(orientation: str) -> np.ndarray:
    columns = ORIENTATIONS[orientation][:3, :3].copy()
    if orientation == "tilted":
        columns[1, 2] = 0  # the distance between slices is that along the normal
    return columns


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_axial_view_and_back(tmp_path: Path, orientation: str) -> None:
    write_series(tmp_path, orientation)
    volume = read_ct(tmp_path)
    axial = volume.to_axial()
    np.testing.assert_array_equal(volume.from_axial(axial.voxels), volume.voxels_hu)
    r, c, z = 2, 4, 1
    point = world_points(axial.affine_ras_mm, np.array([[r, c, z]]))[0]
    assert value_at(volume, point) == axial.voxels[r, c, z]
    towards = np.sign(np.diag(axial.affine_ras_mm[[1, 0, 2], :3]))
    np.testing.assert_array_equal(towards, (-1, -1, 1))  # rows posterior, columns left, slices superior
    np.testing.assert_allclose(axial.spacing_mm, np.linalg.norm(axial.affine_ras_mm[:3, :3], axis=0))


def test_a_mask_of_another_shape_is_refused(tmp_path: Path) -> None:
    write_series(tmp_path)
    with pytest.raises(InputError, match=r"mask: expected the axial shape \(11, 14, 7\), got \(14, 11, 7\)"):
        read_ct(tmp_path).from_axial(np.zeros(SHAPE))


def test_order_and_names_of_files_do_not_count(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "deep" / "er")
    edit(paths, lambda dataset, n: setattr(dataset, "InstanceNumber", 50 - n))
    for n, path in enumerate(paths):
        path.rename(path.with_name(f"{'gafcbde'[n]}"))
    assert_same_in_millimetres(read_ct(tmp_path), "axial")


def test_a_zip_is_read_like_its_folder(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "files")
    with zipfile.ZipFile(tmp_path / "study.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in paths:
            archive.write(path, f"../../outside/{path.name}")  # a name that must not become a path
        archive.writestr("README.txt", "hello")
    volume = read_ct(tmp_path / "study.zip")
    assert_same_in_millimetres(volume, "axial")
    assert "Left out 1 other file, no DICOM image." in volume.source.notes
    with volume.source.slices[0].file.open() as stream:
        assert pydicom.dcmread(stream).SOPInstanceUID == volume.source.slices[0].sop_instance_uid
    assert sorted(p.name for p in tmp_path.iterdir()) == ["files", "study.zip"]


@pytest.mark.parametrize("order", [None, [3, 0, 6, 1, 5, 2, 4]])
def test_an_enhanced_multi_frame_ct_is_read(tmp_path: Path, order: list[int] | None) -> None:
    path = write_enhanced(tmp_path / "enhanced.dcm", write_series(tmp_path / "singles"), order)
    volume = read_ct(path)
    assert_same_in_millimetres(volume, "axial")
    assert [one.frame for one in volume.source.slices] == (
        [order.index(k) for k in range(7)] if order else [*range(7)]
    )
    assert volume.source.files_count == 1


def test_the_source_names_instances_in_the_order_of_slices(tmp_path: Path) -> None:
    write_series(tmp_path, "feet first")
    volume = read_ct(tmp_path)
    for k, one in enumerate(volume.source.slices):
        with one.file.open() as stream:
            dataset = pydicom.dcmread(stream)
        position = world_points(volume.affine_ras_mm, np.array([[0, 0, k]]))[0] * (-1, -1, 1)
        np.testing.assert_allclose([float(v) for v in dataset.ImagePositionPatient], position, atol=1e-6)
        assert dataset.SOPInstanceUID == one.sop_instance_uid
    record = volume.source.as_record()
    assert record["files"] == 7 and record["series_number"] == 1 and record["modality"] == "CT"
    assert "PHANTOM" not in str(record) and "Phantom" not in str(record)


def test_a_tilted_gantry_is_a_shear_and_is_said(tmp_path: Path) -> None:
    write_series(tmp_path, "tilted")
    assert any("Gantry tilt of 15.0 degrees" in note for note in read_ct(tmp_path).source.notes)


def test_a_single_slice_has_its_thickness(tmp_path: Path) -> None:
    path = write_series(tmp_path)[3]
    volume = read_ct(path)
    assert volume.shape == (14, 11, 1)
    np.testing.assert_allclose(volume.spacing_mm, (0.7, 0.9, 2.5))
    edit([path], lambda dataset, _: delattr(dataset, "SliceThickness"))
    with pytest.raises(InputError, match=r"expected a thickness for a single slice, got none: give a series"):
        read_ct(path)


def test_uids_come_from_the_file_meta_where_the_data_set_has_none(tmp_path: Path) -> None:
    paths = write_series(tmp_path)
    wanted = [pydicom.dcmread(path).SOPInstanceUID for path in paths]

    def blank(dataset: pydicom.Dataset, _: int) -> None:
        for keyword in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
            setattr(dataset, keyword, "")

    for number, path in enumerate(paths):
        dataset = pydicom.dcmread(path)
        blank(dataset, number)
        pydicom.dcmwrite(path, dataset, enforce_file_format=False)
    source = read_ct(tmp_path).source
    assert [one.sop_instance_uid for one in source.slices] == wanted
    assert source.series_uid == read_ct(tmp_path).source.series_uid
    assert (
        source.series_uid and source.series_uid.startswith("2.25.") and source.series_uid != source.study_uid
    )
    assert any("7 files name another instance in the file meta" in note for note in source.notes)
    assert any("were derived from the instances' UIDs" in note for note in source.notes)


def test_missing_paths_and_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none: expected a CT, got no such file or folder: check the path"):
        read_ct(tmp_path / "none")
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(
        InputError, match=r"expected a CT \(DICOM, zip, NIfTI, NRRD\), got 1 other file: check"
    ):
        read_ct(tmp_path)
    with pytest.raises(InputError, match=r"a\.txt: expected a CT \(DICOM.*got 1 other file: check"):
        read_ct(tmp_path / "a.txt")


def test_unreadable_paths_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(InputError, match=r"expected a readable CT, got 'permission denied'"):
        read_ct(tmp_path)


@pytest.mark.shared_data
def test_a_real_series_with_blank_uids(shared_data: Path) -> None:
    volume = read_ct(shared_data / "ct_dicom" / "siemens")
    assert volume.shape == (512, 512, 20)
    np.testing.assert_allclose(volume.spacing_mm, (0.9765625, 0.9765625, 2.0))
    assert (volume.voxels_hu.min(), volume.voxels_hu.max()) == (-1024, 1839)
    assert len({one.sop_instance_uid for one in volume.source.slices}) == 20


@pytest.mark.shared_data
def test_a_real_series_with_padding(shared_data: Path) -> None:
    volume = read_ct(shared_data / "ct_dicom" / "dcmqi" / "ct-3slice")
    np.testing.assert_allclose(volume.affine_ras_mm[:3, 3], (235.199997, 226.800003, -128.690002))
    assert volume.voxels_hu.min() == -1024
    assert any("are padding outside the scan" in note for note in volume.source.notes)
