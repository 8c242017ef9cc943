"""Boxes and words over an image as a Grayscale Softcopy Presentation State; the image stays untouched."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import highdicom as hd
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from .dicom_object import GSPS, describe_object, save_object
from .provenance import MANUFACTURER, Algorithm, building, complete_header, content_uid, long_string
from .sr_content import check_box, closed_outline, first_frame

FORMAT_VERSION = "2"
"""Raised when the same annotations would be written in another way, so that their UIDs change too."""

_MODALITY_LUT = ("ModalityLUTSequence", "RescaleIntercept", "RescaleSlope", "RescaleType")
_VOI_LUT = ("VOILUTSequence", "WindowCenter", "WindowWidth", "WindowCenterWidthExplanation", "VOILUTFunction")


@dataclass(frozen=True)
class Mark:
    """A box with a short word at its corner.

    Attributes:
        box_px: (x0, y0, x1, y1) in pixels of the image, edges of pixels, end exclusive.
        text: beside the box.
        layer: name of the layer that it lies in.
    """

    box_px: tuple[float, float, float, float]
    text: str
    layer: str


@dataclass(frozen=True)
class Annotations:
    """What one presentation state shows.

    Attributes:
        marks: boxes.
        layers: name -> RGB 0..255, from back to front.
        lines: written into the upper corner, on the last layer; at least one.
        corner: "left" or "right": which upper corner is free.
        label: content label: capitals, digits, underscores, at most 16.
        number: of the instance in its series, from 1.
    """

    marks: Sequence[Mark]
    layers: dict[str, tuple[int, int, int]]
    lines: Sequence[str]
    corner: str
    label: str
    number: int


def write_presentation_state(
    annotations: Annotations, header: Dataset, algorithm: Algorithm, path: str | Path
) -> str:
    """Write the annotations of one image, with the grey scale that the image itself asks for.

    One state for each image: modality LUT and polarity belong to the whole state, and images may differ.
    SOPInstanceUID follows from annotations, image and algorithm.

    Args:
        annotations: what to show.
        header: of the image, without pixels.
        algorithm: what found it.
        path: file to write.

    Returns:
        The SOPInstanceUID.

    Raises:
        InputError: a box outside the image, or a header that cannot be built upon.
        OutputError: cannot be written.
    """
    for mark in annotations.marks:
        check_box(mark.box_px, header, mark.text)
    header = complete_header(header)
    uids = _uids(annotations, header, algorithm)
    with building("annotations", "a presentation state", "use the PNG"):
        state = _state(annotations, header, algorithm, uids)
    state.Laterality = ""  # one series for both sides
    _copy_grey_scale(header, state)
    _name_frame(header, state)
    save_object(state, header, path)
    return uids[1]


def is_inverted(header: Dataset) -> bool:
    """Low values are bright. A presentation state overrides the image's photometric interpretation."""
    shape = str(header.get("PresentationLUTShape") or "")
    return header.get("PhotometricInterpretation") == "MONOCHROME1" or shape == "INVERSE"


def _uids(annotations: Annotations, header: Dataset, algorithm: Algorithm) -> tuple[str, str]:
    """UIDs of series and instance, from the content."""
    version = (MANUFACTURER, FORMAT_VERSION, algorithm)
    series = content_uid("GSPS series", header.StudyInstanceUID, version)
    return series, content_uid("GSPS", series, header.SOPInstanceUID, annotations)


def _state(
    annotations: Annotations, header: Dataset, algorithm: Algorithm, uids: tuple[str, str]
) -> hd.pr.GrayscaleSoftcopyPresentationState:
    plain = copy.deepcopy(header)  # its grey scale and frame are added afterwards, element by element
    for keyword in (*_MODALITY_LUT, *_VOI_LUT, "NumberOfFrames"):
        if keyword in plain:
            delattr(plain, keyword)
    for group in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        setattr(plain, group, [Dataset()])  # a reader has copied those of the frame to the top level
    layers = {
        name: hd.pr.GraphicLayer(name, order, display_color=hd.color.CIELabColor.from_rgb(*color))
        for order, (name, color) in enumerate(annotations.layers.items(), 1)
    }
    last = next(reversed(layers))
    used = [name for name in layers if name == last or any(mark.layer == name for mark in annotations.marks)]
    shape = "INVERSE" if is_inverted(header) else "IDENTITY"
    title, contribution = f"Annotations: {algorithm.name}", "Annotations of an automatic reading"
    return hd.pr.GrayscaleSoftcopyPresentationState(
        referenced_images=[plain],
        content_label=annotations.label,
        content_description=long_string(algorithm.name),
        graphic_annotations=[_draw(layers[name], annotations, name == last, plain) for name in used],
        graphic_layers=list(layers.values()),
        presentation_lut_transformation=hd.PresentationLUTTransformation(presentation_lut_shape=shape),
        **describe_object(GSPS, algorithm, uids, title, contribution, annotations.number),
    )


def _draw(
    layer: hd.pr.GraphicLayer, annotations: Annotations, with_lines: bool, header: Dataset
) -> hd.pr.GraphicAnnotation:
    marks = [mark for mark in annotations.marks if mark.layer == layer.GraphicLayer]
    texts = [_write_mark(mark, header) for mark in marks]
    if with_lines:
        texts += _write_lines(annotations)
    return hd.pr.GraphicAnnotation(
        referenced_images=[header],
        graphic_layer=layer,
        graphic_objects=[
            hd.pr.GraphicObject("POLYLINE", closed_outline(mark.box_px), hd.pr.AnnotationUnitsValues.PIXEL)
            for mark in marks
        ],
        text_objects=texts,
    )


def _write_mark(mark: Mark, header: Dataset) -> hd.pr.TextObject:
    """Below the box, or above it at the image's lower edge."""
    x0, y0, _, y1 = mark.box_px
    below = y1 + 0.03 * header.Rows <= header.Rows
    return hd.pr.TextObject(
        text_value=mark.text,
        units=hd.pr.AnnotationUnitsValues.PIXEL,
        anchor_point=(x0, y1 if below else y0),
        anchor_point_visible=False,
    )


def _write_lines(annotations: Annotations) -> list[hd.pr.TextObject]:
    """In shares of the displayed area, so that they stay in the corner at every zoom."""
    left, right = (0.01, 0.6) if annotations.corner == "left" else (0.4, 0.99)
    return [
        hd.pr.TextObject(
            text_value=line,
            units=hd.pr.AnnotationUnitsValues.DISPLAY,
            bounding_box=(left, 0.01 + 0.04 * place, right, 0.05 + 0.04 * place),
            text_justification=annotations.corner.upper(),
        )
        for place, line in enumerate(annotations.lines)
    ]


def _copy_grey_scale(header: Dataset, state: Dataset) -> None:
    """The image's modality LUT, and its VOI LUT, else its first window: what a viewer shows by default."""
    if header.get("ModalityLUTSequence"):
        state.ModalityLUTSequence = copy.deepcopy(header.ModalityLUTSequence)
    elif "RescaleSlope" in header and "RescaleIntercept" in header:
        state.RescaleSlope, state.RescaleIntercept = header.RescaleSlope, header.RescaleIntercept
        state.RescaleType = header.get("RescaleType") or "US"
    item = Dataset()
    if header.get("VOILUTSequence"):
        item.VOILUTSequence = [copy.deepcopy(header.VOILUTSequence[0])]
    elif header.get("WindowCenter") is not None and header.get("WindowWidth") is not None:
        item.WindowCenter, item.WindowWidth = _first(header.WindowCenter), _first(header.WindowWidth)
        if header.get("VOILUTFunction"):
            item.VOILUTFunction = header.VOILUTFunction
    if len(item):
        state.SoftcopyVOILUTSequence = [item]


def _name_frame(header: Dataset, state: Dataset) -> None:
    """Say which frame is annotated and shown, where the image has frames."""
    frames = first_frame(header)
    if frames is None:
        return
    for item in (*state.GraphicAnnotationSequence, *state.DisplayedAreaSelectionSequence):
        for reference in item.get("ReferencedImageSequence", ()):
            reference.ReferencedFrameNumber = frames[0]


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, MultiValue) else value
