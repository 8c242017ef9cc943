"""What a Comprehensive SR says: places, amounts, findings, and their measurement groups of TID 1500."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import highdicom as hd
import numpy as np
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from ..errors import InputError
from .provenance import Algorithm, content_uid, long_string


@dataclass(frozen=True)
class Site:
    """A place in the body: its concept and its side, None where it has none."""

    place: Code
    side: Code | None = None


@dataclass(frozen=True)
class Amount:
    """A measured value.

    Attributes:
        name: what was measured.
        value: in `unit`.
        unit: of UCUM.
        site: where, if that is a part of the finding's place.
    """

    name: Code
    value: float
    unit: Code
    site: Site | None = None


@dataclass(frozen=True)
class SegmentReference:
    """A segment of a DICOM SEG.

    Attributes:
        seg: header of the SEG.
        number: of the segment.
        source: header of the image, or of one of the slices, that was segmented.
        frames: those of a tiled SEG that show the segment, from 1; empty: the segment as a volume.
    """

    seg: Dataset
    number: int
    source: Dataset
    frames: tuple[int, ...] = ()


@dataclass(frozen=True)
class Finding:
    """One measurement group of TID 1500: a region of an image, a segment, or something said of whole images.

    Attributes:
        label: tracking identifier, unique in the report, e.g. "R CC region 1".
        kind: finding type.
        images: headers that it refers to; one for a region, none for a segment.
        site: place in the body; None for a whole study.
        box_px: (x0, y0, x1, y1) in pixels of the image, edges of pixels, end exclusive; None: not a region.
        amounts: measured values.
        evaluations: (question, answer), coded.
        segment: None: not a segment.
    """

    label: str
    kind: Code
    images: Sequence[Dataset]
    site: Site | None
    box_px: tuple[float, float, float, float] | None = None
    amounts: Sequence[Amount] = ()
    evaluations: Sequence[tuple[Code, Code]] = ()
    segment: SegmentReference | None = None

    @property
    def references(self) -> tuple[str, ...]:
        """UIDs of what it refers to."""
        found = [*self.images, *([self.segment.seg] if self.segment else [])]
        return tuple(str(header.SOPInstanceUID) for header in found)


@dataclass(frozen=True)
class Statement:
    """A sentence for the reader, with what it is about."""

    about: Code
    text: str


def check_box(box_px: Sequence[float], header: Dataset, name: str) -> None:
    """Raises InputError: the box is empty or leaves the image."""
    x0, y0, x1, y1 = box_px
    if not (0 <= x0 < x1 <= header.Columns and 0 <= y0 < y1 <= header.Rows):
        raise InputError(
            f"{name}: expected a box inside the image of {header.Columns} x {header.Rows} px, got "
            f"{', '.join(f'{value:g}' for value in box_px)}: clip it"
        )


def first_frame(header: Dataset) -> list[int] | None:
    """The frame that is referred to: the first of an image that has frames (2-D views of a tomosynthesis).

    A slide's frames are its tiles: it is referred to as a whole.
    """
    return [1] if "NumberOfFrames" in header and "TotalPixelMatrixColumns" not in header else None


def closed_outline(box_px: Sequence[float]) -> np.ndarray:
    """(5, 2) corners (column, row) of a box, the first one repeated."""
    x0, y0, x1, y1 = box_px
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]], float)


Group = (
    hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations
    | hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations
    | hd.sr.MeasurementsAndQualitativeEvaluations
)


def build_group(finding: Finding, algorithm: Algorithm) -> Group:
    """The measurement group of a finding: TID 1410 or 1411 of a region, TID 1501 of images."""
    common = _describe(finding, algorithm)
    if finding.segment is not None:
        return _segment_group(finding.segment, common)
    if finding.box_px is None:
        sources = [
            hd.sr.SourceImageForMeasurementGroup.from_source_image(one, first_frame(one))
            for one in finding.images
        ]
        return hd.sr.MeasurementsAndQualitativeEvaluations(source_images=sources, **common)
    image = finding.images[0]
    region = hd.sr.ImageRegion(
        graphic_type=hd.sr.GraphicTypeValues.POLYLINE,
        graphic_data=closed_outline(finding.box_px),
        source_image=hd.sr.SourceImageForRegion.from_source_image(image, first_frame(image)),
    )
    return hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations(referenced_region=region, **common)


def _describe(finding: Finding, algorithm: Algorithm) -> dict[str, Any]:
    return {
        "tracking_identifier": hd.sr.TrackingIdentifier(
            uid=content_uid("tracking", finding.label, *finding.references), identifier=finding.label
        ),
        "finding_type": finding.kind,
        "algorithm_id": hd.sr.AlgorithmIdentification(
            name=long_string(algorithm.name),
            version=long_string(algorithm.version),
            parameters=[f"{key}={value}" for key, value in algorithm.parameters.items()] or None,
        ),
        "finding_sites": _sites(finding.site),
        "measurements": [
            hd.sr.Measurement(one.name, one.value, one.unit, finding_sites=_sites(one.site))
            for one in finding.amounts
        ],
        "qualitative_evaluations": [hd.sr.QualitativeEvaluation(*pair) for pair in finding.evaluations],
    }


def _sites(site: Site | None) -> list[hd.sr.FindingSite] | None:
    return None if site is None else [hd.sr.FindingSite(site.place, site.side)]


def _segment_group(segment: SegmentReference, common: dict[str, Any]) -> Group:
    """A volume's segment by number (TID 1411), a slide's by the frames that show it (TID 1410)."""
    seg, source = segment.seg, segment.source
    if not segment.frames:
        volume = hd.sr.ReferencedSegment(
            sop_class_uid=seg.SOPClassUID,
            sop_instance_uid=seg.SOPInstanceUID,
            segment_number=segment.number,
            source_series=hd.sr.SourceSeriesForSegmentation(source.SeriesInstanceUID),
        )
        return hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations(referenced_segment=volume, **common)
    frames = hd.sr.ReferencedSegmentationFrame(
        sop_class_uid=seg.SOPClassUID,
        sop_instance_uid=seg.SOPInstanceUID,
        frame_number=list(segment.frames),
        segment_number=segment.number,
        source_image=hd.sr.SourceImageForSegmentation(source.SOPClassUID, source.SOPInstanceUID),
    )
    del frames[0].ReferencedSOPSequence[0].ReferencedSegmentNumber  # frames say it; both are not allowed
    return hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations(referenced_segment=frames, **common)
