"""Slices that the user labelled in the very image that is to be segmented, as a task of their own.

A MONAI Label client saves a label map as `labels/final/NAME.nii.gz` (or .nrrd) below the folder of the
images, and what its values mean in `datastore_v2.json` beside them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import InputError
from common.io.cases import stem

from .frame import Window
from .label_maps import read_label_map
from .pipeline import Image
from .structures import Structure, keep_structures
from .template_maker import Labelled, choose_slices, make_templates
from .templates import Task

MAX_OWN = 5
"""Slices that are taken at most; a labelled volume does not say which of its slices were looked at."""

LABEL_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".seg.nrrd")
_LABELS, _TABLE = Path("labels") / "final", "datastore_v2.json"


def find_own_labels(image: Path, given: Any = None) -> Path | None:
    """The label map that came with the request, or else the one saved for this image; None without one.

    Args:
        image: path of the image in the folder of the studies.
        given: path of the label map of the request.
    """
    if given:
        return Path(str(given))
    saved = [image.parent / _LABELS / f"{stem(image)}{suffix}" for suffix in LABEL_SUFFIXES]
    return next((path for path in saved if path.is_file()), None)


def build_own_task(
    image: Image,
    labels: Path | None,
    known: Sequence[Structure],
    window: Window,
    crop: str,
    slices: Sequence[int] | None = None,
) -> Task:
    """The task that the user's labels explain; structures that were not labelled are not segmented.

    Args:
        image: the CT.
        labels: label map on the CT's grid, or on a part of it.
        known: structures that a label may mean.
        window, crop: of the task.
        slices: which labelled slices to take, 0 is the lowest; None: all, of more than `MAX_OWN` those that
            show the structures best.

    Raises:
        InputError: no label map, one on another grid, without a label or with an unknown one, or a slice
            that shows no structure.
    """
    if labels is None:
        raise InputError(
            f"{image.case.path.name}: expected a labelled slice in labels/final/{image.case.name}.nii.gz, "
            "got none: label a slice and submit it, or choose another prompt"
        )
    labelled = _read(image, labels, known)
    if slices is None:
        places = np.flatnonzero(np.any(list(labelled.masks.values()), axis=(0, 1, 2))).tolist()
        slices = places if len(places) <= MAX_OWN else choose_slices(labelled.masks, MAX_OWN)
    templates = make_templates(labelled, slices, "own")
    shown = {name for template in templates for name in template.masks}
    return Task("own", "CT", window, crop, keep_structures(known, shown), tuple(templates))


def _read(image: Image, labels: Path, known: Sequence[Structure]) -> Labelled:
    """The image with a mask for each structure that the label map shows; a parent's includes its children."""
    volume = image.volume
    if volume is None:
        raise InputError(f"{image.case.path.name}: expected a CT, got a picture: name a CT")
    found = read_label_map(labels)
    values = volume.orientation.to_axial(found.on_grid(volume.affine_ras_mm, volume.shape, may_be_part=True))
    meanings = _meanings(image.case.path, known)
    present = [int(value) for value in np.unique(values) if value]
    if not present:
        raise InputError(f"{labels.name}: expected a labelled slice, got an empty label map: label a slice")
    for value in present:
        if value not in meanings:
            raise InputError(
                f"{labels.name}: expected segments named {', '.join(row.name for row in known)}, got another "
                f"name for the value {value}: rename the segment"
            )
    masks = {}
    for structure in known:
        own = [value for value in present if structure.name in _with_parents(meanings[value], known)]
        if own:
            masks[structure.name] = np.isin(values, own)
    row_mm, column_mm, slice_mm = volume.to_axial().spacing_mm.tolist()
    return Labelled("CT", image.pixels, masks, {}, (row_mm, column_mm), slice_mm, {"labels": [labels.name]})


def _meanings(image: Path, known: Sequence[Structure]) -> dict[int, str]:
    """Value -> structure: as the client wrote it down when it saved the labels, else as in labels.json."""
    names = {structure.name.lower(): structure.name for structure in known}
    try:
        table = json.loads((image.parent / _TABLE).read_text(encoding="utf-8"))
        segments = table["objects"][stem(image)]["labels"]["final"]["info"]["label_info"]
        written = {int(segment["idx"]): str(segment["name"]).lower() for segment in segments}
    except (OSError, ValueError, KeyError, TypeError):
        written = {}
    if not written:
        return {structure.value: structure.name for structure in known}
    return {value: names[name] for value, name in written.items() if name in names}


def _with_parents(name: str, known: Sequence[Structure]) -> set[str]:
    parents = {structure.name: structure.parent for structure in known}
    found = {name}
    while (parent := parents.get(name)) is not None:
        found.add(name := parent)
    return found
