"""Stored pixels of a stack of slices in HU, decoded by a few threads, one slice at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.pixels import get_decoder
from pydicom.uid import UID, ImplicitVRLittleEndian

from ..errors import InputError
from .dicom_files import open_file
from .dicom_header import damaged
from .dicom_stack import Plane
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
    _check_decoders(planes)
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
    return bool(_dataset(first).get("PixelData") == _dataset(second).get("PixelData"))


def _fill(slices: np.ndarray, planes: tuple[Plane, ...], name: str) -> Callable[[list[int]], int]:
    """A job that writes the slices K of one instance and counts padding."""

    def run(wanted: list[int]) -> int:
        plane = planes[wanted[0]]
        try:
            dataset = _dataset(plane)
            pairs = zip(wanted, _stored(dataset, plane, [planes[k].frame.index for k in wanted]), strict=True)
            return sum(_convert(dataset, planes[k], stored, slices[k], name) for k, stored in pairs)
        except InputError:
            raise
        except Exception as error:  # decoders raise anything on damaged data
            raise InputError(damaged(plane.instance.file.name)) from error

    return run


def _dataset(plane: Plane) -> Dataset:
    try:
        with open_file(plane.instance.file) as stream:
            dataset = pydicom.dcmread(stream, force=True)
    except InputError:
        raise
    except Exception as error:  # pydicom raises anything on damaged headers
        raise InputError(damaged(plane.instance.file.name)) from error
    if not dataset.file_meta.get("TransferSyntaxUID"):
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    return dataset


def _stored(dataset: Dataset, plane: Plane, indices: list[int | None]) -> Iterator[np.ndarray]:
    """Stored values (rows, columns) of frames, unused high bits removed."""
    if "PixelData" not in dataset:
        raise InputError(
            f"{plane.instance.file.name}: expected pixel data, got a header alone: export it with pixels"
        )
    for index in indices:
        pixels, _ = get_decoder(dataset.file_meta.TransferSyntaxUID).as_array(dataset, index=index or 0)
        yield _used_bits(pixels.reshape(plane.frame.rows, plane.frame.columns), dataset)


def _used_bits(pixels: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Values of BitsStored bits: what stands above (old overlays, or no sign) is not part of them."""
    bits, allocated = int(dataset.BitsStored), int(dataset.BitsAllocated)
    if bits >= allocated:
        return pixels
    values = pixels.astype(np.int32) & ((1 << bits) - 1)
    sign = 1 << (bits - 1)
    return (values ^ sign) - sign if dataset.PixelRepresentation else values


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
    value = dataset.get("PixelPaddingValue")
    if value is None:
        return None
    limit = dataset.get("PixelPaddingRangeLimit")
    ends = sorted(_same_sign(int(v), dataset) for v in (value, value if limit is None else limit))
    if any(PADDING_HU[0] <= end * slope + intercept <= PADDING_HU[1] for end in ends):
        return None
    inside = (stored >= ends[0]) & (stored <= ends[1])
    return inside if inside.any() else None


def _same_sign(value: int, dataset: Dataset) -> int:
    """A padding value written with the other sign than the pixels."""
    whole = 1 << int(dataset.BitsAllocated)
    if dataset.PixelRepresentation and value >= whole // 2:
        return value - whole
    return value + whole if not dataset.PixelRepresentation and value < 0 else value


def _rescale(plane: Plane) -> tuple[float, float]:
    slope, intercept = plane.frame.slope, plane.frame.intercept
    return (1.0 if slope is None or slope == 0 else slope), (0.0 if intercept is None else intercept)


def _rescale_notes(planes: tuple[Plane, ...]) -> tuple[str, ...]:
    bare = sum(plane.frame.intercept is None or not plane.frame.slope for plane in planes)
    return (f"{bare} slices state no rescale; their stored values were taken as HU.",) if bare else ()


def _hu_dtype(planes: tuple[Plane, ...]) -> type:
    values = [value for plane in planes for value in _rescale(plane)]
    return np.int16 if all(value.is_integer() for value in values) else np.float32


def _check_decoders(planes: tuple[Plane, ...]) -> None:
    """Raises InputError: compressed in a way that no installed package decodes; names the package."""
    for uid in {plane.instance.transfer_syntax for plane in planes} - {""}:
        try:
            decoder = get_decoder(uid)
        except NotImplementedError as error:
            raise InputError(
                f"expected a known compression, got transfer syntax {UID(uid).name}: convert the files"
            ) from error
        if not decoder.is_available:
            needs = " or ".join(part.split(" - requires ")[-1] for part in decoder.missing_dependencies)
            raise InputError(f"expected a decoder for {UID(uid).name}, got none: install {needs}")
