"""Small mammograms: DICOM files of four views, with what tests need of a real header."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import DigitalMammographyXRayImageStorageForPresentation, ExplicitVRLittleEndian

VIEWS = (("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO"))
VIEW_CODES = {"CC": ("399162004", "cranio-caudal"), "MLO": ("399368009", "medio-lateral oblique")}
STUDY_UID = "1.2.826.0.1.3680043.8.498.1"


def draw_breast(laterality: str, rows: int = 96, columns: int = 64, spots: int = 2) -> np.ndarray:
    """(rows, columns) uint16, 12 bits: a half disc at the chest wall with bright spots.

    The chest wall of a left breast is the picture's left edge, as it is hung.
    """
    y, x = np.mgrid[:rows, :columns]
    breast = ((y - rows / 2) / (0.45 * rows)) ** 2 + (x / (0.8 * columns)) ** 2 < 1
    pixels = np.where(breast, 1200 + 4 * x, 20)
    for spot in range(spots):
        center = (rows * (0.35 + 0.3 * spot), columns * 0.3)
        pixels[np.hypot(y - center[0], x - center[1]) < rows / 16] = 3600
    return (pixels if laterality == "L" else pixels[:, ::-1]).astype(np.uint16)


def make_mammogram(
    laterality: str, view: str, pixels: np.ndarray | None = None, **changes: Any
) -> FileDataset:
    """A Digital Mammography image for presentation; `changes` set elements, None removes them."""
    pixels = draw_breast(laterality) if pixels is None else pixels
    uid = f"{STUDY_UID}.{VIEWS.index((laterality, view)) + 1 if (laterality, view) in VIEWS else 9}"
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = uid
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    elements: dict[str, Any] = {
        "SpecificCharacterSet": "ISO_IR 100",
        "ImageType": ["ORIGINAL", "PRIMARY"],
        "SOPClassUID": meta.MediaStorageSOPClassUID,
        "SOPInstanceUID": uid,
        "StudyInstanceUID": STUDY_UID,
        "SeriesInstanceUID": f"{STUDY_UID}.0",
        "SeriesNumber": 1,
        "InstanceNumber": 1,
        "StudyDate": "20240102",
        "StudyTime": "101112",
        "AccessionNumber": "A1",
        "StudyID": "1",
        "ReferringPhysicianName": "Doe^Jane",
        "Modality": "MG",
        "PresentationIntentType": "FOR PRESENTATION",
        "Manufacturer": "Toy",
        "PatientName": "Secret^Name",
        "PatientID": "P-4711",
        "PatientBirthDate": "19600101",
        "PatientSex": "F",
        "PatientAge": "064Y",
        "BodyPartExamined": "BREAST",
        "ImageLaterality": laterality,
        "ViewPosition": view,
        "PatientOrientation": ["P", "L"] if laterality == "R" else ["A", "R"],
        "ImagerPixelSpacing": [0.5, 0.5],
        "BurnedInAnnotation": "NO",
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "BitsAllocated": 16,
        "BitsStored": 12,
        "HighBit": 11,
        "PixelRepresentation": 0,
        "RescaleIntercept": 0,
        "RescaleSlope": 1,
        "RescaleType": "US",
        "PresentationLUTShape": "IDENTITY",
        "WindowCenter": 2048,
        "WindowWidth": 4096,
        "PixelData": pixels.tobytes(),
    }
    for keyword, value in (elements | changes).items():
        if value is not None:
            setattr(image, keyword, value)
    if view in VIEW_CODES:
        code = Dataset()
        code.CodeValue, code.CodeMeaning = VIEW_CODES[view]
        code.CodingSchemeDesignator = "SCT"
        code.ViewModifierCodeSequence = []
        image.ViewCodeSequence = [code]
    return image


def write_study(folder: Path, views: tuple[tuple[str, str], ...] = VIEWS, **changes: Any) -> Path:
    """A study folder of DICOM files, one for each (laterality, view)."""
    folder.mkdir(parents=True, exist_ok=True)
    for laterality, view in views:
        image = make_mammogram(laterality, view, **changes)
        image.save_as(folder / f"{laterality}_{view}.dcm", enforce_file_format=True)
    return folder


def find_dicom_errors(path: Path) -> list[str] | None:
    """Lines of dciodvfy that name an error; None where it is not installed (Debian: dicom3tools)."""
    if shutil.which("dciodvfy") is None:
        return None
    result = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
    return [line for line in (result.stdout + result.stderr).splitlines() if line.startswith("Error")]
