"""Segments of a DICOM SEG as masks on the grid of a CT."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from ..errors import InputError
from ..geometry import ras_from_lps
from .ct_types import CtVolume, StoredFile
from .dicom_files import open_file
from .dicom_header import Frame, Instance, damaged, read_instance

SEG_CLASSES = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
"""Segmentation Storage and Label Map Segmentation Storage."""

MAX_OFFSET = 0.02
"""Voxels by which the two grids may differ: headers are rounded."""


@dataclass(frozen=True, eq=False)
class SegmentMask:
    """One segment.

    Attributes:
        number: segment number; in a label map the value.
        label: segment label.
        code: (scheme, value, meaning) of the segmented property type, None without one.
        mask: (I, J, K) bool on the grid of the CT.
    """

    number: int
    label: str
    code: tuple[str, str, str] | None
    mask: np.ndarray


def read_dicom_seg(path: str | Path, volume: CtVolume) -> list[SegmentMask]:
    """Read BINARY, FRACTIONAL (from one half) and label-map segments by their frames' positions.

    The SEG may run along other axes than the CT, as long as its pixels are the CT's voxels.

    Raises:
        InputError: not a SEG, damaged, or on another grid.
    """
    path = Path(path)
    file = StoredFile(path.name, str(path.parent), lambda: path.open("rb"))
    dataset, instance = _read(file)
    segments = {int(row.SegmentNumber): row for row in dataset.get("SegmentSequence", [])}
    masks = {number: np.zeros(volume.shape, bool) for number in segments if number > 0}
    groups = dataset.PerFrameFunctionalGroupsSequence
    for frame, group, pixels in zip(instance.frames, groups, _pixels(dataset, path.name), strict=True):
        where = _voxels(frame, volume, path.name)
        for number, inside in _split(dataset, group, pixels, masks):
            i, j, k = where[:, inside.T]
            masks[number][i, j, k] = True
    return [
        SegmentMask(n, str(segments[n].SegmentLabel), _code(segments[n]), mask) for n, mask in masks.items()
    ]


def _read(file: StoredFile) -> tuple[Dataset, Instance]:
    instance = read_instance(file)
    if instance.sop_class_uid not in SEG_CLASSES:
        raise InputError(
            f"{file.name}: expected a DICOM SEG, got {instance.modality or 'another file'}: check the path"
        )
    with open_file(file) as stream:
        return pydicom.dcmread(stream, force=True), instance


def _pixels(dataset: Dataset, name: str) -> np.ndarray:
    """(frames, rows, columns). Raises InputError: damaged."""
    try:
        pixels = dataset.pixel_array
    except Exception as error:  # decoders raise anything on damaged data
        raise InputError(damaged(name)) from error
    return pixels if pixels.ndim == 3 else pixels[None]


def _split(dataset: Dataset, group: Dataset, pixels: np.ndarray, masks: dict[int, np.ndarray]) -> Any:
    """Pairs of segment number and mask (rows, columns) of one frame."""
    if dataset.SegmentationType == "LABELMAP":
        return [(int(n), pixels == n) for n in np.unique(pixels) if int(n) in masks]
    identified = group.get("SegmentIdentificationSequence")
    shared = dataset.SharedFunctionalGroupsSequence[0].get("SegmentIdentificationSequence")
    number = int((identified or shared)[0].ReferencedSegmentNumber)
    if dataset.SegmentationType == "FRACTIONAL":
        return [(number, pixels >= 0.5 * int(dataset.MaximumFractionalValue))]
    return [(number, pixels > 0)]


def _voxels(frame: Frame, volume: CtVolume, name: str) -> np.ndarray:
    """Voxel indices (3, columns, rows) of a frame's pixels. Raises InputError: between voxels, or outside."""
    if frame.position_mm is None or frame.orientation is None or frame.spacing_mm is None:
        raise InputError(_other_grid(name, "frames without position"))
    to_ras = np.eye(4)
    to_ras[:3, 0] = np.array(frame.orientation[:3]) * frame.spacing_mm[1]
    to_ras[:3, 1] = np.array(frame.orientation[3:]) * frame.spacing_mm[0]
    to_ras[:3, 3] = frame.position_mm
    to_ijk = np.linalg.inv(volume.affine_ras_mm) @ ras_from_lps(to_ras)
    columns, rows = np.arange(frame.columns), np.arange(frame.rows)
    exact = (
        to_ijk[:3, 0, None, None] * columns[:, None]
        + to_ijk[:3, 1, None, None] * rows
        + to_ijk[:3, 3, None, None]
    )
    nearest = np.rint(exact).astype(int)
    if np.abs(exact - nearest).max() > MAX_OFFSET:
        raise InputError(_other_grid(name, "pixels between its voxels"))
    limits = np.array(volume.shape)[:, None, None]
    if ((nearest < 0) | (nearest >= limits)).any():
        raise InputError(_other_grid(name, "pixels outside"))
    return nearest


def _other_grid(name: str, got: str) -> str:
    return f"{name}: expected a SEG on the grid of the CT, got {got}: give the CT that it was drawn on"


def _code(segment: Dataset) -> tuple[str, str, str] | None:
    rows = segment.get("SegmentedPropertyTypeCodeSequence")
    if not rows:
        return None
    row = rows[0]
    return str(row.CodingSchemeDesignator), str(row.CodeValue), str(row.CodeMeaning)
