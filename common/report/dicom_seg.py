"""Masks of a CT as a DICOM Segmentation on the grid of its source slices."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import highdicom as hd
import numpy as np
from highdicom.seg import Segmentation
from pydicom.dataset import Dataset

from ..errors import InputError
from ..io.ct_types import CtVolume
from .dicom_object import SEG, describe_object, save_object
from .provenance import MANUFACTURER, Algorithm, building, content_uid
from .seg_sources import source_headers
from .segments import SegStructure, describe_segment, recount, settle_dimensions

FORMAT_VERSION = "2"
"""Raised when the same masks would be written in another way, so that their UIDs change too."""


def write_dicom_seg(
    masks: Mapping[str, np.ndarray],
    structures: Sequence[SegStructure],
    volume: CtVolume,
    algorithm: Algorithm,
    path: str | Path,
) -> str:
    """Write one BINARY segment per structure; segments may overlap (a cup inside its disc).

    Only frames with something in them are stored. A structure with nothing keeps its segment and its
    description says so; where all are empty, one empty frame each is stored on the first slice.
    SOPInstanceUID follows from masks, source, structures and algorithm: the same again is the same instance.

    Args:
        masks: structure name -> (I, J, K) bool on the grid of `volume`.
        structures: in the order of the segment numbers 1, 2, ...
        volume: a CT read from DICOM, its files still there.

    Returns:
        The SOPInstanceUID.

    Raises:
        InputError: the volume is not from DICOM, or the masks do not fit to it or to the structures.
        OutputError: cannot be written.
    """
    _check(masks, structures, volume)
    ordered = [np.asarray(masks[structure.name], bool) for structure in structures]
    first, last = _used_slices(ordered)
    headers = source_headers(volume, first, last)
    planes = _planes(ordered, volume, first, last)
    uids = _uids(ordered, structures, volume, algorithm)
    with building(volume.source.name, "a DICOM SEG", "use NIfTI"):
        dataset = _segmentation(headers, planes, structures, ordered, volume, algorithm, uids)
    settle_dimensions(dataset)
    recount(dataset, sum(int(mask.sum()) for mask in ordered), Path(path).name)
    save_object(dataset, headers[0], path)
    return uids[1]


def _check(masks: Mapping[str, np.ndarray], structures: Sequence[SegStructure], volume: CtVolume) -> None:
    if not volume.source.slices:
        raise InputError(
            f"{volume.source.name}: expected a CT from DICOM for a DICOM SEG, got {volume.source.format}: "
            "use NIfTI output"
        )
    names = [structure.name for structure in structures]
    if not names or sorted(names) != sorted(masks):
        raise InputError(f"masks: expected one for each of {names}, got {sorted(masks)}: name them alike")
    wrong = [name for name, mask in masks.items() if np.shape(mask) != volume.shape]
    if wrong:
        raise InputError(
            f"masks: expected the shape {volume.shape} of the CT, got {np.shape(masks[wrong[0]])} for "
            f"{wrong[0]}: from_axial() it"
        )


def _used_slices(masks: Sequence[np.ndarray]) -> tuple[int, int]:
    """First and last K with anything in it; the first slice where there is nothing."""
    used = np.flatnonzero(np.any([mask.any(axis=(0, 1)) for mask in masks], axis=0))
    return (int(used[0]), int(used[-1])) if used.size else (0, 0)


def _planes(masks: Sequence[np.ndarray], volume: CtVolume, first: int, last: int) -> np.ndarray:
    """(planes, rows, columns, segments) uint8 in the source's order: of slices, or of frames in a file."""
    frames = [one.frame for one in volume.source.slices]
    if frames[0] is None:
        return np.stack([mask[:, :, first : last + 1].transpose(2, 1, 0) for mask in masks], -1).astype(
            np.uint8
        )
    planes = np.stack([mask.transpose(2, 1, 0) for mask in masks], -1).astype(np.uint8)
    return planes[np.argsort([frame or 0 for frame in frames])]


def _uids(
    masks: Sequence[np.ndarray], structures: Sequence[SegStructure], volume: CtVolume, algorithm: Algorithm
) -> tuple[str, str]:
    """UIDs of series and instance, from the content."""
    version = (MANUFACTURER, FORMAT_VERSION, algorithm)
    digest = hashlib.sha256()
    for mask in masks:
        digest.update(np.packbits(mask).tobytes())
    instances = [(one.sop_instance_uid, one.frame) for one in volume.source.slices]
    rows = [(one.name, one.code, tuple(one.color)) for one in structures]
    series = content_uid("SEG series", volume.source.series_uid, version)
    return series, content_uid("SEG", series, digest.hexdigest(), instances, rows)


def _segmentation(
    headers: list[Dataset],
    planes: np.ndarray,
    structures: Sequence[SegStructure],
    masks: Sequence[np.ndarray],
    volume: CtVolume,
    algorithm: Algorithm,
    uids: tuple[str, str],
) -> Segmentation:
    empty = not any(mask.any() for mask in masks)
    title = f"Segmentation: {', '.join(one.name for one in structures)}"
    return Segmentation(
        source_images=headers,
        pixel_array=planes[:1] if empty and len(headers) == len(planes) else planes,
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[
            describe_segment(number, structure, algorithm, bool(mask.any()))
            for number, (structure, mask) in enumerate(zip(structures, masks, strict=True), 1)
        ],
        content_label="SEGMENTATION",
        content_description="Automatic segmentation" + (": nothing was found" if empty else ""),
        omit_empty_frames=not empty,
        **describe_object(SEG, algorithm, uids, title, "Automatic segmentation of a CT"),
    )
