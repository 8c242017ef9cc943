"""NIfTI in and out: values, affines and codes, and what is refused."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from ct_cases import ORIENTATIONS, hu_volume, write_series

from common.errors import InputError
from common.io.ct_volume import read_ct
from common.io.nifti import read_label_nifti, write_nifti_mask


def save(path: Path, values: np.ndarray, affine: np.ndarray = ORIENTATIONS["oblique"]) -> Path:
    image = nib.Nifti1Image(values, affine)
    image.header.set_xyzt_units("mm")
    nib.save(image, path)
    return path


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "A.NII.GZ"])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_values_and_affine(tmp_path: Path, name: str, orientation: str) -> None:
    volume = read_ct(
        save(tmp_path / name.lower(), hu_volume(), ORIENTATIONS[orientation]).rename(tmp_path / name)
    )
    assert volume.voxels_hu.dtype == np.int16
    np.testing.assert_array_equal(volume.voxels_hu, hu_volume())
    np.testing.assert_allclose(volume.affine_ras_mm, ORIENTATIONS[orientation], rtol=1e-6, atol=1e-5)
    assert volume.source.as_record()["format"] == "NIfTI"


def test_kinds_of_values(tmp_path: Path) -> None:
    half = hu_volume().astype(np.float32) + 0.5
    assert read_ct(save(tmp_path / "a.nii", half)).voxels_hu.dtype == np.float32
    whole = read_ct(save(tmp_path / "b.nii", hu_volume().astype(np.float64))).voxels_hu
    assert whole.dtype == np.int16
    np.testing.assert_array_equal(whole, hu_volume())


def test_slope_and_intercept_of_the_header(tmp_path: Path) -> None:
    image = nib.Nifti1Image((hu_volume() + 1024).astype(np.uint16), np.eye(4))
    image.header.set_slope_inter(1, -1024)
    image.header["magic"] = b"n+1"
    nib.save(image, tmp_path / "a.nii")
    stored = nib.load(tmp_path / "a.nii")
    assert stored.get_fdata().min() < 0
    np.testing.assert_allclose(read_ct(tmp_path / "a.nii").voxels_hu, stored.get_fdata())


def test_a_fourth_axis_of_one_is_dropped(tmp_path: Path) -> None:
    volume = read_ct(save(tmp_path / "a.nii", hu_volume()[..., None]))
    np.testing.assert_array_equal(volume.voxels_hu, hu_volume())


def test_micrometres_become_millimetres(tmp_path: Path) -> None:
    image = nib.Nifti1Image(hu_volume(), np.diag([800.0, 800, 2000, 1]))
    image.header.set_xyzt_units("micron")
    nib.save(image, tmp_path / "a.nii")
    volume = read_ct(tmp_path / "a.nii")
    np.testing.assert_allclose(volume.spacing_mm, (0.8, 0.8, 2.0))
    assert "The affine was in microns and was turned into mm." in volume.source.notes


def test_four_dimensions_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "a.nii", np.stack([hu_volume()] * 2, axis=-1))
    with pytest.raises(
        InputError, match=r"a\.nii: expected a 3D volume, got 4D \(14 x 11 x 7 x 2\): save one"
    ):
        read_ct(tmp_path / "a.nii")


def test_a_missing_position_is_refused(tmp_path: Path) -> None:
    image = nib.Nifti1Image(hu_volume(), None)
    image.header["sform_code"] = image.header["qform_code"] = 0
    nib.save(image, tmp_path / "a.nii")
    with pytest.raises(InputError, match=r"expected a position in the patient \(sform or qform\), got none"):
        read_ct(tmp_path / "a.nii")


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("part", [0.02, 0.5])
def test_cut_files_are_refused(tmp_path: Path, name: str, part: float) -> None:
    save(tmp_path / name, hu_volume((40, 40, 40)))
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(len(content) * part)])
    with pytest.raises(InputError, match=r"expected an intact NIfTI file, got one that cannot be read"):
        read_ct(tmp_path / name)


def test_nan_is_refused(tmp_path: Path) -> None:
    values = hu_volume().astype(np.float32)
    values[3, 3, 3:5] = (np.nan, np.inf)
    with pytest.raises(InputError, match=r"expected HU, got 2 voxels that are NaN or infinite: fill them"):
        read_ct(save(tmp_path / "a.nii", values))


def test_a_series_cannot_be_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected no series for this format, got '3': leave it away"):
        read_ct(save(tmp_path / "a.nii", hu_volume()), series=3)


def test_label_maps(tmp_path: Path) -> None:
    labels = np.zeros((5, 4, 3), np.float32)
    labels[1, 2] = 300
    found, affine = read_label_nifti(save(tmp_path / "a.nii", labels))
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, labels)
    np.testing.assert_allclose(affine, ORIENTATIONS["oblique"], atol=1e-5)
    for values, message in (
        (labels - 1, r"expected labels 0 to 65535, got -1 to 299: give a label map"),
        (labels + 0.5, r"expected whole labels, got fractions: give a label map, not probabilities"),
    ):
        with pytest.raises(InputError, match=message):
            read_label_nifti(save(tmp_path / "a.nii", values))


def test_a_mask_keeps_affine_and_codes(tmp_path: Path) -> None:
    image = nib.Nifti1Image(hu_volume(), None)
    image.set_qform(ORIENTATIONS["oblique"], code=1)
    image.set_sform(ORIENTATIONS["oblique"], code=2)
    nib.save(image, tmp_path / "ct.nii.gz")
    volume = read_ct(tmp_path / "ct.nii.gz")
    mask = volume.voxels_hu > 0
    write_nifti_mask(mask, volume, tmp_path / "mask.nii.gz")
    written = nib.load(tmp_path / "mask.nii.gz")
    np.testing.assert_array_equal(np.asanyarray(written.dataobj), mask)
    assert written.get_data_dtype() == np.uint8
    for ours, theirs in (
        (written.get_sform(True), image.get_sform(True)),
        (written.get_qform(True), image.get_qform(True)),
    ):
        assert ours[1] == theirs[1]
        np.testing.assert_allclose(ours[0], theirs[0], atol=1e-5)
    np.testing.assert_array_equal(written.affine, nib.load(tmp_path / "ct.nii.gz").affine)


@pytest.mark.parametrize("orientation", ["oblique", "tilted"])
def test_a_mask_of_a_dicom_ct_lies_where_the_ct_lies(tmp_path: Path, orientation: str) -> None:
    write_series(tmp_path / "ct", orientation)
    volume = read_ct(tmp_path / "ct")
    write_nifti_mask(volume.voxels_hu > 0, volume, tmp_path / "mask.nii.gz")
    labels, affine = read_label_nifti(tmp_path / "mask.nii.gz")
    np.testing.assert_array_equal(labels, volume.voxels_hu > 0)
    np.testing.assert_allclose(affine, volume.affine_ras_mm, atol=1e-4)
    with pytest.raises(
        InputError, match=r"mask: expected the shape \(14, 11, 7\) of the CT, got \(11, 14, 7\)"
    ):
        write_nifti_mask(volume.to_axial().voxels > 0, volume, tmp_path / "no.nii.gz")


@pytest.mark.shared_data
def test_a_real_ct(shared_data: Path) -> None:
    volume = read_ct(shared_data / "ct_abdomen" / "ct.nii.gz")
    assert volume.shape == (122, 101, 112)
    liver, affine = read_label_nifti(shared_data / "ct_abdomen" / "liver.nii.gz")
    np.testing.assert_allclose(affine, volume.affine_ras_mm, atol=1e-3)
    view = volume.to_axial()
    rows, columns, slices = (n.mean() for n in np.nonzero(volume.orientation.to_axial(liver)))
    assert columns < view.voxels.shape[1] / 2  # the liver lies at the picture's left
    assert 40 < volume.voxels_hu[liver > 0].mean() < 150
    spine_rows = np.nonzero(view.voxels[:, :, int(slices)] > 400)[0].mean()
    assert spine_rows > rows  # and the spine below it
