"""Masks of a CT as a DICOM Segmentation on the grid of its source slices."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import highdicom as hd
import numpy as np
from highdicom.seg import Segmentation, SegmentDescription
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import ExplicitVRLittleEndian

from ..errors import InputError, OutputError
from ..io.ct_types import CtVolume
from ..io.files import atomic_path
from .provenance import MANUFACTURER, Algorithm, building, content_uid, describe_equipment, long_string
from .seg_sources import source_headers

FORMAT_VERSION = "1"
"""Raised when the same masks would be written in another way, so that their UIDs change too."""

SERIES_OFFSET = 9000
"""Series number of the SEG: this plus the number of the CT's series (choice: above any scanner's)."""

ANATOMICAL_STRUCTURE = Code("91723000", "SCT", "Anatomical Structure")
"""Category of every segment (CID 7150), and the type of one without a concept of its own."""


class Concept(Protocol):
    """A coded concept, such as SCT 50403003 "Structure of cortex of kidney"."""

    @property
    def scheme(self) -> str: ...
    @property
    def value(self) -> str: ...
    @property
    def meaning(self) -> str: ...


class SegStructure(Protocol):
    """What a segment says about itself: name, concept and RGB colour 0..255."""

    @property
    def name(self) -> str: ...
    @property
    def code(self) -> Any: ...
    @property
    def color(self) -> tuple[int, int, int]: ...


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
    _recount(dataset, ordered, Path(path).name)
    with atomic_path(path) as temporary:
        dataset.save_as(temporary, enforce_file_format=True)
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
    return Segmentation(
        source_images=headers,
        pixel_array=planes[:1] if empty and len(headers) == len(planes) else planes,
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[
            _segment(number, structure, algorithm, bool(mask.any()))
            for number, (structure, mask) in enumerate(zip(structures, masks, strict=True), 1)
        ],
        series_instance_uid=uids[0],
        series_number=SERIES_OFFSET + (volume.source.series_number or 0),
        sop_instance_uid=uids[1],
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=long_string(algorithm.name),
        software_versions=long_string(algorithm.version),
        device_serial_number=algorithm.serial_number,
        content_label="SEGMENTATION",
        content_description="Automatic segmentation" + (": nothing was found" if empty else ""),
        omit_empty_frames=not empty,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        contributing_equipment=[describe_equipment(algorithm, "Automatic segmentation of a CT")],
        specific_character_set="ISO_IR 192",
        series_description=long_string(f"Segmentation: {', '.join(one.name for one in structures)}"),
    )


def _segment(number: int, structure: SegStructure, algorithm: Algorithm, found: bool) -> SegmentDescription:
    code = structure.code
    concept = ANATOMICAL_STRUCTURE if code is None else Code(code.value, code.scheme, code.meaning)
    red, green, blue = structure.color
    segment = SegmentDescription(
        segment_number=number,
        segment_label=long_string(structure.name),
        segmented_property_category=ANATOMICAL_STRUCTURE,
        segmented_property_type=concept,
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name=long_string(algorithm.name),
            family=codes.DCM.ArtificialIntelligence,
            version=long_string(algorithm.version),
            parameters={"weights_sha256": algorithm.weights_sha256} if algorithm.weights_sha256 else None,
        ),
        display_color=hd.color.CIELabColor.from_rgb(red, green, blue),
    )
    segment.SegmentDescription = "automatic" if found else "automatic; nothing was found"
    return segment


def _recount(dataset: Dataset, masks: Sequence[np.ndarray], name: str) -> None:
    """Raises OutputError: the stored bits are not as many as those of the masks."""
    pixels = int(dataset.NumberOfFrames) * int(dataset.Rows) * int(dataset.Columns)
    stored = int(
        np.unpackbits(np.frombuffer(dataset.PixelData, np.uint8), count=pixels, bitorder="little").sum()
    )
    wanted = sum(int(mask.sum()) for mask in masks)
    if stored != wanted:
        raise OutputError(f"{name}: expected {wanted} voxels in the DICOM SEG, got {stored}: report this")
