"""Stored pixels of a stack of slices in HU, decoded by a few threads, one slice at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from pydicom.dataset import Dataset

from ..errors import InputError
from .dicom_header import damaged
from .dicom_stack import Plane
from .dicom_stored import check_decoders, decode_frame, padding_ends, read_dataset, require_pixels
from .hounsfield import HU_LIMITS, check_size

AIR_HU = -1024
"""What padding (pixels outside the scanned circle) becomes."""

PADDING_HU = (-1000.0, 3071.0)
"""A padding value between these is a tissue's: then the header is wrong, and the pixels are kept."""


def read_hu(planes: tuple[Plane, ...], name: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Slices as (I columns, J rows, K) int16 or, with a fractional rescale, float32; and notes.

    Raises:
        InputError: no pixel data, no decoder, damaged, or values outside int16.
    """
    check_decoders(plane.instance.transfer_syntax for plane in planes)
    rows, columns = planes[0].frame.rows, planes[0].frame.columns
    check_size((columns, rows, len(planes)), name)
    slices: np.ndarray = np.empty((len(planes), rows, columns), _hu_dtype(planes))
    jobs: dict[int, list[int]] = {}
    for k, plane in enumerate(planes):
        jobs.setdefault(id(plane.instance), []).append(k)
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        padded = sum(pool.map(_fill(slices, planes, name), jobs.values()))
    share = padded / slices.size
    notes = (f"{share:.1%} of the voxels are padding outside the scan and became air.",) if padded else ()
    return slices.transpose(2, 1, 0), (*notes, *_rescale_notes(planes))


def same_pixels(first: Plane, second: Plane) -> bool:
    """Whether two single-frame instances hold the same stored bytes. Raises InputError: damaged."""
    if first.frame.index is not None or second.frame.index is not None:
        return False
    return bool(_pixel_data(first) == _pixel_data(second))


def _pixel_data(plane: Plane) -> object:
    return read_dataset(plane.instance.file).get("PixelData")


def _fill(slices: np.ndarray, planes: tuple[Plane, ...], name: str) -> Callable[[list[int]], int]:
    """A job that writes the slices K of one instance and counts padding."""

    def run(wanted: list[int]) -> int:
        plane = planes[wanted[0]]
        try:
            dataset = read_dataset(plane.instance.file)
            pairs = zip(wanted, _stored(dataset, plane, [planes[k].frame.index for k in wanted]), strict=True)
            return sum(_convert(dataset, planes[k], stored, slices[k], name) for k, stored in pairs)
        except InputError:
            raise
        except Exception as error:  # decoders raise anything on damaged data
            raise InputError(damaged(plane.instance.file.name)) from error

    return run


def _stored(dataset: Dataset, plane: Plane, indices: list[int | None]) -> Iterator[np.ndarray]:
    """Stored values (rows, columns) of frames, unused high bits removed."""
    require_pixels(dataset, plane.instance.file.name)
    for index in indices:
        yield decode_frame(dataset, index or 0, plane.frame.rows, plane.frame.columns)


def _convert(dataset: Dataset, plane: Plane, stored: np.ndarray, target: np.ndarray, name: str) -> int:
    """Rescale into `target` (rows, columns); padding becomes air and is counted."""
    slope, intercept = _rescale(plane)
    padding = _padding(dataset, stored, slope, intercept)
    if target.dtype == np.int16:
        hu: np.ndarray = stored.astype(np.int32) * int(slope) + int(intercept)
    else:
        hu = stored.astype(np.float32) * np.float32(slope) + np.float32(intercept)
    if padding is not None:
        hu[padding] = AIR_HU
    if hu.min() < HU_LIMITS[0] or hu.max() > HU_LIMITS[1]:
        raise InputError(
            f"{name}: expected HU, got values {hu.min():g} to {hu.max():g} in {plane.label}, out of range: "
            "export the original CT"
        )
    target[:] = hu
    return 0 if padding is None else int(padding.sum())


def _padding(dataset: Dataset, stored: np.ndarray, slope: float, intercept: float) -> np.ndarray | None:
    """Where the pixels are padding (PixelPaddingValue, PixelPaddingRangeLimit), if anywhere."""
    ends = padding_ends(dataset)
    if ends is None or any(PADDING_HU[0] <= end * slope + intercept <= PADDING_HU[1] for end in ends):
        return None
    inside = (stored >= ends[0]) & (stored <= ends[1])
    return inside if inside.any() else None


def _rescale(plane: Plane) -> tuple[float, float]:
    slope, intercept = plane.frame.slope, plane.frame.intercept
    return (1.0 if slope is None or slope == 0 else slope), (0.0 if intercept is None else intercept)


def _rescale_notes(planes: tuple[Plane, ...]) -> tuple[str, ...]:
    bare = sum(plane.frame.intercept is None or not plane.frame.slope for plane in planes)
    return (f"{bare} slices state no rescale; their stored values were taken as HU.",) if bare else ()


def _hu_dtype(planes: tuple[Plane, ...]) -> type:
    values = [value for plane in planes for value in _rescale(plane)]
    return np.int16 if all(value.is_integer() for value in values) else np.float32
