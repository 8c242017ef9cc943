"""A phantom as a DICOM CT series, as clean as a scanner's or as damaged as a disc from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gdcm
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

from common.errors import ConfigError, OutputError
from common.io.files import atomic_path

from .ct_scan import Images

SYNTAXES = ("none", "jpeg2000", "jpegls", "rle", "jpeg")
FAULTS = ("none", "missing", "duplicate", "irregular")
_ENCODED = {"jpeg2000": JPEG2000Lossless, "jpegls": JPEGLSLossless, "rle": RLELossless}
_INTERCEPT_HU = -1024


@dataclass(frozen=True)
class Series:
    """What is told about a series.

    Attributes:
        patient: pseudonym: PatientID; series of one patient share study and frame of reference.
        number: series number.
        description: series description.
        syntax: "none", "jpeg2000", "jpegls", "rle", or "jpeg" (lossless, first-order prediction).
        fault: "none"; "missing" (a slice in the middle), "duplicate" (one twice), "irregular" (one displaced).
    """

    patient: str
    number: int = 2
    description: str = "Abdomen"
    syntax: str = "none"
    fault: str = "none"

    def __post_init__(self) -> None:
        if self.syntax not in SYNTAXES:
            raise ConfigError(f"compress: expected one of {', '.join(SYNTAXES)}, got '{self.syntax}': choose")
        if self.fault not in FAULTS:
            raise ConfigError(f"fault: expected one of {', '.join(FAULTS)}, got '{self.fault}': choose one")

    def uid(self, *what: object) -> str:
        """The same for the same patient, series and thing."""
        return str(generate_uid(entropy_srcs=["kidney phantom", self.patient, *map(str, what)]))


def write_series(images: Images, series: Series, folder: Path) -> list[Path]:
    """One file per slice. Names and instance numbers run in the order of K, uids follow from the patient.

    Raises:
        OutputError: cannot be written.
    """
    places = _places(images.scan.shape[2], series.fault)
    paths = []
    for instance, (k, shift) in enumerate(places, 1):
        dataset = _slice(images, series, k, instance, shift)
        path = folder / f"{series.number:02d}_{instance:04d}.dcm"
        _save(dataset, series.syntax, path)
        paths.append(path)
    return paths


def write_scout(images: Images, series: Series, folder: Path) -> Path:
    """A localizer: a coronal mean of the volume, one image with its own orientation."""
    dataset = _slice(images, series, 0, 1, 0.0)
    mean = images.voxels_hu.mean(axis=1).T[::-1].astype(np.int16)
    affine = images.scan.affine_lps_mm
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
    dataset.ImagePositionPatient = _plain((affine @ [0, 0, images.scan.shape[2] - 1, 1])[:3])
    dataset.PixelSpacing = _plain([images.scan.spacing_mm[2], images.scan.spacing_mm[0]])
    _set_pixels(dataset, mean)
    path = folder / f"{series.number:02d}_0001.dcm"
    _save(dataset, series.syntax, path)
    return path


def _places(count: int, fault: str) -> list[tuple[int, float]]:
    """Slice and displacement (in slices) of every instance."""
    places = [(k, 0.0) for k in range(count)]
    middle = count // 2
    if fault == "missing":
        del places[middle]
    if fault == "duplicate":
        places.insert(middle, places[middle])
    if fault == "irregular":
        places[middle] = (middle, 0.35)
    return places


def _slice(images: Images, series: Series, k: int, instance: int, shift: float) -> Dataset:
    affine = images.scan.affine_lps_mm
    spacing = images.scan.spacing_mm
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
    uid = series.uid(series.number, "instance", instance)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid
    dataset.StudyInstanceUID = series.uid("study")
    dataset.SeriesInstanceUID = series.uid("series", series.number)
    dataset.FrameOfReferenceUID = series.uid("frame")
    for keyword, value in _describe(series).items():
        setattr(dataset, keyword, value)
    dataset.SeriesNumber, dataset.InstanceNumber = series.number, instance
    dataset.ImageOrientationPatient = _plain([*(affine[:3, 0] / spacing[0]), *(affine[:3, 1] / spacing[1])])
    dataset.ImagePositionPatient = _plain((affine @ [0, 0, k + shift, 1])[:3])
    dataset.PixelSpacing = _plain([spacing[1], spacing[0]])
    dataset.SliceThickness = _plain([spacing[2]])[0]
    normal = np.cross(affine[:3, 0], affine[:3, 1])
    tilt = np.degrees(np.arccos(np.clip(normal @ affine[:3, 2] / np.linalg.norm(normal) / spacing[2], -1, 1)))
    dataset.GantryDetectorTilt = _plain([tilt if tilt < 90 else 180 - tilt])[0]
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = _INTERCEPT_HU, 1, "HU"
    _set_pixels(dataset, images.voxels_hu[:, :, k].T)
    return dataset


def _describe(series: Series) -> dict[str, Any]:
    """What is the same in every slice; no real person has this name."""
    return {
        "SpecificCharacterSet": "ISO_IR 192",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "StudyDate": "20200101",
        "StudyTime": "120000",
        "AccessionNumber": "",
        "Modality": "CT",
        "Manufacturer": "Phantom",
        "ReferringPhysicianName": "",
        "StudyDescription": "Generated phantom",
        "SeriesDescription": series.description,
        "PatientName": "Phantom^Kidney",
        "PatientID": series.patient,
        "PatientBirthDate": "",
        "PatientSex": "O",
        "PatientPosition": "HFS",
        "StudyID": "1",
        "PositionReferenceIndicator": "",
        "KVP": "120",
        "AcquisitionNumber": 1,
    }


def _set_pixels(dataset: Dataset, hu: np.ndarray) -> None:
    """12 bits from -1024 HU, as scanners store it; (rows, columns)."""
    stored = np.clip(hu.astype(np.int32) - _INTERCEPT_HU, 0, 4095).astype("<u2")
    dataset.Rows, dataset.Columns = stored.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.PixelData = stored.tobytes()
    dataset["PixelData"].VR = "OW"


def _save(dataset: Dataset, syntax: str, path: Path) -> None:
    if syntax in _ENCODED:
        dataset.compress(_ENCODED[syntax], generate_instance_uid=False)
    with atomic_path(path) as temporary:
        dataset.save_as(temporary, enforce_file_format=True)
    if syntax == "jpeg":
        with atomic_path(path) as temporary:
            _to_jpeg_lossless(path, temporary)


def _to_jpeg_lossless(source: Path, target: Path) -> None:
    """GDCM has the encoder. Raises OutputError."""
    reader = gdcm.ImageReader()
    reader.SetFileName(str(source))
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(target))
    done = reader.Read()
    if done:
        change.SetInput(reader.GetImage())
        done = change.Change()
    if done:
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        done = writer.Write()
    if not done:
        raise OutputError(f"{source.name}: expected JPEG lossless, got a failure of GDCM: choose jpegls")


def _plain(values: Sequence[float] | np.ndarray) -> list[float]:
    """Decimal strings hold 16 characters."""
    return [float(f"{value:.9g}") for value in values]
