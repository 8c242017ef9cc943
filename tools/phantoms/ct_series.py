"""A generated CT volume as a DICOM series of single-frame CT images, Explicit VR Little Endian."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from common.errors import InputError
from common.geometry import lps_from_ras

CT_IMAGE = UID("1.2.840.10008.5.1.4.1.1.2")
RESCALE_INTERCEPT = -1024


def phantom_uid(*parts: object) -> UID:
    """The same UID for the same parts."""
    digest = hashlib.sha256("|".join(map(str, parts)).encode()).digest()
    return UID(f"2.25.{int.from_bytes(digest[:16], 'big')}")


def write_ct_series(
    folder: str | Path,
    voxels_hu: np.ndarray,
    affine_ras_mm: np.ndarray,
    *,
    seed: object = 0,
    series_number: int = 1,
    tags: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Write a series, one file per slice K, named by number.

    Args:
        voxels_hu: (I columns, J rows, K slices) HU, whole numbers from -1024 to 64511.
        affine_ras_mm: (4, 4), rows at right angles to columns; a shear of K is written as a gantry tilt is.
        seed: decides study, series and instance UIDs; the same seed and another number is the same study.
        tags: keyword -> value, set in every slice after everything else; None deletes.

    Raises:
        InputError: values that do not fit into 16 bits after the rescale.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    stored = np.rint(np.asarray(voxels_hu, np.float64)) - RESCALE_INTERCEPT
    if not 0 <= stored.min() <= stored.max() <= 65535:
        raise InputError(
            f"phantom: expected HU -1024 to 64511, got {voxels_hu.min():g} to {voxels_hu.max():g}: clip them"
        )
    paths = []
    for k in range(stored.shape[2]):
        dataset = ct_slice(stored[:, :, k].astype(np.uint16), affine_ras_mm, k, seed, series_number)
        _set_tags(dataset, tags or {})
        paths.append(folder / f"{k + 1:04d}.dcm")
        dataset.save_as(paths[-1], enforce_file_format=True)
    return paths


def ct_slice(
    stored: np.ndarray, affine_ras_mm: np.ndarray, k: int, seed: object, series_number: int
) -> Dataset:
    """One slice: stored values uint16 (I, J) and where slice `k` of the affine lies."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = CT_IMAGE
    instance = phantom_uid(seed, series_number, k)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = instance
    _set_tags(dataset, _study(seed, series_number) | _geometry(affine_ras_mm, k) | _pixels(stored))
    dataset.InstanceNumber = k + 1
    return dataset


def _study(seed: object, series_number: int) -> dict[str, Any]:
    return {
        "StudyInstanceUID": phantom_uid(seed),
        "SeriesInstanceUID": phantom_uid(seed, series_number),
        "FrameOfReferenceUID": phantom_uid(seed, "frame of reference"),
        "SeriesNumber": series_number,
        "AcquisitionNumber": 1,
        "StudyID": "1",
        "StudyDate": "20200101",
        "StudyTime": "120000",
        "AccessionNumber": "",
        "ReferringPhysicianName": "",
        "PatientName": "Phantom^CT",
        "PatientID": f"PHANTOM-{seed}",
        "PatientBirthDate": "",
        "PatientSex": "",
        "PatientPosition": "HFS",
        "Modality": "CT",
        "Manufacturer": "phantom generator",
        "SeriesDescription": "CT phantom",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "KVP": "120",
        "PositionReferenceIndicator": "",
        "BodyPartExamined": "ABDOMEN",
    }


def _geometry(affine_ras_mm: np.ndarray, k: int) -> dict[str, Any]:
    """Positions and directions in lps_mm, written with the 16 characters that DICOM allows."""
    affine = lps_from_ras(affine_ras_mm)
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    cosines = affine[:3, :2] / lengths[:2]
    thickness = abs(np.cross(cosines[:, 0], cosines[:, 1]) @ affine[:3, 2])
    return {
        "ImagePositionPatient": _decimals(affine[:3, 3] + k * affine[:3, 2]),
        "ImageOrientationPatient": _decimals(cosines.T.ravel()),
        "PixelSpacing": _decimals(lengths[[1, 0]]),
        "SliceThickness": _decimals([thickness])[0],
    }


def _decimals(values: Any) -> list[str]:
    return [f"{value + 0.0:.10f}"[:16] for value in values]


def _pixels(stored: np.ndarray) -> dict[str, Any]:
    return {
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": stored.shape[1],
        "Columns": stored.shape[0],
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 0,
        "RescaleIntercept": str(RESCALE_INTERCEPT),
        "RescaleSlope": "1",
        "RescaleType": "HU",
        "PixelData": np.ascontiguousarray(stored.T).astype("<u2").tobytes(),
    }


def _set_tags(dataset: Dataset, tags: Mapping[str, Any]) -> None:
    for keyword, value in tags.items():
        if value is None:
            dataset.pop(keyword, None)
        else:
            setattr(dataset, keyword, value)
