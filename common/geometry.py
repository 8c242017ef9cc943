"""Where one unit or set of axes becomes another: microns per pixel and x-factors, LPS and RAS, axial views.

Spaces of volumes: ijk are voxel indices (the centre of the first voxel is 0, 0, 0); the
axes of ras_mm point to the patient's right, anterior and superior (NIfTI); those of lps_mm to the left,
posterior and superior (DICOM). An affine (4, 4) float64 maps ijk to millimetres.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass

import numpy as np

from .errors import ConfigError, InputError

MPP_AT_X1 = 10.0
"""Microns per pixel at x1: the convention that makes x20 0.5 um/px and x40 0.25 um/px."""

MAX_MPP = 100.0
"""Microns per pixel above which nothing is a microscope slide (x0.1)."""

_X_FACTOR = re.compile(r"(?:[x×]\s*([0-9.eE+-]+)|([0-9.eE+-]+)\s*[x×]?)")  # noqa: RUF001
_MICRONS = re.compile(r"([0-9.eE+-]+)\s*(?:mpp|[uµμ]m(?:/px|/pixel)?|microns?)")


def mpp_from_magnification(magnification: float) -> float:
    """Microns per pixel of an x-factor: mpp = 10 / x.

    Raises:
        ConfigError: not a positive number, or beyond `MAX_MPP`.
    """
    return _checked_mpp(MPP_AT_X1 / magnification if magnification > 0 else -1.0, f"x{magnification:g}")


def magnification_from_mpp(mpp: float) -> float:
    """The x-factor of a pixel size: x = 10 / mpp.

    Raises:
        ConfigError: not in (0, `MAX_MPP`] um/px.
    """
    return MPP_AT_X1 / _checked_mpp(mpp, f"{mpp:g} um/px")


def parse_scale(scale: str | float) -> float:
    """A scale as people write it, in microns per pixel.

    Args:
        scale: "x20", "20x" or a bare number (an x-factor); "0.5mpp", "0.5um" or "0.5 um/px".

    Raises:
        ConfigError: not one of these forms, or outside (0, `MAX_MPP`] um/px.
    """
    text = str(scale).strip().lower()
    microns, factor = _MICRONS.fullmatch(text), _X_FACTOR.fullmatch(text)
    try:
        if microns:
            return _checked_mpp(float(microns[1]), text)
        if factor and not isinstance(scale, bool):
            return mpp_from_magnification(float(factor[1] or factor[2]))
    except ValueError:
        pass
    raise ConfigError(f"scale: expected 'x20', '20x', 20 or '0.5um', got '{text}': write one of these forms")


def _checked_mpp(mpp: float, written: str) -> float:
    if not 0 < mpp <= MAX_MPP:
        raise ConfigError(
            f"scale: expected 0 < um/px <= {MAX_MPP:g}, got {written}: give an x-factor or microns per pixel"
        )
    return mpp


_LPS_FROM_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def ras_from_lps(affine: np.ndarray) -> np.ndarray:
    """An affine to lps_mm as one to ras_mm (4, 4). The same turn leads back: see `lps_from_ras`."""
    return _LPS_FROM_RAS @ np.asarray(affine, np.float64)


def lps_from_ras(affine: np.ndarray) -> np.ndarray:
    """An affine to ras_mm as one to lps_mm (4, 4)."""
    return _LPS_FROM_RAS @ np.asarray(affine, np.float64)


def world_points(affine: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points through an affine: (N, 3) -> (N, 3)."""
    affine = np.asarray(affine, np.float64)
    return np.asarray(points, np.float64) @ affine[:3, :3].T + affine[:3, 3]


def axis_lengths_mm(affine: np.ndarray) -> np.ndarray:
    """Millimetres per voxel along each axis (3,). The third is measured at right angles to the slices.

    So the product is a voxel's volume, and equals the column lengths for everything but a gantry tilt.
    """
    columns = np.asarray(affine, np.float64)[:3, :3]
    lengths = np.linalg.norm(columns, axis=0)
    normal = np.cross(columns[:, 0], columns[:, 1])
    return np.array([lengths[0], lengths[1], abs(columns[:, 2] @ normal) / np.linalg.norm(normal)])


def check_affine(affine: np.ndarray, name: str) -> np.ndarray:
    """An affine (4, 4) float64 that a CT can have: finite, rows at right angles to columns, not flat.

    Slices may be shifted against each other (gantry tilt) by up to 60 degrees.

    Raises:
        InputError: not so.
    """
    affine = np.asarray(affine, np.float64)
    usable = affine.shape == (4, 4) and np.isfinite(affine).all() and (affine[3] == (0, 0, 0, 1)).all()
    lengths = np.linalg.norm(affine[:3, :3], axis=0) if usable else np.zeros(3)
    if not ((lengths > MIN_VOXEL_MM) & (lengths < MAX_VOXEL_MM)).all():
        raise InputError(
            f"{name}: expected voxels of {MIN_VOXEL_MM:g} to {MAX_VOXEL_MM:g} mm, got an affine with "
            "others: export the volume again"
        )
    cosines = affine[:3, :3] / lengths
    if abs(cosines[:, 0] @ cosines[:, 1]) > MAX_SKEW or axis_lengths_mm(affine)[2] < lengths[2] / 2:
        raise InputError(
            f"{name}: expected rows, columns and slices at right angles, got a skewed grid: resample it"
        )
    return affine


MIN_VOXEL_MM, MAX_VOXEL_MM = 0.01, 100.0
"""Between micro-CT and a localizer: outside, the affine is missing or not in millimetres."""

MAX_SKEW = 1e-3
"""Largest cosine between rows and columns: rounded headers stay below, a sheared picture above."""


@dataclass(frozen=True)
class AxialOrientation:
    """How voxel axes become (rows to posterior, columns to the left, slices to superior).

    Attributes:
        axes: for rows, columns, slices: which voxel axis (0, 1, 2) it is.
        flips: for rows, columns, slices: whether that axis runs the other way.
    """

    axes: tuple[int, int, int]
    flips: tuple[bool, bool, bool]

    def to_axial(self, voxels: np.ndarray) -> np.ndarray:
        """(I, J, K) -> (R, C, Z), a view."""
        return np.flip(voxels.transpose(self.axes), self._flipped)

    def from_axial(self, voxels: np.ndarray) -> np.ndarray:
        """(R, C, Z) -> (I, J, K), a view."""
        return np.flip(voxels, self._flipped).transpose(np.argsort(self.axes))

    @property
    def _flipped(self) -> tuple[int, ...]:
        return tuple(axis for axis in range(3) if self.flips[axis])

    def affine(self, affine_ras_mm: np.ndarray, shape_ijk: tuple[int, ...]) -> np.ndarray:
        """The affine (4, 4) from (r, c, z) to ras_mm."""
        to_ijk = np.zeros((4, 4))
        to_ijk[3, 3] = 1
        for axis, source, flip in zip(range(3), self.axes, self.flips, strict=True):
            to_ijk[source, axis] = -1 if flip else 1
            to_ijk[source, 3] = shape_ijk[source] - 1 if flip else 0
        return np.asarray(affine_ras_mm, np.float64) @ to_ijk


def axial_orientation(affine_ras_mm: np.ndarray) -> AxialOrientation:
    """The permutation and flips nearest to an axial view as radiologists see it. Nothing is resampled.

    Of the six permutations the one whose axes lie closest to the patient's (largest sum of absolute
    cosines) is taken; ties, at 45 degrees, go to the first, which keeps the voxel axes.
    """
    columns = np.asarray(affine_ras_mm, np.float64)[:3, :3]
    cosines = columns / np.linalg.norm(columns, axis=0)
    wanted = np.array([[0, -1, 0], [-1, 0, 0], [0, 0, 1]]) @ cosines  # rows: posterior, left, superior
    orders = [(1, 0, 2), *itertools.permutations(range(3))]
    best = max(orders, key=lambda order: round(sum(abs(wanted[n, axis]) for n, axis in enumerate(order)), 6))
    rows, columns_, slices = (bool(wanted[n, axis] < 0) for n, axis in enumerate(best))
    return AxialOrientation((best[0], best[1], best[2]), (rows, columns_, slices))
