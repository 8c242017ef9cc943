"""Are these numbers Hounsfield units? A CT whose rescale was lost must not be segmented."""

from __future__ import annotations

import numpy as np

from ..errors import InputError

MAX_VOXELS = 10**9
"""Voxels of the largest volume read: 2 GB as int16, 512 x 512 x 3800."""

HU_LIMITS = (-32768, 32767)
"""int16, which holds the extended CT scale (metal up to 30710) and padding down to -32768."""

RAW_LEVEL = 500
"""Where nothing is negative, one voxel in ten above this is not HU (soft tissue 0 to 100) but stored values
(soft tissue near 1024)."""

PICTURE_LEVEL = 255
"""Where nothing is negative and nothing above this, is no air, fat or bone: an 8-bit picture or labels."""


def check_size(shape: tuple[int, ...], name: str) -> None:
    """Raises InputError: more than `MAX_VOXELS` voxels, or none."""
    count = int(np.prod([int(n) for n in shape], dtype=object))
    if not 0 < count <= MAX_VOXELS:
        raise InputError(
            f"{name}: expected 1 to {MAX_VOXELS} voxels, got {' x '.join(map(str, shape))}: crop the volume"
        )


def checked_hu(values: np.ndarray, name: str) -> np.ndarray:
    """HU as int16 where that loses nothing, otherwise as float32. Any shape.

    Raises:
        InputError: not numbers, NaN or infinite, outside `HU_LIMITS`, within 0..255, or without rescale.
    """
    if values.dtype.kind not in "iufb" or values.dtype == bool:
        raise InputError(f"{name}: expected HU, got voxels of type {values.dtype}: export the CT again")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        count = int((~np.isfinite(values)).sum())
        raise InputError(f"{name}: expected HU, got {count} voxels that are NaN or infinite: fill them")
    low, high = float(values.min()), float(values.max())
    if low < HU_LIMITS[0] or high > HU_LIMITS[1]:
        raise InputError(_not_hu(name, low, high, "are out of range"))
    if low >= 0 and high <= PICTURE_LEVEL:
        raise InputError(_not_hu(name, low, high, "are labels or were scaled to a picture"))
    if low >= 0 and np.percentile(_sample(values), 90) > RAW_LEVEL:
        raise InputError(_not_hu(name, low, high, "have no rescale (slope and intercept are missing)"))
    return _narrow(values)


def _sample(values: np.ndarray) -> np.ndarray:
    """Some ten thousand voxels, evenly taken along each axis."""
    step = max(1, round((values.size / 30_000) ** (1 / max(values.ndim, 1))))
    return values[tuple(slice(None, None, min(step, max(n // 2, 1))) for n in values.shape)]


def _narrow(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind in "iu":
        return values.astype(np.int16, copy=False)
    whole = all(bool((part == np.rint(part)).all()) for part in values.T)  # slice by slice: bounded memory
    return values.astype(np.int16 if whole else np.float32, copy=False)


def _not_hu(name: str, low: float, high: float, why: str) -> str:
    return f"{name}: expected a CT in HU, got values {low:g} to {high:g} that {why}: export the original CT"
