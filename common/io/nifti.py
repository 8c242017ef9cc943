"""NIfTI: CT volumes and label maps in, masks out with the header of the volume that they belong to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from ..errors import InputError
from ..geometry import check_affine
from .ct_types import CtVolume, Source
from .files import atomic_path
from .hounsfield import check_size, checked_hu

SUFFIXES = (".nii", ".nii.gz")


def is_nifti(path: Path) -> bool:
    """By its name."""
    return path.is_file() and path.name.lower().endswith(SUFFIXES)


def read_nifti(path: str | Path) -> CtVolume:
    """A 3D CT in HU; a fourth axis of length one is dropped.

    Raises:
        InputError: damaged, 4D, without a usable affine, too large, or values that are not HU.
    """
    path = Path(path)
    image = _open(path)
    affine, note = _affine(image, path.name)
    voxels = checked_hu(_values(image, path.name), path.name)
    notes = (f"{path.name} was read as HU.", *note)
    return CtVolume(voxels, affine, Source("NIfTI", path.name, 1, notes=notes, header=image.header.copy()))


def read_label_nifti(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Labels (I, J, K) in a small integer type, and their affine_ras_mm (4, 4).

    Raises:
        InputError: damaged, 4D, without a usable affine, or values that are not whole numbers.
    """
    path = Path(path)
    image = _open(path)
    affine, _ = _affine(image, path.name)
    return as_labels(_values(image, path.name), path.name), affine


def as_labels(values: np.ndarray, name: str) -> np.ndarray:
    """Whole numbers 0..65535 as uint8 or uint16. Raises InputError: other values."""
    low, high = (float(values.min()), float(values.max())) if values.dtype.kind in "iufb" else (-1.0, -1.0)
    if not 0 <= low <= high <= 65535:
        raise InputError(f"{name}: expected labels 0 to 65535, got {low:g} to {high:g}: give a label map")
    labels = values.astype(np.uint8 if high <= 255 else np.uint16)
    if not np.array_equal(labels, values):
        raise InputError(f"{name}: expected whole labels, got fractions: give a label map, not probabilities")
    return labels


def write_nifti_mask(mask: np.ndarray, volume: CtVolume, path: str | Path) -> None:
    """Write labels (I, J, K) on the grid of a volume, with its affine and, from NIfTI, its codes and units.

    Raises:
        InputError: the shapes differ.
        OutputError: cannot be written.
    """
    if mask.shape != volume.shape:
        raise InputError(
            f"mask: expected the shape {volume.shape} of the CT, got {mask.shape}: from_axial() it"
        )
    labels = as_labels(np.asarray(mask), "mask")
    image = nib.Nifti1Image(labels, volume.affine_ras_mm)
    header = volume.source.header
    codes = (int(header["sform_code"]), int(header["qform_code"])) if header is not None else (1, 1)
    image.set_sform(volume.affine_ras_mm, codes[0] or 1)
    if codes[1]:
        image.set_qform(volume.affine_ras_mm, codes[1])
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = b"labels"
    with atomic_path(path) as temporary:
        nib.save(image, temporary)


def _open(path: Path) -> Any:
    try:
        image: Any = nib.load(path)
    except Exception as error:  # gzip, zlib and nibabel raise anything on damaged data
        raise InputError(_damaged(path.name)) from error
    shape = image.shape
    if len(shape) == 4 and shape[3] == 1:
        image = image.slicer[..., 0]
    if len(image.shape) != 3:
        raise InputError(
            f"{path.name}: expected a 3D volume, got {len(shape)}D ({' x '.join(map(str, shape))}): save one"
        )
    check_size(image.shape, path.name)
    return image


def _values(image: Any, name: str) -> np.ndarray:
    """Voxels after the header's slope and intercept; integers stay integers without them."""
    try:
        slope, intercept = image.header.get_slope_inter()
        if slope is None or (slope, intercept) == (1.0, 0.0):
            return np.asanyarray(image.dataobj)
        return image.get_fdata(dtype=np.float32, caching="unchanged")
    except Exception as error:  # gzip, zlib and mmap raise anything on damaged data
        raise InputError(_damaged(name)) from error


def _affine(image: Any, name: str) -> tuple[np.ndarray, tuple[str, ...]]:
    header = image.header
    if isinstance(image, nib.Nifti1Image) and not header["sform_code"] and not header["qform_code"]:
        raise InputError(
            f"{name}: expected a position in the patient (sform or qform), got none: convert the DICOM again"
        )
    scale = {"meter": 1000.0, "micron": 0.001}.get(header.get_xyzt_units()[0], 1.0)
    affine = np.array(image.affine, np.float64)
    affine[:3] *= scale
    note = (f"The affine was in {header.get_xyzt_units()[0]}s and was turned into mm.",) if scale != 1 else ()
    return check_affine(affine, name), note


def _damaged(name: str) -> str:
    return f"{name}: expected an intact NIfTI file, got one that cannot be read (truncated?): copy it again"
