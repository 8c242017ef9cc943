"""A phantom's DICOM series, and what happens to series: compression, missing, doubled, moved slices."""

from __future__ import annotations

import copy
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from common.errors import ConfigError

from .ct_scan import Images
from .ct_series import phantom_uid, write_ct_series
from .encoding import check_syntax, save

FAULTS = ("none", "missing", "duplicate", "irregular")
MOVED = 0.35
"""Slice distances by which the slice of an irregular series is moved."""


@dataclass(frozen=True)
class Series:
    """What is told about a series.

    Attributes:
        patient: pseudonym; series of one patient share study and frame of reference.
        number: series number.
        description: series description.
        syntax: one of `encoding.SYNTAXES`.
        fault: "none"; "missing" (a slice in the middle), "duplicate" (one twice), "irregular" (one moved).
    """

    patient: str
    number: int = 2
    description: str = "Abdomen"
    syntax: str = "none"
    fault: str = "none"

    def __post_init__(self) -> None:
        check_syntax(self.syntax)
        if self.fault not in FAULTS:
            raise ConfigError(f"fault: expected one of {', '.join(FAULTS)}, got '{self.fault}': choose one")

    def path(self, folder: Path, instance: int) -> Path:
        """File of an instance."""
        return folder / f"{self.number:02d}_{instance:04d}.dcm"


def write_series(images: Images, series: Series, folder: Path) -> list[Path]:
    """One file per slice; numbers run in the order of K, UIDs follow from the patient.

    Raises:
        OutputError: cannot be written or compressed.
    """
    slices = _clean(images.voxels_hu, images.scan.affine_ras_mm, series)
    middle = len(slices) // 2
    if series.fault == "missing":
        del slices[middle]
    if series.fault == "duplicate":
        slices.insert(middle, _copy(slices[middle], series))
    if series.fault == "irregular":
        step = images.scan.affine_lps_mm[:3, 2] * MOVED
        place = np.add(slices[middle].ImagePositionPatient, step)
        slices[middle].ImagePositionPatient = [f"{value:.6f}" for value in place]
    paths = [series.path(folder, instance) for instance in range(1, len(slices) + 1)]
    for dataset, path in zip(slices, paths, strict=True):
        save(dataset, series.syntax, path)
    return paths


def write_scout(images: Images, series: Series, folder: Path) -> Path:
    """A localizer: the mean over the depth of the patient, one upright image. Raises OutputError."""
    mean = images.voxels_hu.mean(axis=1, dtype=np.float32)[:, ::-1, None]
    affine = images.scan.affine_ras_mm.copy()
    affine[:3, 3] += affine[:3, 2] * (images.scan.shape[2] - 1)
    affine[:3, 1], affine[:3, 2] = -affine[:3, 2], affine[:3, 1].copy()
    (dataset,) = _clean(mean, affine, series)
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    save(dataset, series.syntax, series.path(folder, 1))
    return series.path(folder, 1)


def _clean(voxels_hu: np.ndarray, affine_ras_mm: np.ndarray, series: Series) -> list[Dataset]:
    tags = {"SeriesDescription": series.description, "PatientID": series.patient}
    with tempfile.TemporaryDirectory() as folder:
        paths = write_ct_series(
            folder, voxels_hu, affine_ras_mm, seed=series.patient, series_number=series.number, tags=tags
        )
        return [pydicom.dcmread(path) for path in paths]


def _copy(dataset: Dataset, series: Series) -> Dataset:
    """The same slice as another instance."""
    other = copy.deepcopy(dataset)
    other.SOPInstanceUID = phantom_uid(series.patient, series.number, "copy")
    other.file_meta.MediaStorageSOPInstanceUID = other.SOPInstanceUID
    return other
