"""A view as a Digital Mammography X-Ray Image for presentation, written as its maker does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from .ct_series import phantom_uid
from .encoding import save
from .mammo_patient import Patient
from .mammo_study import Plan
from .mammo_vendor import Vendor, Voi, store

MAMMOGRAPHY = UID("1.2.840.10008.5.1.4.1.1.1.2")
VIEW_CODES = {
    "CC": ("399162004", "SCT", "cranio-caudal"),
    "MLO": ("399368009", "SCT", "medio-lateral oblique"),
}
NUMBERS = {("R", "CC"): 1, ("L", "CC"): 2, ("R", "MLO"): 3, ("L", "MLO"): 4}
DATE = "20200101"
SHORT = 64
"""Characters that a LO element takes; longer histories go to an LT."""


def write_view(
    path: Path, plan: Plan, shown: np.ndarray, patient: Patient, vendor: Vendor, syntax: str = "none"
) -> None:
    """Write one file.

    Args:
        path: of the file.
        plan: side, view and pixel size.
        shown: (rows, columns) 0..1, what a display is to show.
        patient: whose.
        vendor: its habits.
        syntax: one of `encoding.SYNTAXES`.

    Raises:
        OutputError: cannot be written or compressed.
    """
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    implicit = vendor.implicit and syntax == "none"
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    instance = phantom_uid("mammogram", patient.seed, plan.side, plan.view)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = MAMMOGRAPHY
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = instance
    _set(dataset, _study(patient, vendor) | _acquisition(patient, plan.side, plan.view, vendor))
    _set(dataset, {name: [f"{plan.film.pixel_mm:g}"] * 2 for name in vendor.spacing_in})
    _set(dataset, _history(patient, vendor) | _pixels(store(shown, vendor), vendor))
    save(dataset, syntax, path)


def _study(patient: Patient, vendor: Vendor) -> dict[str, Any]:
    return {
        "StudyInstanceUID": phantom_uid("mammogram", patient.seed),
        "SeriesInstanceUID": phantom_uid("mammogram", patient.seed, "series"),
        "SeriesNumber": 1,
        "StudyID": "1",
        "StudyDate": DATE,
        "StudyTime": "120000",
        "ContentDate": DATE,
        "ContentTime": "120000",
        "AcquisitionDate": DATE,
        "AcquisitionTime": "120000",
        "AccessionNumber": "",
        "ReferringPhysicianName": "",
        "PatientName": "Phantom^Mammogram",
        "PatientID": patient.name,
        "PatientBirthDate": "",
        "PatientSex": "F",
        "PatientAge": f"{patient.age:03d}Y",
        "Modality": "MG",
        "Manufacturer": vendor.name,
        "ManufacturerModelName": vendor.model,
        "DeviceSerialNumber": "0",
        "SoftwareVersions": "phantom",
        "SeriesDescription": "Mammography phantom",
    }


def _acquisition(patient: Patient, side: str, view: str, vendor: Vendor) -> dict[str, Any]:
    shape = patient.breasts[side].shapes[view]
    front, medial = ("A", "R") if side == "L" else ("P", "L")
    down = medial if view == "CC" else f"F{medial}"
    coded = _code(*VIEW_CODES[view])
    coded.ViewModifierCodeSequence = Sequence()
    tags = {
        "ImageType": ["ORIGINAL", "PRIMARY"],
        "InstanceNumber": NUMBERS[side, view],
        "PatientOrientation": [front, down],
        vendor.side_in: side,
        "PresentationIntentType": "FOR PRESENTATION",
        "BodyPartExamined": "BREAST",
        "AnatomicRegionSequence": Sequence([_code("76752008", "SCT", "Breast")]),
        "OrganExposed": "BREAST",
        "BreastImplantPresent": "NO",
        "PartialView": "NO",
        "PositionerType": "MAMMOGRAPHIC",
        "PositionerPrimaryAngle": f"{shape.angle_deg if side == 'L' else -shape.angle_deg:.0f}",
        "BodyPartThickness": f"{shape.thickness_mm:.0f}",
        "CompressionForce": f"{60 + shape.thickness_mm:.0f}",
        "KVP": "29",
        "ExposureInuAs": 90000,
        "AnodeTargetMaterial": "TUNGSTEN",
        "FilterMaterial": "RHODIUM",
        "DetectorType": "DIRECT",
        "DistanceSourceToDetector": "660",
        "EstimatedRadiographicMagnificationFactor": "1",
        "AcquisitionContextSequence": Sequence(),
        "BurnedInAnnotation": "NO",
        "LossyImageCompression": "00",
    }
    if vendor.view_in != "position":
        tags["ViewCodeSequence"] = Sequence([coded])
    if vendor.view_in != "code":
        tags["ViewPosition"] = view
    if "PixelSpacing" in vendor.spacing_in:
        tags["PixelSpacingCalibrationType"] = "GEOMETRY"
        tags["PixelSpacingCalibrationDescription"] = "at the detector"
    return tags


def _pixels(voi: Voi, vendor: Vendor) -> dict[str, Any]:
    rows, columns = voi.stored.shape
    tags: dict[str, Any] = {
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME1" if vendor.inverted else "MONOCHROME2",
        "PresentationLUTShape": "INVERSE" if vendor.inverted else "IDENTITY",
        "Rows": rows,
        "Columns": columns,
        "BitsAllocated": 16,
        "BitsStored": 12,
        "HighBit": 11,
        "PixelRepresentation": 0,
        "PixelIntensityRelationship": "LOG",
        "PixelIntensityRelationshipSign": -1 if vendor.inverted else 1,
        "RescaleIntercept": "0",
        "RescaleSlope": "1",
        "RescaleType": "US",
        "PixelData": np.ascontiguousarray(voi.stored, "<u2").tobytes(),
    }
    if vendor.padding:
        tags["PixelPaddingValue"] = int(voi.stored.max() if vendor.inverted else voi.stored.min())
    if voi.windows:
        tags["WindowCenter"], tags["WindowWidth"] = (
            [f"{pair[place]:g}" for pair in voi.windows] for place in (0, 1)
        )
    if len(voi.windows) > 1:
        tags["WindowCenterWidthExplanation"] = ["NORMAL", "HARDER", "SOFTER"]
    if voi.function:
        tags["VOILUTFunction"] = voi.function
    if voi.table is not None:
        item = Dataset()
        item.LUTDescriptor = [len(voi.table), 0, 12]
        item.LUTExplanation = "NORMAL"
        item.add_new("LUTData", "US", voi.table.tolist())
        tags["VOILUTSequence"] = Sequence([item])
    return tags


def _history(patient: Patient, vendor: Vendor) -> dict[str, Any]:
    """Where this maker's worklist puts the text; a text beside the files is written by `mammo_dataset`."""
    if patient.history is None or vendor.history_in == "file":
        return {}
    if vendor.history_in == "PatientComments" or len(patient.history) > SHORT:
        keyword = "PatientComments" if vendor.history_in == "PatientComments" else "AdditionalPatientHistory"
        return {keyword: patient.history}
    if vendor.history_in == "request":
        request = Dataset()
        request.RequestedProcedureID = "1"
        request.ScheduledProcedureStepID = "1"
        request.ReasonForTheRequestedProcedure = patient.history
        return {"RequestAttributesSequence": Sequence([request])}
    return {vendor.history_in: patient.history}


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def _set(dataset: Dataset, tags: Mapping[str, Any]) -> None:
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
