"""A few slices of a square around each kidney: small volumes, where whole abdomens would take too long."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from common.errors import ConfigError
from common.io.files import atomic_path

from .ct_labels import CORTEX, MEDULLA
from .ct_scan import Images

EDGE_MM = 120.0
"""A kidney with the trunk of its artery."""

MAX_SLICES = 64


def write_squares(images: Images, folder: Path, name: str, slices: int) -> list[dict[str, str]]:
    """squares/images/NAME_a.nii.gz (HU) and squares/labels/NAME_a.nii.gz, the other kidney as b.

    Args:
        images: of an axial scan; a kidney of fewer slices than asked for gives those that it has.
        slices: of each kidney, evenly spaced from its lower to its upper end.

    Returns:
        Entries of a datalist in the folder `squares`.

    Raises:
        ConfigError: not 1 to `MAX_SLICES` slices.
        OutputError: no room.
    """
    if not 1 <= slices <= MAX_SLICES:
        raise ConfigError(f"squares: expected 1 to {MAX_SLICES} slices, got {slices}: 4 is usual")
    kidneys = np.isin(images.labels, (CORTEX, MEDULLA))
    columns = np.flatnonzero(kidneys.any(axis=(1, 2)))
    middle = (int(columns[0]) + int(columns[-1])) // 2
    halves = (slice(None, middle), slice(middle, None))
    return [
        _write(
            images,
            _cut(kidneys, half, slices, images.scan.spacing_mm),
            folder / "squares",
            f"{name}_{end}",
            name,
        )
        for half, end in zip(halves, "ab", strict=True)
    ]


def _cut(kidneys: np.ndarray, half: slice, slices: int, spacing_mm: Any) -> tuple[slice, slice, slice]:
    """The square and the slices of one kidney."""
    own = np.zeros_like(kidneys)
    own[half] = kidneys[half]
    cut = []
    for axis in range(2):
        places = np.flatnonzero(own.any(axis=tuple({0, 1, 2} - {axis})))
        side = min(round(EDGE_MM / float(spacing_mm[axis])), own.shape[axis])
        first = int(np.clip((places[0] + places[-1] + 1 - side) // 2, 0, own.shape[axis] - side))
        cut.append(slice(first, first + side))
    places = np.flatnonzero(own.any(axis=(0, 1)))
    step = max(1, len(places) // slices)
    first = int(places[0]) + step // 2
    return cut[0], cut[1], slice(first, min(first + slices * step, int(places[-1]) + 1), step)


def _write(
    images: Images, cut: tuple[slice, slice, slice], folder: Path, stem: str, patient: str
) -> dict[str, str]:
    affine = images.scan.affine_ras_mm.copy()
    affine[:3, 3] += affine[:3, :3] @ [part.start for part in cut]
    affine[:3, 2] *= cut[2].step
    entry = {"image": f"images/{stem}.nii.gz", "label": f"labels/{stem}.nii.gz", "patient": patient}
    for path, voxels in ((entry["image"], images.voxels_hu), (entry["label"], images.labels)):
        with atomic_path(folder / path) as temporary:
            nib.save(nib.Nifti1Image(np.ascontiguousarray(voxels[cut]), affine), temporary)
    return entry
