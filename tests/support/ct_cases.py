"""Small CT volumes in every orientation, and their DICOM files with a fault each."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
from phantoms.ct_series import phantom_uid, write_ct_series
from pydicom.dataset import Dataset

SHAPE = (14, 11, 7)
SPACING_MM = (0.7, 0.9, 2.5)


def hu_volume(shape: tuple[int, int, int] = SHAPE, seed: int = 0) -> np.ndarray:
    """HU without any symmetry: air, and a body with noise."""
    rng = np.random.default_rng(seed)
    volume = np.full(shape, -1000, np.int16)
    volume[2:-1, 1:-2] = rng.integers(-150, 400, volume[2:-1, 1:-2].shape)
    return volume


def _rotation(axis: int, degrees: float) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.eye(3)
    a, b = [n for n in range(3) if n != axis]
    turn[a, a], turn[a, b], turn[b, a], turn[b, b] = c, -s, s, c
    return turn


def affine_of(directions: np.ndarray, spacing_mm: tuple[float, ...] = SPACING_MM) -> np.ndarray:
    """An affine to ras_mm: unit directions of I, J, K in the columns."""
    affine = np.eye(4)
    affine[:3, :3] = directions * np.array(spacing_mm)
    affine[:3, 3] = (37.5, -121.25, -803.5)
    return affine


def all_turns() -> list[np.ndarray]:
    """The 48 signed permutations."""
    turns = []
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1.0, -1.0), repeat=3):
            turns.append(np.eye(3)[:, order] * np.array(signs))
    return turns


_AXIAL = np.diag([-1.0, -1.0, 1.0])
_OBLIQUE = _rotation(0, 17) @ _rotation(1, -11) @ _rotation(2, 8)
_SHEAR = np.eye(3)
_SHEAR[1, 2] = -np.tan(np.radians(15))

ORIENTATIONS = {
    "axial": affine_of(_AXIAL),
    "coronal": affine_of(np.array([[-1.0, 0, 0], [0, 0, 1.0], [0, -1.0, 0]])),
    "sagittal": affine_of(np.array([[0, 0, -1.0], [-1.0, 0, 0], [0, -1.0, 0]])),
    "oblique": affine_of(_OBLIQUE @ _AXIAL),
    "flipped": affine_of(np.diag([1.0, -1.0, -1.0])),
    "feet first": affine_of(np.diag([1.0, -1.0, 1.0])),
    "anisotropic": affine_of(_AXIAL, (0.4, 1.3, 7.0)),
    "tilted": affine_of(_SHEAR @ _AXIAL),
}
"""Orientations as scanners and viewers write them; K of "feet first" runs the other way once read."""


def write_series(folder: Path, orientation: str = "axial", **options) -> list[Path]:
    """`hu_volume` as a DICOM series; options as for `write_ct_series`, and volume=."""
    volume = options.pop("volume", hu_volume())
    return write_ct_series(folder, volume, ORIENTATIONS[orientation], **options)


def edit(paths: list[Path], change: Callable[[Dataset, int], None]) -> None:
    """Change every file in place: change(dataset, number from 0)."""
    for number, path in enumerate(paths):
        dataset = pydicom.dcmread(path)
        change(dataset, number)
        dataset.save_as(path)


def write_enhanced(path: Path, singles: list[Path], order: list[int] | None = None) -> Path:
    """The slices of a series as one enhanced multi-frame CT, the frames in a given order."""
    slices = [pydicom.dcmread(singles[n]) for n in (order or range(len(singles)))]
    whole = pydicom.dcmread(singles[0])
    whole.SOPClassUID = whole.file_meta.MediaStorageSOPClassUID = pydicom.uid.EnhancedCTImageStorage
    whole.SOPInstanceUID = whole.file_meta.MediaStorageSOPInstanceUID = phantom_uid("enhanced")
    whole.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    whole.NumberOfFrames = len(slices)
    whole.PixelData = b"".join(one.PixelData for one in slices)
    shared = Dataset()
    shared.PlaneOrientationSequence = [_part(whole, "ImageOrientationPatient")]
    shared.PixelMeasuresSequence = [_part(whole, "PixelSpacing", "SliceThickness")]
    shared.PixelValueTransformationSequence = [
        _part(whole, "RescaleSlope", "RescaleIntercept", "RescaleType")
    ]
    whole.SharedFunctionalGroupsSequence = [shared]
    whole.PerFrameFunctionalGroupsSequence = []
    for one in slices:
        frame = Dataset()
        frame.PlanePositionSequence = [_part(one, "ImagePositionPatient")]
        whole.PerFrameFunctionalGroupsSequence.append(frame)
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope"):
        delattr(whole, keyword)
    whole.save_as(path)
    return path


def _part(dataset: Dataset, *keywords: str) -> Dataset:
    part = Dataset()
    for keyword in keywords:
        setattr(part, keyword, dataset[keyword].value)
    return part
