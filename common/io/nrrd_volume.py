"""NRRD (3D Slicer): CT volumes and label maps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nrrd
import numpy as np

from ..errors import InputError
from ..geometry import check_affine, ras_from_lps
from .ct_types import CtVolume, Source
from .hounsfield import check_size, checked_hu
from .nifti import as_labels

SUFFIXES = (".nrrd", ".nhdr")


def is_nrrd(path: Path) -> bool:
    """By its name."""
    return path.is_file() and path.name.lower().endswith(SUFFIXES)


def read_nrrd(path: str | Path) -> CtVolume:
    """A 3D CT in HU.

    Raises:
        InputError: damaged, not 3D, without a position in the patient, too large, or values that are not HU.
    """
    path = Path(path)
    values, affine = _read(path)
    source = Source("NRRD", path.name, 1, notes=(f"{path.name} was read as HU.",))
    return CtVolume(checked_hu(values, path.name), affine, source)


def read_label_nrrd(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Labels (I, J, K) in a small integer type, and their affine_ras_mm (4, 4).

    Raises:
        InputError: damaged, not 3D, without a position in the patient, or values that are not whole numbers.
    """
    path = Path(path)
    values, affine = _read(path)
    return as_labels(values, path.name), affine


def _read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    try:
        header = nrrd.read_header(str(path))
    except Exception as error:  # the parser raises anything on damaged text
        raise InputError(_damaged(path.name)) from error
    sizes = tuple(int(n) for n in header.get("sizes", ()))
    if len(sizes) != 3:
        raise InputError(f"{path.name}: expected a 3D volume, got {len(sizes)}D: save one volume or layer")
    check_size(sizes, path.name)
    affine = _affine(header, path.name)
    try:
        values, _ = nrrd.read(str(path))
    except Exception as error:  # decoders raise anything on damaged data
        raise InputError(_damaged(path.name)) from error
    return values, affine


def _affine(header: dict, name: str) -> np.ndarray:
    space = str(header.get("space", "")).lower()
    directions, origin = header.get("space directions"), header.get("space origin")
    known: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "left-posterior-superior": ras_from_lps,
        "lps": ras_from_lps,
        "right-anterior-superior": np.array,
        "ras": np.array,
    }
    if space not in known or directions is None or origin is None or np.shape(directions) != (3, 3):
        raise InputError(
            f"{name}: expected a position in the patient (space LPS or RAS), got none: export it again"
        )
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = np.asarray(directions, np.float64).T, origin
    return check_affine(known[space](affine), name)


def _damaged(name: str) -> str:
    return f"{name}: expected an intact NRRD file, got one that cannot be read (truncated?): copy it again"
