"""The export experiment cuts the squares that it says; its second process answers as the network."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from experiment.ksam_export import cut_pictures, run_plainly
from toy_ksam import SIZE_PX, build_toy

from ksam.script import save_script


def test_squares_left_and_right_of_the_middle(tmp_path: Path) -> None:
    """100 HU is the centre of the window; of 120 columns the squares hold 20 to 60 and 60 to 100."""
    voxels = np.full((120, 120, 5), -1000, np.int16)  # left, posterior, superior
    voxels[30:60, 45:75], voxels[60:90, 45:75] = 100, 350
    voxels[:, :, (0, 1, 3, 4)] = -1000
    nib.save(nib.Nifti1Image(voxels, np.diag([-1.0, -1, 3, 1])), tmp_path / "ct.nii.gz")
    pictures = cut_pictures(tmp_path / "ct.nii.gz", 1, 32)
    assert pictures.shape == (2, 3, 32, 32)
    middle = pictures[:, :, 8:24, 10:22].amax((1, 2, 3)), pictures[:, :, 8:24, 10:22].amin((1, 2, 3))
    for values in middle:
        np.testing.assert_allclose(values, [127.5, 255], atol=1)


def test_the_second_process_answers_as_the_network(tmp_path: Path) -> None:
    network, pictures = build_toy(), torch.rand(3, 3, SIZE_PX, SIZE_PX) * 255
    templates = torch.randint(0, 256, (2, 1, 3, SIZE_PX, SIZE_PX)).float()
    network.set_bank(templates, (templates[:, :, :1] > 128).float())
    save_script(network, tmp_path / "model.ts")
    with torch.no_grad():
        torch.testing.assert_close(run_plainly(tmp_path, pictures), network(pictures), rtol=1e-4, atol=1e-4)
