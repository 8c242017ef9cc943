"""A class map of a whole slide as a tiled DICOM Segmentation in the slide's own frame of reference."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
from highdicom.seg import Segmentation
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from ..errors import InputError
from .dicom_object import SEG, describe_object, save_object
from .label_grid import NOT_READ
from .provenance import (
    CODING_SCHEME,
    CODING_SCHEMES,
    MANUFACTURER,
    Algorithm,
    building,
    complete_header,
    content_uid,
)
from .segments import describe_segment, recount, settle_dimensions

FORMAT_VERSION = "1"
"""Raised when the same map would be written in another way, so that its UIDs change too."""

TILE_CELLS = 256
"""Edge of a tile of the map: most maps are one tile, the largest have some tens."""


@dataclass(frozen=True)
class SlideClass:
    """A class of the map as a segment: its name, RGB colour 0..255, concept and category (CID 7150)."""

    name: str
    color: tuple[int, int, int]
    code: Code
    category: Code


def build_slide_class(
    name: str, color: tuple[int, int, int], code: tuple[str, str, str] | None
) -> SlideClass:
    """A class of tissue by its concept (scheme, value, meaning); without one it gets a code of our own."""
    if code is None:
        own = Code(name.replace(" ", "_")[:16], CODING_SCHEME, name[:64])
        return SlideClass(name, color, own, codes.SCT.SpatialAndRelationalConcept)
    scheme, value, meaning = code
    return SlideClass(name, color, Code(value, scheme, meaning), codes.SCT.Tissue)


def write_slide_seg(
    labels: np.ndarray,
    classes: Sequence[SlideClass],
    header: Dataset,
    cell_px: float,
    algorithm: Algorithm,
    path: str | Path,
) -> str:
    """Write one BINARY segment per class, a pixel for each cell of the map.

    The total pixel matrix begins where the slide's does and its pixels are `cell_px` times as large; like
    the levels of a pyramid, both share the Total Pixel Matrix Origin. Tiles without a class are not stored
    for it; where the whole map is empty, all tiles are stored, empty. UIDs follow from the content.

    Args:
        labels: (rows, cols) int, position in `classes`, `NOT_READ` where nothing was read.
        classes: in the order of the segment numbers 1, 2, ...
        header: of the slide's largest level, see `common.io.slide_dicom`.
        cell_px: edge of a cell in pixels of that level.
        algorithm: what made the map.
        path: file to write.

    Returns:
        The SOPInstanceUID.

    Raises:
        InputError: labels without a class, or a header that a SEG cannot follow.
        OutputError: cannot be written.
    """
    if labels.max(initial=NOT_READ) >= len(classes):
        raise InputError(
            f"class map: expected labels below {len(classes)}, got {labels.max()}: name all classes"
        )
    header = complete_header(header)
    uids = _uids(labels, classes, header, cell_px, algorithm)
    with building("class map", "a DICOM SEG", "use GeoJSON"):
        dataset = _segmentation(labels, classes, header, cell_px, algorithm, uids)
    dataset.PatientOrientation = []  # required where an image lies in no patient
    settle_dimensions(dataset)
    recount(dataset, int((labels != NOT_READ).sum()), Path(path).name)
    save_object(dataset, header, path)
    return uids[1]


def _uids(
    labels: np.ndarray, classes: Sequence[SlideClass], header: Dataset, cell_px: float, algorithm: Algorithm
) -> tuple[str, str]:
    """UIDs of series and instance, from the content."""
    digest = hashlib.sha256(labels.astype("<i2").tobytes()).hexdigest()
    version = (MANUFACTURER, FORMAT_VERSION, algorithm)
    series = content_uid("SEG series", header.SeriesInstanceUID, version)
    content = (labels.shape, digest, repr(cell_px), tuple(classes))
    return series, content_uid("SEG", series, header.SOPInstanceUID, *content)


def _segmentation(
    labels: np.ndarray,
    classes: Sequence[SlideClass],
    header: Dataset,
    cell_px: float,
    algorithm: Algorithm,
    uids: tuple[str, str],
) -> Segmentation:
    empty = not (labels != NOT_READ).any()
    contribution = "Automatic classification of a whole slide"
    return Segmentation(
        source_images=[header],
        pixel_array=(labels + 1).astype(np.uint8)[None],
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[
            describe_segment(number, one, algorithm, bool((labels == number - 1).any()), one.category)
            for number, one in enumerate(classes, 1)
        ],
        content_label="SEGMENTATION",
        content_description="Automatic class map" + (": nothing was classified" if empty else ""),
        omit_empty_frames=not empty,
        tile_pixel_array=True,
        tile_size=(min(TILE_CELLS, labels.shape[0]), min(TILE_CELLS, labels.shape[1])),
        dimension_organization_type=hd.DimensionOrganizationTypeValues.TILED_SPARSE,
        coding_schemes=CODING_SCHEMES,
        **_place(header, cell_px),
        **describe_object(SEG, algorithm, uids, f"Class map: {algorithm.name}", contribution),
    )


def _place(header: Dataset, cell_px: float) -> dict[str, Any]:
    """Origin and orientation of the slide's matrix, its pixel size times `cell_px`."""
    (origin,) = header.TotalPixelMatrixOriginSequence
    measures = header.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    slide = hd.CoordinateSystemNames.SLIDE
    position = (
        float(origin.XOffsetInSlideCoordinateSystem),
        float(origin.YOffsetInSlideCoordinateSystem),
        float(origin.get("ZOffsetInSlideCoordinateSystem") or 0),
    )
    return {
        "pixel_measures": hd.PixelMeasuresSequence(
            pixel_spacing=[float(size) * cell_px for size in measures.PixelSpacing],
            slice_thickness=float(measures.get("SliceThickness") or 0.001),
        ),
        "plane_orientation": hd.PlaneOrientationSequence(
            slide, [float(value) for value in header.ImageOrientationSlide]
        ),
        "plane_positions": [hd.PlanePositionSequence(slide, position, pixel_matrix_position=(1, 1))],
    }
