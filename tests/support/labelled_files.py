"""A small labelled CT and a labelled picture as files, for tools that make prompts."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
from PIL import Image

SHAPE = (6, 7, 5)
"""(R, C, Z) of the axial view: rows to posterior, columns to the left, slices to superior."""

SPACING_MM = (0.5, 0.75, 2.0)


def axial_hu() -> np.ndarray:
    """(R, C, Z) int16, every voxel different."""
    return (np.arange(np.prod(SHAPE)) * 5 - 1000).astype(np.int16).reshape(SHAPE)


def axial_labels() -> np.ndarray:
    """(R, C, Z): 1 in slices 1 to 3 (4, 6, 2 pixels), 2 in slices 2 and 3 (1, 3 pixels)."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[0:2, 0:2, 1], labels[0:2, 0:3, 2], labels[0:2, 0, 3] = 1, 1, 1
    labels[4, 4, 2], labels[4, 4:7, 3] = 2, 2
    return labels


def write_sagittal(axial: np.ndarray, path: Path) -> Path:
    """NIfTI with axes right, superior, anterior: nothing stands as in the axial view."""
    values = axial[::-1, ::-1].transpose(1, 2, 0)
    row_mm, column_mm, slice_mm = SPACING_MM
    affine = np.zeros((4, 4))
    affine[0, 0], affine[2, 1], affine[1, 2], affine[3, 3] = column_mm, slice_mm, row_mm, 1
    nibabel.Nifti1Image(np.ascontiguousarray(values), affine).to_filename(path)
    return path


def write_ct(folder: Path) -> tuple[Path, Path]:
    """Image and label map."""
    folder.mkdir(parents=True, exist_ok=True)
    return (
        write_sagittal(axial_hu(), folder / "ct.nii.gz"),
        write_sagittal(axial_labels(), folder / "labels.nii.gz"),
    )


def picture_labels() -> np.ndarray:
    """(8, 9) as REFUGE has them: 0 cup, 128 rim, 255 background."""
    labels = np.full((8, 9), 255, np.uint8)
    labels[1:6, 1:6], labels[2:4, 2:4] = 128, 0
    return labels


def write_picture(folder: Path) -> tuple[Path, Path]:
    """Picture and mask."""
    folder.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(1).integers(0, 256, (8, 9, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "eye.png")
    Image.fromarray(picture_labels()).save(folder / "mask.png")
    return folder / "eye.png", folder / "mask.png"
