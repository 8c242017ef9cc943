"""What the segments of a DICOM SEG say about themselves, and a count of what was stored in it."""

from __future__ import annotations

from typing import Any, Protocol

import highdicom as hd
import numpy as np
from highdicom.seg import SegmentDescription
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from ..errors import OutputError
from .provenance import Algorithm, content_uid, long_string

ANATOMICAL_STRUCTURE = Code("91723000", "SCT", "Anatomical Structure")
"""Category of a segment (CID 7150), and the type of one without a concept of its own."""


class Concept(Protocol):
    """A coded concept, such as SCT 50403003 "Structure of cortex of kidney"."""

    @property
    def scheme(self) -> str: ...
    @property
    def value(self) -> str: ...
    @property
    def meaning(self) -> str: ...


class SegStructure(Protocol):
    """What a segment says about itself: name, concept and RGB colour 0..255."""

    @property
    def name(self) -> str: ...
    @property
    def code(self) -> Any: ...
    @property
    def color(self) -> tuple[int, int, int]: ...


def to_code(concept: Concept | Code | None) -> Code:
    """The concept for highdicom; the category itself where there is none."""
    if isinstance(concept, Code):
        return concept
    return ANATOMICAL_STRUCTURE if concept is None else Code(concept.value, concept.scheme, concept.meaning)


def describe_segment(
    number: int,
    structure: SegStructure,
    algorithm: Algorithm,
    found: bool,
    category: Code = ANATOMICAL_STRUCTURE,
) -> SegmentDescription:
    """The item of one segment.

    Args:
        number: from 1.
        structure: what it is.
        algorithm: what outlined it.
        found: whether anything is in it; where not the description says so.
        category: segmented property category (CID 7150).
    """
    red, green, blue = structure.color
    segment = SegmentDescription(
        segment_number=number,
        segment_label=long_string(structure.name),
        segmented_property_category=category,
        segmented_property_type=to_code(structure.code),
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name=long_string(algorithm.name),
            family=codes.DCM.ArtificialIntelligence,
            version=long_string(algorithm.version),
            parameters=algorithm.parameters or None,
        ),
        display_color=hd.color.CIELabColor.from_rgb(red, green, blue),
    )
    segment.SegmentDescription = "automatic" if found else "automatic; nothing was found"
    return segment


def settle_dimensions(dataset: Dataset) -> None:
    """The organization of the dimensions gets a UID that follows from the instance's: highdicom draws one."""
    uid = content_uid("dimensions", dataset.SOPInstanceUID)
    for item in (*dataset.DimensionOrganizationSequence, *dataset.DimensionIndexSequence):
        item.DimensionOrganizationUID = uid


def recount(dataset: Dataset, wanted: int, name: str) -> None:
    """Raises OutputError: the stored bits of a BINARY SEG are not as many as those of the masks."""
    pixels = int(dataset.NumberOfFrames) * int(dataset.Rows) * int(dataset.Columns)
    stored = int(
        np.unpackbits(np.frombuffer(dataset.PixelData, np.uint8), count=pixels, bitorder="little").sum()
    )
    if stored != wanted:
        raise OutputError(f"{name}: expected {wanted} pixels in the DICOM SEG, got {stored}: report this")
