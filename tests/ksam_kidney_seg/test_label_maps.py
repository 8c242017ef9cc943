"""Label maps keep their values and their place, whatever file they come from."""

from __future__ import annotations

import nibabel as nib
import nrrd
import numpy as np
import pytest
from PIL import Image

from common.errors import InputError
from ksam.label_maps import LabelMap, read_label_map

AFFINE = np.array([[-0.7, 0, 0, 100], [0, -0.7, 0, 80], [0, 0, 2.5, -40], [0, 0, 0, 1]])


@pytest.fixture
def labels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 4, (6, 5, 4)).astype(np.uint8)


def lps_header(affine: np.ndarray) -> dict[str, object]:
    lps = np.diag([-1, -1, 1, 1]) @ affine
    return {
        "space": "left-posterior-superior",
        "space directions": lps[:3, :3].T,
        "space origin": lps[:3, 3],
    }


def test_nrrd_and_nifti_say_the_same(tmp_path, labels):
    nrrd.write(str(tmp_path / "a.nrrd"), labels, lps_header(AFFINE))
    nib.save(nib.Nifti1Image(labels.astype(np.float32)[..., None], AFFINE), tmp_path / "a.nii.gz")
    for name in ("a.nrrd", "a.nii.gz"):
        found = read_label_map(tmp_path / name)
        assert np.array_equal(found.values, labels)
        assert found.affine_ras_mm == pytest.approx(AFFINE)


def test_a_cropped_and_flipped_map_lands_at_its_place(labels):
    """Voxel (i, j, k) of the part is voxel (7 - k, i + 2, j + 1) of the image, worked by hand."""
    to_image = np.array([[0, 0, -1, 7], [1, 0, 0, 2], [0, 1, 0, 1], [0, 0, 0, 1]])
    part = LabelMap(labels.astype(np.int16), AFFINE @ to_image, "part.nrrd")
    whole = part.on_grid(AFFINE, (9, 10, 8), may_be_part=True)
    assert whole[7 - 3, 4 + 2, 2 + 1] == labels[4, 2, 3]
    assert np.array_equal(whole[4:8, 2:8, 1:6][::-1].transpose(1, 2, 0), labels)
    assert whole.sum() == labels.sum()
    with pytest.raises(
        InputError, match="expected labels on the grid of the image, 9x10x8 voxels, got 4x6x5"
    ):
        part.on_grid(AFFINE, (9, 10, 8))


@pytest.mark.parametrize("shift_voxels", [0.05, 0.3])
def test_a_shift_within_rounding_is_taken_and_a_real_one_refused(labels, shift_voxels):
    shifted = AFFINE.copy()
    shifted[2, 3] += 2.5 * shift_voxels
    label_map = LabelMap(labels.astype(np.int16), shifted, "a.nrrd")
    if shift_voxels < 0.1:
        assert np.array_equal(label_map.on_grid(AFFINE, labels.shape), labels)
    else:
        with pytest.raises(InputError, match="got voxels at other places or of another size"):
            label_map.on_grid(AFFINE, labels.shape)


def test_pictures_of_labels(tmp_path):
    values = np.array([[0, 128], [255, 3]], np.uint8)
    Image.fromarray(values).save(tmp_path / "grey.bmp")
    Image.fromarray(np.dstack([values] * 3)).save(tmp_path / "rgb.png")
    palette = Image.fromarray(values // 100)
    palette.putpalette([0, 0, 0, 250, 0, 0, 0, 250, 0])
    palette.save(tmp_path / "palette.png")
    Image.fromarray(np.dstack([values, np.full_like(values, 255)]), "LA").save(tmp_path / "la.png")
    assert read_label_map(tmp_path / "la.png").values.tolist() == values.tolist()
    assert read_label_map(tmp_path / "grey.bmp").values.tolist() == values.tolist()
    assert read_label_map(tmp_path / "rgb.png").values.tolist() == values.tolist()
    assert read_label_map(tmp_path / "palette.png").values.tolist() == (values // 100).tolist()


def test_refusals(tmp_path):
    with pytest.raises(InputError, match="expected a label map, got no such file"):
        read_label_map(tmp_path / "none.nii.gz")
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(InputError, match=r"expected NIfTI, NRRD or a lossless picture .*, got '\.txt': save"):
        read_label_map(tmp_path / "a.txt")
    Image.fromarray(np.eye(16, dtype=np.uint8) * 255).save(tmp_path / "a.jpg")
    with pytest.raises(InputError, match=r"expected NIfTI, NRRD or a lossless picture .*, got '\.jpg': save"):
        read_label_map(tmp_path / "a.jpg")
    (tmp_path / "a.png").write_text("x")
    with pytest.raises(InputError, match="expected an intact label map"):
        read_label_map(tmp_path / "a.png")
    Image.fromarray(np.random.default_rng(0).integers(0, 9, (4, 4, 3)).astype(np.uint8)).save(
        tmp_path / "a.png"
    )
    with pytest.raises(InputError, match="expected a grey or palette picture of labels, got colours"):
        read_label_map(tmp_path / "a.png")
    with pytest.raises(InputError, match="expected a volume of labels for a volume, got a picture"):
        LabelMap(np.zeros((4, 4), np.int16), None, "a.png").on_grid(AFFINE, (4, 4, 1))


@pytest.mark.parametrize(
    ("voxel", "message"), [(np.nan, "expected labels"), (-1000, "expected labels"), (0.5, "got fractions")]
)
def test_refused_values(tmp_path, voxel, message):
    values = np.zeros((3, 3, 3), np.float32)
    values[1, 1, 1] = voxel
    nib.save(nib.Nifti1Image(values, AFFINE), tmp_path / "a.nii")
    with pytest.raises(InputError, match=message):
        read_label_map(tmp_path / "a.nii")
