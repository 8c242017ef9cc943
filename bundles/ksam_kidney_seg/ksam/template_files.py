"""A template's files: pixels that keep their values, and one mask picture for each structure."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
from PIL import Image

from common.errors import InputError
from common.io.files import atomic_path


def write_slice(image: np.ndarray, spacing_mm: tuple[float, float] | None, stem: Path) -> Path:
    """Write a CT slice as NIfTI (HU unchanged, viewers show it upright) or a picture as PNG.

    Args:
        image: (r, c) HU, rows to posterior and columns to the patient's left; or (r, c, 3) uint8.
        spacing_mm: row and column spacing; unknown spacings are written as 1 mm.
        stem: path without its suffix.

    Returns:
        The file.

    Raises:
        OutputError: it cannot be written.
    """
    path = stem.with_suffix(".png" if image.ndim == 3 else ".nii.gz")
    with atomic_path(path) as temporary:
        if image.ndim == 3:
            Image.fromarray(image).save(temporary)
        else:
            row_mm, column_mm = spacing_mm or (1.0, 1.0)
            affine = np.diag([-column_mm, -row_mm, 1.0, 1.0])  # i to the left, j to posterior, in RAS
            nibabel.Nifti1Image(image.T[:, :, None], affine).to_filename(temporary)
    return path


def read_slice(path: Path) -> np.ndarray:
    """What `write_slice` wrote, or another single slice NIfTI or 8-bit picture.

    Returns:
        (r, c) int16 or float32 HU, rows to posterior and columns to the patient's left; or (r, c, 3) uint8.

    Raises:
        InputError: not readable, or more than one slice.
    """
    try:
        if path.suffix != ".gz" and path.suffix != ".nii":
            with Image.open(path) as picture:
                return np.array(picture.convert("RGB"))
        volume = nibabel.as_closest_canonical(nibabel.load(path))
        values = np.asanyarray(volume.dataobj)
    except Exception as error:  # decoders raise anything on damaged files
        raise InputError(
            f"{path.name}: expected a template's slice, got a file that cannot be read "
            f"({type(error).__name__}): make the template again"
        ) from error
    if values.ndim != 3 or values.shape[2] != 1:
        raise InputError(f"{path.name}: expected one axial slice, got {values.shape}: cut out one slice")
    upright = np.ascontiguousarray(values[::-1, ::-1, 0].T)
    return upright if upright.dtype == np.int16 else upright.astype(np.float32)


def write_mask(mask: np.ndarray, path: Path) -> None:
    """(r, c) bool -> PNG of 0 and 255. Raises OutputError."""
    with atomic_path(path) as temporary:
        Image.fromarray(np.where(mask, 255, 0).astype(np.uint8)).save(temporary)


def read_mask(path: Path) -> np.ndarray:
    """(r, c) bool: everything that is not black. Raises InputError."""
    try:
        with Image.open(path) as picture:
            return np.any(np.array(picture.convert("RGB")), axis=2)
    except Exception as error:  # decoders raise anything on damaged files
        raise InputError(
            f"{path.name}: expected a mask picture, got a file that cannot be read "
            f"({type(error).__name__}): make the template again"
        ) from error
