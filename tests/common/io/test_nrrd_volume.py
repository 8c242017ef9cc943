"""NRRD as 3D Slicer writes it: both spaces, and what is refused."""

from __future__ import annotations

from pathlib import Path

import nrrd
import numpy as np
import pytest
from ct_cases import ORIENTATIONS, hu_volume

from common.errors import InputError
from common.geometry import lps_from_ras
from common.io.ct_volume import read_ct
from common.io.nrrd_volume import read_label_nrrd

AFFINE = ORIENTATIONS["oblique"]


def save(path: Path, values: np.ndarray, affine: np.ndarray, **header: object) -> Path:
    fields = {
        "space": "right-anterior-superior",
        "space directions": affine[:3, :3].T,
        "space origin": affine[:3, 3],
        **header,
    }
    nrrd.write(str(path), values, {key: value for key, value in fields.items() if value is not None})
    return path


@pytest.mark.parametrize(
    ("space", "affine"),
    [("left-posterior-superior", lps_from_ras(AFFINE)), ("right-anterior-superior", AFFINE)],
)
def test_both_spaces(tmp_path: Path, space: str, affine: np.ndarray) -> None:
    volume = read_ct(save(tmp_path / "a.nrrd", hu_volume(), affine, space=space))
    np.testing.assert_array_equal(volume.voxels_hu, hu_volume())
    np.testing.assert_allclose(volume.affine_ras_mm, AFFINE)
    assert (volume.source.format, volume.source.header) == ("NRRD", None)


def test_label_maps(tmp_path: Path) -> None:
    labels = (hu_volume() > 100).astype(np.int16) * 3
    found, affine = read_label_nrrd(save(tmp_path / "a.seg.nrrd", labels, AFFINE))
    np.testing.assert_array_equal(found, labels)
    np.testing.assert_allclose(affine, AFFINE)
    assert found.dtype == np.uint8


@pytest.mark.parametrize("field", ["space", "space directions", "space origin"])
def test_a_missing_position_is_refused(tmp_path: Path, field: str) -> None:
    fields = {"space": None, "space directions": None, "space origin": None}
    save(tmp_path / "a.nrrd", hu_volume(), AFFINE, **(fields if field == "space" else {field: None}))
    with pytest.raises(
        InputError, match=r"expected a position in the patient \(space LPS or RAS\), got none"
    ):
        read_ct(tmp_path / "a.nrrd")


def test_layers_are_refused(tmp_path: Path) -> None:
    nrrd.write(str(tmp_path / "a.nrrd"), np.zeros((2, 4, 5, 6), np.uint8))
    with pytest.raises(InputError, match=r"a\.nrrd: expected a 3D volume, got 4D: save one volume or layer"):
        read_ct(tmp_path / "a.nrrd")


@pytest.mark.parametrize("bytes_left", [20, -300])
def test_cut_files_are_refused(tmp_path: Path, bytes_left: int) -> None:
    path = save(tmp_path / "a.nrrd", hu_volume(), AFFINE)
    path.write_bytes(path.read_bytes()[:bytes_left])
    with pytest.raises(InputError, match=r"a\.nrrd: expected (an intact NRRD file|a 3D volume)"):
        read_ct(path)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.nrrd").write_text("hello")
    with pytest.raises(
        InputError, match=r"a\.nrrd: expected an intact NRRD file, got one that cannot be read"
    ):
        read_ct(tmp_path / "a.nrrd")
