"""What a layout finds: cases with their label maps, and what all of them share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.errors import InputError

ABDOMEN_WINDOW = {"center_hu": 40, "width_hu": 400}


@dataclass(frozen=True)
class Entry:
    """One image with its labels.

    Attributes:
        name: unique among the cases; files made for it are called so.
        image: picture, volume or DICOM folder.
        label: label map as it is in the data set; None where `make` writes one.
        patient: pseudonym.
        part: "training", "validation" or "test" where the data set says so.
        series: SeriesInstanceUID inside a DICOM folder.
        make: writes what the data set does not have (a joined label map, a crop) into a folder; returns image
            and label, or None for a case without any structure, which is left out.
    """

    name: str
    image: Path
    label: Path | None
    patient: str
    part: str | None = None
    series: str | None = None
    make: Callable[[Path], tuple[Path, Path] | None] | None = None


@dataclass(frozen=True)
class Collected:
    """A data set.

    Attributes:
        name: of the data set.
        modality: "CT" or "picture".
        licence: as its publishers state it; `Request.licence` goes before.
        structures: as in a datalist.
        background: values of the label maps that belong to no structure.
        entries: its cases.
        window: for CT.
    """

    name: str
    modality: str
    licence: str
    structures: Sequence[Mapping[str, Any]]
    background: Sequence[int]
    entries: Sequence[Entry]
    window: Mapping[str, float] | None = field(default_factory=lambda: dict(ABDOMEN_WINDOW))


@dataclass(frozen=True)
class Request:
    """What the command line asks of a layout.

    Attributes:
        source: folder of the data set.
        structures: names that are wanted; empty takes the layout's own.
        named_values: (value, name), for label maps without names.
        rename: name in the data set -> name of a structure.
        background: values of the label maps that belong to no structure.
        crop_px: side of a square around the disc in pixels of the picture, None for whole pictures.
        hu_offset: added to stored values that are not HU.
        licence: the terms of the copy at hand; empty takes what the layout knows.
    """

    source: Path
    structures: tuple[str, ...] = ()
    named_values: tuple[tuple[int, str], ...] = ()
    rename: Mapping[str, str] = field(default_factory=dict)
    background: tuple[int, ...] = (0,)
    crop_px: int | None = None
    hu_offset: float = -1024.0
    licence: str = ""


def structure(name: str, values: Sequence[int], parent: str | None = None) -> dict[str, Any]:
    """One structure of a datalist."""
    return {"name": name, "values": list(values), "parent": parent}


DISC_AND_CUP = (structure("disc", [1, 2]), structure("cup", [2], "disc"))
"""Of label maps that are written here: 1 rim, 2 cup."""

REFUGE_VALUES = (structure("disc", [0, 128]), structure("cup", [0], "disc"))
"""Of REFUGE's own masks: 0 cup, 128 rim, 255 background."""


def need(entries: list[Entry], source: Path, expected: str) -> list[Entry]:
    """The entries. Raises InputError: there are none."""
    if not entries:
        raise InputError(
            f"{source.name}: expected {expected}, got no such case: check the folder or the layout"
        )
    return entries


def strip_suffixes(path: Path) -> str:
    """ "a.seg.nrrd" -> "a", "b.nii.gz" -> "b"."""
    name = path.name
    for suffix in (".seg.nrrd", ".nii.gz", ".nii", ".nrrd", ".dcm"):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return path.stem
