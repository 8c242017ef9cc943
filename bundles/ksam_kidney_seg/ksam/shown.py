"""Which slices a reader is shown: of each structure the one with most of it, with the doubt about it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .frame import Frame
from .pictures import Panel
from .predictions import DOUBT_STEP
from .segmenter import Segmenter
from .structures import Structure, mask_of

MAX_SLICES = 4
MAX_PICTURE_PX = 1500
"""A larger photograph is shown with every second, third, ... pixel; the label map keeps them all."""


@dataclass(frozen=True)
class Shown:
    """What the pictures show.

    Attributes:
        panels: slices, or the photograph.
        templates: (name, image 0..255, masks by structure) of the prompts that were used.
        coronal: (voxels (R, C, Z), labels (R, C, Z), spacing_mm of rows, columns, slices); None for a picture
            or an empty result.
    """

    panels: Sequence[Panel]
    templates: Sequence[tuple[str, np.ndarray, Mapping[str, np.ndarray]]]
    coronal: tuple[np.ndarray, np.ndarray, tuple[float, float, float]] | None = None


def show_volume(
    voxels: np.ndarray,
    labels: np.ndarray,
    frame: Frame,
    spacing_mm: Sequence[float],
    doubt: np.ndarray | None,
    segmenter: Segmenter,
    used: Sequence[Sequence[Sequence[str]]],
) -> Shown:
    """Panels of chosen slices with the doubt about them, and the view from the front.

    Args:
        voxels: (R, C, Z) HU, axial view.
        labels: (R, C, Z) label map.
        frame: of the volume.
        spacing_mm: of rows, columns, slices.
        doubt: (R, C, Z) uint8, see `VolumePrediction`.
        segmenter: that predicted the labels.
        used: ids of the templates by slice and structure.
    """
    rows, columns, slices = (float(step) for step in spacing_mm)
    panels = []
    for z, names in choose_slices(labels, segmenter.structures).items():
        panels.append(
            Panel(
                title=_name_slice(z, voxels.shape[2], names),
                image=_show_window(voxels[:, :, z], segmenter),
                labels=labels[:, :, z],
                disagreement=None if doubt is None else doubt[:, :, z] * DOUBT_STEP,
                frame=frame,
                spacing_mm=(rows, columns),
                radiological=True,
            )
        )
    coronal = (voxels, labels, (rows, columns, slices)) if labels.any() else None
    return Shown(panels, segmenter.shown(used), coronal)


def choose_slices(labels: np.ndarray, structures: Sequence[Structure]) -> dict[int, list[str]]:
    """Slice -> the structures that it shows most of, at most `MAX_SLICES`; the middle one where nothing is.

    Args:
        labels: (R, C, Z) label map.
        structures: of the label map.
    """
    chosen: dict[int, list[str]] = {}
    for structure in structures:
        areas = mask_of(labels, structure, structures).sum(axis=(0, 1))
        if areas.any():
            chosen.setdefault(int(areas.argmax()), []).append(structure.name)
    kept = sorted(chosen, key=lambda z: -len(chosen[z]))[:MAX_SLICES]
    return {z: chosen[z] for z in sorted(kept, reverse=True)} or {labels.shape[2] // 2: []}


def _name_slice(z: int, count: int, names: Sequence[str]) -> str:
    words = f": most {' and '.join(names)}" if names else ""
    return f"slice {z + 1} of {count} from the feet{words}"


def _show_window(slice_hu: np.ndarray, segmenter: Segmenter) -> np.ndarray:
    return slice_hu if segmenter.window is None else segmenter.window.apply(slice_hu)


def show_picture(
    picture: np.ndarray,
    labels: np.ndarray,
    frame: Frame,
    doubt: np.ndarray | None,
    segmenter: Segmenter,
    used: Sequence[Sequence[Sequence[str]]],
) -> Shown:
    """The photograph, every n-th pixel of a large one.

    Args:
        picture: (H, W, 3) uint8.
        labels: (H, W) label map.
        frame: of the picture.
        doubt: (H, W), see `SlicePrediction.doubt`.
        segmenter: that predicted the labels.
        used: ids of the templates by slice and structure.
    """
    step = math.ceil(max(labels.shape) / MAX_PICTURE_PX)
    small = (slice(None, None, step), slice(None, None, step))
    y0, x0, side = (value // step for value in frame.box_px)
    shown = labels[small]
    panel = Panel(
        title="the picture",
        image=picture[small],
        labels=shown,
        disagreement=None if doubt is None else doubt[small],
        frame=Frame((y0, x0, side), (shown.shape[0], shown.shape[1]), frame.size_px),
        spacing_mm=None,
        radiological=False,
    )
    return Shown([panel], segmenter.shown(used))
