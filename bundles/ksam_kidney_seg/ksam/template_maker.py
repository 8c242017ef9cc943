"""Templates from what users have: a labelled slice of a CT, or a picture with its mask."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import InputError
from common.io.ct_volume import CtVolume, read_ct
from common.io.dicom_seg_masks import SegmentMask, read_dicom_seg
from common.io.photographs import read_rgb
from common.io.pictures import PLAIN_SUFFIXES

from .label_maps import LabelMap, read_label_map
from .structures import Code
from .templates import Template, relative_position

_PREAMBLE = 128  # bytes before the letters DICM


@dataclass(frozen=True)
class StructureRule:
    """How a structure is found in the label files.

    Attributes:
        name: of the structure.
        values: of the label map, its children's included; empty: everything that is not 0.
        file: its own label file; None: the file that all share.
        segment: label of its segment where the file is a DICOM Segmentation.
    """

    name: str
    values: tuple[int, ...] = ()
    file: Path | None = None
    segment: str | None = None


@dataclass(frozen=True, eq=False)
class Labelled:
    """A labelled image.

    Attributes:
        modality: "CT" or "picture".
        slices: (R, C, Z) HU, or (r, c, 1, 3) uint8.
        masks: structure name -> (R, C, Z) bool.
        codes: structure name -> coded concept, where the labels bring one.
        spacing_mm: row and column spacing of a CT.
        slice_mm: distance of its slices.
        provenance: of the image and its labels.
    """

    modality: str
    slices: np.ndarray
    masks: Mapping[str, np.ndarray]
    codes: Mapping[str, Code] = field(default_factory=dict)
    spacing_mm: tuple[float, float] | None = None
    slice_mm: float | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)


def read_labelled(
    image: Path, labels: Path | None, rules: Sequence[StructureRule], series: str | None = None
) -> Labelled:
    """Read an image and the masks of its structures.

    Args:
        image: CT (DICOM folder, file or zip, NIfTI, NRRD) or picture (PNG, JPEG, TIFF).
        labels: label map on the image's grid (NIfTI, NRRD, picture) or DICOM Segmentation.
        rules: the structures; those with a file of their own do not need `labels`. Empty for a DICOM
            Segmentation: each of its segments.
        series: of a DICOM folder.

    Raises:
        InputError: not readable, labels of another grid, or a structure without any label.
    """
    volume = None if is_picture(image) else read_ct(image, series)
    pixels = read_rgb(image)[:, :, None] if volume is None else volume.to_axial().voxels
    reader = _LabelReader(volume, pixels.shape)
    if not rules and labels is not None and is_dicom(labels):
        rules = [StructureRule(segment.label) for segment in reader.segments(labels)]
    masks: dict[str, np.ndarray] = {}
    codes: dict[str, Code] = {}
    for rule in rules:
        path = rule.file or labels
        if path is None:
            raise InputError(f"{image.name}: expected labels of '{rule.name}', got no file: give --labels")
        masks[rule.name], code = reader.read(path, rule)
        if not masks[rule.name].any():
            raise InputError(f"{path.name}: expected labels of '{rule.name}', got none: correct its values")
        codes.update({} if code is None else {rule.name: code})
    files = sorted({path.name for path in (rule.file or labels for rule in rules) if path})
    return Labelled(
        modality="picture" if volume is None else "CT",
        slices=pixels,
        masks=masks,
        codes=codes,
        spacing_mm=None if volume is None else _plane_spacing(volume),
        slice_mm=None if volume is None else float(volume.to_axial().spacing_mm[2]),
        provenance={**_describe_source(image, volume), "labels": files},
    )


class _LabelReader:
    """Label files of one image; each is read once, whatever number of structures it holds."""

    def __init__(self, volume: CtVolume | None, shape: tuple[int, ...]) -> None:
        self._volume, self._shape = volume, shape
        self._maps: dict[Path, np.ndarray] = {}
        self._segments: dict[Path, list[SegmentMask]] = {}

    def read(self, path: Path, rule: StructureRule) -> tuple[np.ndarray, Code | None]:
        """Mask (R, C, Z) bool of a structure, and its code if the file states one."""
        if is_dicom(path):
            return self._read_segment(path, rule.segment or rule.name)
        if path not in self._maps:
            self._maps[path] = self._place(read_label_map(path))
        values = self._maps[path]
        return (np.isin(values, rule.values) if rule.values else values != 0), None

    def segments(self, path: Path) -> list[SegmentMask]:
        """Of a DICOM Segmentation."""
        if self._volume is None:
            raise InputError(f"{path.name}: expected a mask picture for a picture, got DICOM: save it as PNG")
        if path not in self._segments:
            self._segments[path] = read_dicom_seg(path, self._volume)
        return self._segments[path]

    def _read_segment(self, path: Path, label: str) -> tuple[np.ndarray, Code | None]:
        segments = {segment.label: segment for segment in self.segments(path)}
        if label not in segments or self._volume is None:
            raise InputError(
                f"{path.name}: expected one of the segments {', '.join(segments)}, got '{label}': correct it"
            )
        code = segments[label].code
        mask = self._volume.orientation.to_axial(segments[label].mask)
        return mask, None if code is None else Code(*code)

    def _place(self, found: LabelMap) -> np.ndarray:
        """Labels (R, C, Z) on the axial grid of the image."""
        volume, shape = self._volume, self._shape
        if volume is not None:
            placed = found.on_grid(volume.affine_ras_mm, volume.shape, may_be_part=True)
            return volume.orientation.to_axial(placed)
        if found.affine_ras_mm is None and found.values.shape == shape[:2]:
            return found.values[:, :, None]
        raise InputError(
            f"{found.name}: expected a mask of the picture's size {shape[0]}x{shape[1]}, got "
            f"{'x'.join(map(str, found.values.shape))}: give the mask of this picture"
        )


def is_picture(image: Path) -> bool:
    """By its name."""
    return image.suffix.lower() in PLAIN_SUFFIXES


def is_dicom(path: Path) -> bool:
    """Whether a file begins as DICOM files do."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(_PREAMBLE + 4)[_PREAMBLE:] == b"DICM"


def _plane_spacing(volume: CtVolume) -> tuple[float, float]:
    row_mm, column_mm, _ = volume.to_axial().spacing_mm
    return float(row_mm), float(column_mm)


def _describe_source(image: Path, volume: CtVolume | None) -> dict[str, Any]:
    """File name and hash of a file; the hash of the series' UID for DICOM, whose names may tell who it is."""
    if volume is not None and volume.source.series_uid is not None:
        digest = hashlib.sha256(volume.source.series_uid.encode()).hexdigest()
        return {"format": "DICOM", "series_uid_sha256": digest}
    return {"file": image.name, "sha256": hashlib.sha256(image.read_bytes()).hexdigest()}


def choose_slices(masks: Mapping[str, np.ndarray], count: int = 1) -> list[int]:
    """Slices that show the structures best, spread over the part of the volume that has labels.

    That part is cut into `count` equal pieces; of each the slice with the largest sum of areas is taken, each
    structure's area divided by its largest, so that a small one counts as much as a large one.

    Args:
        masks: structure name -> (R, C, Z) bool.
        count: of slices.

    Returns:
        At most `count` slices, ascending.
    """
    areas = np.stack([mask.sum(axis=(0, 1)) for mask in masks.values()])
    worth = (areas / np.maximum(areas.max(axis=1, keepdims=True), 1)).sum(axis=0)
    labelled = np.flatnonzero(worth)
    pieces = np.array_split(labelled, min(count, len(labelled)))
    return [int(piece[worth[piece].argmax()]) for piece in pieces]


def make_templates(
    labelled: Labelled, slices: Sequence[int], name: str, extra: Mapping[str, Any] | None = None
) -> list[Template]:
    """Cut templates out of a labelled image.

    Args:
        labelled: the image.
        slices: numbers from the lowest (most inferior) slice, which is 0.
        name: beginning of the ids.
        extra: added to the provenance (who, when, licence).

    Raises:
        InputError: a slice that is not there or shows none of the structures.
    """
    count = labelled.slices.shape[2]
    return [_make_template(labelled, z, count, name, extra or {}) for z in slices]


def _make_template(labelled: Labelled, z: int, count: int, name: str, extra: Mapping[str, Any]) -> Template:
    if not 0 <= z < count:
        raise InputError(f"slice: expected 0 to {count - 1} (0 is the lowest), got {z}: choose one of them")
    masks = {structure: mask[:, :, z] for structure, mask in labelled.masks.items() if mask[:, :, z].any()}
    if not masks:
        raise InputError(
            f"slice {z}: expected labels in it, got none: choose another, or leave it to --count"
        )
    is_ct = labelled.modality == "CT"
    return Template(
        id=f"{name}-{z}" if is_ct else name,
        image=np.ascontiguousarray(labelled.slices[:, :, z]),
        masks={structure: np.ascontiguousarray(mask) for structure, mask in masks.items()},
        spacing_mm=labelled.spacing_mm,
        position=relative_position(z, count) if is_ct else None,
        provenance={**labelled.provenance, **({"slice": z, "slices": count} if is_ct else {}), **extra},
    )
