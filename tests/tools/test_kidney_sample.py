"""The demo's patient: series and truth on one grid, and the Dice of a result."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from phantoms import kidney_sample

from common.errors import InputError
from common.io.ct_volume import read_ct
from common.io.nifti import write_nifti_mask


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A coarse series with its truth."""
    folder = tmp_path_factory.mktemp("samples") / "patient"
    kidney_sample.make(folder, matrix=64, slice_mm=10.0)
    return folder


def test_series_and_truth_stand_side_by_side(sample: Path) -> None:
    volume = read_ct(sample)
    truth = nib.load(kidney_sample.truth_path(sample))
    assert {path.name for path in sample.parent.iterdir()} == {"patient", "patient_truth.nii.gz"}
    assert {1, 2} <= set(np.unique(np.asarray(truth.dataobj)))
    assert sorted(volume.shape) == sorted(truth.shape)


def test_truth_laid_onto_the_series_scores_one(
    sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    volume = read_ct(sample)
    truth = kidney_sample.read_on_one_grid(kidney_sample.truth_path(sample))
    canonical = nib.orientations.io_orientation(volume.affine_ras_mm)
    back = nib.orientations.ornt_transform([[0, 1], [1, 1], [2, 1]], canonical)
    labels = nib.orientations.apply_orientation(truth, back)
    write_nifti_mask(labels, volume, tmp_path / "labels.nii.gz")
    assert kidney_sample.main(["score", str(sample), "--result", str(tmp_path / "labels.nii.gz")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:] == ["  cortex   1.000", "  medulla  1.000", "  artery   1.000"]


def test_dice_by_hand() -> None:
    one, two = np.array([True, True, False]), np.array([False, True, True])
    assert kidney_sample.find_dice(one, two) == 0.5
    assert kidney_sample.find_dice(one & False, two & False) == 1


def test_another_grid_is_refused(sample: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match=r"expected a label map of \(3,\) voxels, got \(2,\): give"):
        kidney_sample.find_dice(np.zeros(3, bool), np.zeros(2, bool))
    assert kidney_sample.main(["score", str(sample), "--result", "none.nii.gz"]) == 1
    assert capsys.readouterr().err.startswith("error: none.nii.gz: expected")
