"""Slices of one series as a regular stack: order, duplicates, gaps, tilt, and the affine that follows."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from ..geometry import check_affine, ras_from_lps
from .dicom_header import Frame, Instance

MAX_STEP_ERROR = 0.05
"""Part of the distance between slices by which one may miss its regular place: 0.15 mm at 3 mm."""

NAMED_STEP_ERROR = 0.01
"""The same, above which it is said in the notes."""

MAX_DRIFT_PX = 0.25
"""Pixels by which a slice may miss the straight line through the first pixels of all slices."""

SAME_COSINE = 1e-3
"""Largest difference of direction cosines within a series: 0.06 degrees."""

MIN_TILT_DEG, MAX_TILT_DEG = 0.1, 45.0
"""Below, a shift between slices is rounding; above, no gantry leans so far."""


@dataclass(frozen=True)
class Plane:
    """One slice: a frame of an instance."""

    instance: Instance
    frame: Frame

    @property
    def label(self) -> str:
        """Words for messages."""
        number = self.instance.instance_number
        return f"slice {self.frame.index + 1 if self.frame.index is not None else number or 'without number'}"


@dataclass(frozen=True)
class Stack:
    """Slices in the order of K, along the normal of rows x columns, and their affine to ras_mm."""

    planes: tuple[Plane, ...]
    affine_ras_mm: np.ndarray
    notes: tuple[str, ...]


def build_stack(
    instances: tuple[Instance, ...], name: str, same_pixels: Callable[[Plane, Plane], bool]
) -> Stack:
    """Sort the frames of a series and find their affine.

    Rows and columns come from the orientation and the pixel spacing, K from the positions alone: neither file
    names nor instance numbers nor SliceThickness count. K runs along rows x columns, whatever the order of
    the files. Slices shifted evenly against each other (gantry tilt) become a shear in the affine.

    Args:
        same_pixels: whether two planes at one position hold the same picture.

    Raises:
        InputError: slices of different sizes or orientations, without position, doubled with other pixels,
            missing, irregularly spaced or irregularly shifted.
    """
    planes, notes = _without_copies([Plane(one, frame) for one in instances for frame in one.frames], name)
    _check_same_geometry(planes, name)
    normal = _axes(planes[0])[2]
    planes.sort(key=lambda plane: _along(plane, normal))
    planes, more = _without_doubles(planes, normal, name, same_pixels)
    step, even_more = _step(planes, normal, name)
    affine = np.eye(4)
    affine[:3, :2], affine[:3, 2], affine[:3, 3] = _in_plane(planes[0]), step, planes[0].frame.position_mm
    return Stack(tuple(planes), check_affine(ras_from_lps(affine), name), (*notes, *more, *even_more))


def _without_copies(planes: list[Plane], name: str) -> tuple[list[Plane], list[str]]:
    """Drop files that repeat an instance. Raises InputError: one UID for two positions."""
    first: dict[tuple[str, int | None], Plane] = {}
    kept, copies = [], 0
    for plane in planes:
        key = plane.instance.sop_instance_uid, plane.frame.index
        known = first.setdefault(key, plane) if key[0] else plane
        if known is plane:
            kept.append(plane)
        elif known.frame == plane.frame:
            copies += 1
        else:
            raise InputError(
                f"{name}: expected a UID per slice, got one for {known.label} and {plane.label}: export again"
            )
    return kept, [f"Left out {_slices(copies)} that came twice as a file."] if copies else []


def _check_same_geometry(planes: list[Plane], name: str) -> None:
    """Raises InputError: no position, or not all slices of one size, spacing and orientation."""
    bare = [p for p in planes if None in (p.frame.position_mm, p.frame.orientation, p.frame.spacing_mm)]
    if bare:
        raise InputError(
            f"{name}: expected slices with position, orientation and pixel spacing, got {len(bare)} without: "
            "export the original series"
        )
    sizes = Counter((p.frame.columns, p.frame.rows) for p in planes)
    if len(sizes) > 1 or 0 in next(iter(sizes)):
        found = ", ".join(f"{w} x {h} ({count})" for (w, h), count in sizes.most_common(4))
        raise InputError(f"{name}: expected slices of one size, got {found}: separate the series")
    first = planes[0].frame
    for what, tolerance in (("orientation", SAME_COSINE), ("spacing_mm", 1e-3)):
        values = np.array([getattr(p.frame, what) for p in planes])
        odd = int((np.abs(values - np.array(getattr(first, what))).max(axis=1) > tolerance).sum())
        if odd:
            words = what.replace("_mm", "").replace("spacing", "pixel spacing")
            raise InputError(
                f"{name}: expected slices of one {words}, got {odd} of {len(planes)} unlike the first: "
                "separate the series"
            )
    along_row, _, normal = _axes(planes[0])
    if abs(np.linalg.norm(normal) - 1) > 1e-2 or abs(np.linalg.norm(along_row) - 1) > 1e-2:
        raise InputError(f"{name}: expected unit direction cosines at right angles, got others: export again")


def _axes(plane: Plane) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unit directions in lps_mm: along a row, along a column, along the normal."""
    cosines = np.array(plane.frame.orientation, np.float64)
    return cosines[:3], cosines[3:], np.cross(cosines[:3], cosines[3:])


def _in_plane(plane: Plane) -> np.ndarray:
    """Columns I and J of the affine in lps_mm (3, 2): I counts columns, J counts rows."""
    between_rows, between_columns = plane.frame.spacing_mm or (0.0, 0.0)
    along_row, along_column, _ = _axes(plane)
    return np.stack([along_row * between_columns, along_column * between_rows], axis=1)


def _along(plane: Plane, normal: np.ndarray) -> float:
    return float(np.dot(plane.frame.position_mm or (), normal))


def _without_doubles(
    planes: list[Plane], normal: np.ndarray, name: str, same_pixels: Callable[[Plane, Plane], bool]
) -> tuple[list[Plane], list[str]]:
    """Drop slices at the place of another with the same pixels. Raises InputError: with other pixels."""
    gaps = np.diff([_along(plane, normal) for plane in planes])
    near = 0.01 if not (gaps > 0.01).any() else max(0.01, 0.01 * float(np.median(gaps[gaps > 0.01])))
    kept = planes[:1]
    for plane, gap in zip(planes[1:], gaps, strict=True):
        if gap > near:
            kept.append(plane)
        elif not same_pixels(kept[-1], plane):
            raise InputError(
                f"{name}: expected one slice per position, got {int((gaps <= near).sum())} positions doubled "
                f"(first {kept[-1].label} and {plane.label}): separate the phases"
            )
    dropped = len(planes) - len(kept)
    return kept, [f"Left out {_slices(dropped)} with the place and the pixels of another."] if dropped else []


def _slices(count: int) -> str:
    return f"{count} slice{'s' if count > 1 else ''}"


def _step(planes: list[Plane], normal: np.ndarray, name: str) -> tuple[np.ndarray, list[str]]:
    """The vector from a slice to the next, in lps_mm.

    Raises:
        InputError: slices missing or irregular, too strong a tilt, or a single slice of no thickness.
    """
    if len(planes) == 1:
        return _single_step(planes[0], normal, name)
    positions = np.array([plane.frame.position_mm for plane in planes])
    heights = positions @ normal
    _refuse_gaps(planes, np.diff(heights), name)
    step = (positions[-1] - positions[0]) / (len(planes) - 1)
    misses = positions - positions[0] - np.arange(len(planes))[:, None] * step
    spacing, worst = float(step @ normal), float(np.abs(misses @ normal).max())
    if worst > MAX_STEP_ERROR * spacing:
        raise InputError(
            f"{name}: expected evenly spaced slices, got distances of {np.diff(heights).min():.4g} to "
            f"{np.diff(heights).max():.4g} mm: resample the series"
        )
    drift = float(np.linalg.norm(misses - np.outer(misses @ normal, normal), axis=1).max())
    if drift > MAX_DRIFT_PX * min(planes[0].frame.spacing_mm or (1.0,)):
        raise InputError(
            f"{name}: expected slices in one line, got some {drift:.3g} mm aside: separate the series"
        )
    notes = (
        [f"Slices are up to {worst:.3g} mm from even spacing."] if worst > NAMED_STEP_ERROR * spacing else []
    )
    return step, notes + _tilt_notes(step, spacing, name)


def _refuse_gaps(planes: list[Plane], gaps: np.ndarray, name: str) -> None:
    """Raises InputError: a distance that is a multiple of the usual one."""
    usual = float(np.median(gaps))
    missing = np.rint(gaps / usual).astype(int) - 1
    whole = np.abs(gaps / usual - np.rint(gaps / usual)) < 0.1
    if (missing > 0).any() and whole.all():
        after = ", ".join(planes[n].label for n in np.flatnonzero(missing > 0)[:5])
        raise InputError(
            f"{name}: expected a slice every {usual:.4g} mm, got {int(missing.sum())} missing (after {after})"
            ": export the whole series"
        )


def _single_step(plane: Plane, normal: np.ndarray, name: str) -> tuple[np.ndarray, list[str]]:
    thickness = plane.frame.thickness_mm
    if not thickness:
        raise InputError(
            f"{name}: expected a thickness for a single slice, got none: give a series of slices"
        )
    return normal * thickness, [f"A single slice; its thickness of {thickness:g} mm is the header's."]


def _tilt_notes(step: np.ndarray, spacing: float, name: str) -> list[str]:
    angle = math.degrees(math.acos(min(1.0, spacing / float(np.linalg.norm(step)))))
    if angle > MAX_TILT_DEG:
        raise InputError(
            f"{name}: expected a gantry tilt below {MAX_TILT_DEG:g} degrees, got {angle:.3g}: resample it"
        )
    if angle < MIN_TILT_DEG:
        return []
    return [f"Gantry tilt of {angle:.1f} degrees: slices are used as taken, the tilt is kept as a shear."]
