"""A generated slide as a DICOM whole slide: VL Whole Slide Microscopy Images, one file for each level.

from phantoms.slide_dicom import write_dicom_slide
write_dicom_slide(folder, pixels, mpp=0.5)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    JPEG2000,
    UID,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    VLWholeSlideMicroscopyImageStorage,
)

from .ct_series import phantom_uid

TILE_PX = 256
SRGB = b"\x00\x00\x00\x80ADBE\x02\x10\x00\x00mntrRGB XYZ " + bytes(12) + b"acspAPPL" + bytes(84) + bytes(4)
"""A header of an ICC profile without tags; the standard wants a profile, nobody here applies it."""

QUALITY, RATIO = 90, 10
"""Of lossy tiles: quality of JPEG, compression ratio of JPEG 2000."""


def write_dicom_slide(
    folder: str | Path,
    pixels: np.ndarray,
    mpp: float = 0.5,
    *,
    downsamples: Sequence[int] = (1, 4),
    orientation: Sequence[float] = (0, -1, 0, -1, 0, 0),
    origin_mm: Sequence[float] = (20.0, 40.0),
    transfer_syntax: UID = ExplicitVRLittleEndian,
    tags: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Write a pyramid of TILED_FULL images, largest level first.

    Args:
        folder: for level_0.dcm, level_1.dcm, ...
        pixels: (H, W, 3) uint8 of level 0.
        mpp: microns per level-0 pixel.
        downsamples: of the levels.
        orientation: direction cosines of a row and of a column in the slide's coordinates.
        origin_mm: X and Y of the total pixel matrix in the slide's coordinates, the same for all levels.
        transfer_syntax: Explicit VR Little Endian, JPEG Baseline, or JPEG 2000 (lossless or lossy).
        tags: elements by keyword that are set in every file; None removes one.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for level, step in enumerate(downsamples):
        size = (pixels.shape[1] // step, pixels.shape[0] // step)
        image = _header(level, mpp * step / 1000, orientation, origin_mm)
        _add_pixels(image, cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), mpp * step / 1000)
        _compress(image, transfer_syntax)
        for keyword, value in (tags or {}).items():
            if value is not None:
                setattr(image, keyword, value)
            elif keyword in image:
                delattr(image, keyword)
        paths.append(folder / f"level_{level}.dcm")
        image.save_as(paths[-1], enforce_file_format=True)
    return paths


def _header(level: int, pixel_mm: float, orientation: Sequence[float], origin_mm: Sequence[float]) -> Dataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = VLWholeSlideMicroscopyImageStorage
    meta.MediaStorageSOPInstanceUID = phantom_uid("slide", level)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    kind = "NONE" if level == 0 else "RESAMPLED"
    elements: dict[str, Any] = {
        "ImageType": ["ORIGINAL" if level == 0 else "DERIVED", "PRIMARY", "VOLUME", kind],
        "SOPClassUID": meta.MediaStorageSOPClassUID,
        "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
        **_identity(),
        "InstanceNumber": level + 1,
        "ImageOrientationSlide": list(orientation),
        "TotalPixelMatrixOriginSequence": [
            _item(
                XOffsetInSlideCoordinateSystem=origin_mm[0],
                YOffsetInSlideCoordinateSystem=origin_mm[1],
                ZOffsetInSlideCoordinateSystem=0,
            )
        ],
        "SharedFunctionalGroupsSequence": [_shared(kind, pixel_mm)],
        "OpticalPathSequence": [_optics()],
    }
    for keyword, value in elements.items():
        setattr(image, keyword, value)
    return image


def _identity() -> dict[str, Any]:
    """Patient, study, series, specimen: what does not depend on the pixels."""
    specimen = _item(
        SpecimenIdentifier="S1",
        SpecimenUID=phantom_uid("specimen"),
        IssuerOfTheSpecimenIdentifierSequence=[],
        SpecimenPreparationSequence=[],
    )
    return {
        "PatientName": "Phantom^Slide",
        "PatientID": "PHANTOM-WSI",
        "PatientBirthDate": "19500101",
        "PatientSex": "O",
        "StudyInstanceUID": phantom_uid("slide study"),
        "StudyDate": "20240102",
        "StudyTime": "101112",
        "StudyID": "1",
        "AccessionNumber": "A1",
        "ReferringPhysicianName": "",
        "SeriesInstanceUID": phantom_uid("slide series"),
        "SeriesNumber": 1,
        "Modality": "SM",
        "FrameOfReferenceUID": phantom_uid("slide frame"),
        "PositionReferenceIndicator": "SLIDE_CORNER",
        "Manufacturer": "Phantom",
        "ManufacturerModelName": "Slide",
        "DeviceSerialNumber": "1",
        "SoftwareVersions": "1",
        "ContentDate": "20240102",
        "ContentTime": "101112",
        "AcquisitionDateTime": "20240102101112",
        "AcquisitionContextSequence": [],
        "ContainerIdentifier": "C1",
        "IssuerOfTheContainerIdentifierSequence": [],
        "ContainerTypeCodeSequence": [_code("433466003", "Microscope slide")],
        "SpecimenDescriptionSequence": [specimen],
        "VolumetricProperties": "VOLUME",
        "SpecimenLabelInImage": "NO",
        "BurnedInAnnotation": "NO",
        "FocusMethod": "AUTO",
        "ExtendedDepthOfField": "NO",
        "LossyImageCompression": "00",
    }


def _shared(kind: str, pixel_mm: float) -> Dataset:
    return _item(
        PixelMeasuresSequence=[_item(PixelSpacing=[pixel_mm, pixel_mm], SliceThickness=0.001)],
        WholeSlideMicroscopyImageFrameTypeSequence=[_item(FrameType=["ORIGINAL", "PRIMARY", "VOLUME", kind])],
        OpticalPathIdentificationSequence=[_item(OpticalPathIdentifier="1")],
    )


def _optics() -> Dataset:
    return _item(
        OpticalPathIdentifier="1",
        IlluminationTypeCodeSequence=[_code("111744", "Brightfield illumination", "DCM")],
        IlluminationColorCodeSequence=[_code("414298005", "Full Spectrum")],
        ICCProfile=SRGB,
        ObjectiveLensPower=20,
    )


def _add_pixels(image: Dataset, pixels: np.ndarray, pixel_mm: float) -> None:
    """Tiles row by row, the last ones filled up with white."""
    height, width = pixels.shape[:2]
    rows, columns = -(-height // TILE_PX), -(-width // TILE_PX)
    padded = np.full((rows * TILE_PX, columns * TILE_PX, 3), 255, np.uint8)
    padded[:height, :width] = pixels
    image.TotalPixelMatrixColumns, image.TotalPixelMatrixRows = width, height
    image.TotalPixelMatrixFocalPlanes = 1
    image.ImagedVolumeWidth, image.ImagedVolumeHeight = width * pixel_mm, height * pixel_mm
    image.ImagedVolumeDepth = 0.001
    image.Rows = image.Columns = TILE_PX
    image.NumberOfFrames, image.NumberOfOpticalPaths = rows * columns, 1
    image.SamplesPerPixel, image.PhotometricInterpretation, image.PlanarConfiguration = 3, "RGB", 0
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 8, 8, 7, 0
    organization = phantom_uid("slide tiles")
    image.DimensionOrganizationType = "TILED_FULL"
    image.DimensionOrganizationSequence = [_item(DimensionOrganizationUID=organization)]
    image.PixelData = padded.reshape(rows, TILE_PX, columns, TILE_PX, 3).swapaxes(1, 2).tobytes()


def _compress(image: Dataset, transfer_syntax: UID) -> None:
    """Encode the tiles: JPEG by OpenCV, JPEG 2000 by pydicom's plug-in of OpenJPEG."""
    if transfer_syntax in (JPEG2000Lossless, JPEG2000):
        more = {} if transfer_syntax == JPEG2000Lossless else {"j2k_cr": [RATIO]}
        image.compress(transfer_syntax, generate_instance_uid=False, **more)
    elif transfer_syntax == JPEGBaseline8Bit:
        tiles = np.frombuffer(image.PixelData, np.uint8).reshape(-1, TILE_PX, TILE_PX, 3)[..., ::-1]
        options = (cv2.IMWRITE_JPEG_QUALITY, QUALITY)
        options += (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422)
        coded = [cv2.imencode(".jpg", tile, options)[1].tobytes() for tile in tiles]
        image.PixelData, image["PixelData"].VR = encapsulate(coded), "OB"
        image["PixelData"].is_undefined_length = True
        image.PhotometricInterpretation = "YBR_FULL_422"
        image.file_meta.TransferSyntaxUID = transfer_syntax
    if transfer_syntax in (JPEGBaseline8Bit, JPEG2000):
        method = "ISO_10918_1" if transfer_syntax == JPEGBaseline8Bit else "ISO_15444_1"
        image.LossyImageCompression, image.LossyImageCompressionMethod = "01", method
        image.LossyImageCompressionRatio = RATIO


def _code(value: str, meaning: str, scheme: str = "SCT") -> Dataset:
    return _item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


def _item(**elements: Any) -> Dataset:
    item = Dataset()
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    return item


__all__ = ["TILE_PX", "UID", "write_dicom_slide"]
