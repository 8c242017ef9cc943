"""A datalist: which images, label maps and patients belong to training, validation and test.

    {"name": "...", "modality": "CT" or "picture", "licence": "...",
     "structures": [{"name": "disc", "values": [1, 2], "parent": null, "code": {...}, "color": [r, g, b]},
                    {"name": "cup", "values": [2], "parent": "disc", ...}],
     "background": [0],
     "window": {"center_hu": 40, "width_hu": 400} or null, "crop": "none" or "body",
     "training": [{"image": path, "label": path, "patient": id}, ...], "validation": [...], "test": [...]}

Paths are relative to the JSON; a case may name the "series" of a DICOM folder. `values` are the values of the
label map that belong to a structure, those of its children included; `background` ([0] where it is left out)
lists every other value that may occur.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from common.errors import ConfigError, InputError
from common.io.cases import stem, unique_names
from common.io.ct_volume import read_ct
from common.io.photographs import read_rgb
from common.training.datalist import PARTS, check_apart, read_datalist_json

from .datalist_header import Header, read_header
from .label_maps import read_label_map
from .templates import relative_position

_KEYS = ("name", "modality", "licence", "structures", "background", "window", "crop", *PARTS)


class LabelledSlice(NamedTuple):
    """One slice or picture with its truth.

    Attributes:
        image: HU (r, c) in the axial view (anterior up, patient right at the left), or uint8 (r, c, 3).
        masks: structure name -> bool (r, c), its children included.
        position: 0 (lowest slice) .. 1 (highest slice); 0.5 for a picture.
    """

    image: np.ndarray
    masks: dict[str, np.ndarray]
    position: float


@dataclass(frozen=True)
class Case:
    """An image with its label map, not yet read.

    Attributes:
        header: what it shares with the other cases.
        image: picture, volume file or DICOM folder.
        label: its label map.
        patient: pseudonym; the same for every image of one person.
        series: SeriesInstanceUID inside a DICOM folder, None where one series stands there.
        name: of the image's file, with its folder where others have the same; unique in its part.
    """

    header: Header
    image: Path
    label: Path
    patient: str
    series: str | None = None
    name: str = ""

    @property
    def key(self) -> str:
        """What tells this image from every other: its path and series."""
        return f"{self.image}#{self.series or ''}"

    def slices(self, only: Collection[int] | None = None) -> Iterator[LabelledSlice]:
        """Slices from low to high (one for a picture); image and labels are read when the first is asked for.

        Args:
            only: slice numbers that are wanted, None for all.

        Raises:
            InputError: unreadable, NaN, labels of another grid, an unknown value, or no structure at all.
        """
        image, labels = self._read_picture() if self.header.modality == "picture" else self._read_volume()
        self._check_values(labels)
        for index in range(labels.shape[2]) if only is None else sorted(only):
            position = relative_position(index, labels.shape[2])
            yield LabelledSlice(image[:, :, index], self._masks(labels[:, :, index]), position)

    def _read_picture(self) -> tuple[np.ndarray, np.ndarray]:
        """Pixels (r, c, 1, 3) and labels (r, c, 1)."""
        pixels = read_rgb(self.image)
        labels = read_label_map(self.label)
        if labels.values.shape != pixels.shape[:2]:
            raise InputError(
                f"{labels.name}: expected labels of the picture's size {pixels.shape[:2]}, got "
                f"{labels.values.shape}: this label map belongs to another picture"
            )
        return pixels[:, :, None], labels.values[:, :, None]

    def _read_volume(self) -> tuple[np.ndarray, np.ndarray]:
        """HU (r, c, slices) and labels (r, c, slices), both in the axial view."""
        volume = read_ct(self.image, self.series)
        labels = read_label_map(self.label).on_grid(volume.affine_ras_mm, volume.shape)
        return volume.to_axial().voxels, volume.orientation.to_axial(labels)

    def _check_values(self, labels: np.ndarray) -> None:
        found = np.flatnonzero(np.bincount(labels.ravel()))
        wanted = {value for structure in self.header.structures for value in structure.values}
        unknown = sorted(set(found.tolist()) - wanted - set(self.header.background))
        if unknown:
            raise InputError(
                f"{self.label.name}: expected the labels {sorted(wanted | set(self.header.background))}, got "
                f"also {unknown[:5]}: add them to a structure's values or to background"
            )
        if not wanted.intersection(found.tolist()):
            raise InputError(
                f"{self.label.name}: expected at least one pixel of a structure, got only background: "
                "remove the case or correct values"
            )

    def _masks(self, labels: np.ndarray) -> dict[str, np.ndarray]:
        return {s.name: np.isin(labels, s.values) for s in self.header.structures}


def load_datalist(path: str | Path, part: str) -> list[Case]:
    """The cases of one part of a datalist; all parts are checked, no image is read.

    Args:
        path: JSON as in the module's docstring.
        part: "training", "validation" or "test".

    Raises:
        ConfigError: an unknown part.
        InputError: not a datalist, contradictory structures, a missing file, an image listed twice, a patient
            in two parts, or no case in the part.
    """
    if part not in PARTS:
        raise ConfigError(f"part: expected one of {', '.join(PARTS)}, got '{part}': choose one")
    path = Path(path)
    content = read_datalist_json(path, _KEYS)
    header = read_header(content, path.name)
    cases = {name: _read_part(content.get(name, []), header, path, name) for name in PARTS}
    check_apart({name: [(case.key, case.patient) for case in cases[name]] for name in PARTS}, path.name)
    if not cases[part]:
        raise InputError(f"{path.name}: expected cases under '{part}', got none: take another part")
    return cases[part]


def _read_part(entries: Any, header: Header, path: Path, part: str) -> list[Case]:
    if not isinstance(entries, list):
        raise InputError(
            f"{path.name}: expected a list under '{part}', got {type(entries).__name__}: correct it"
        )
    return _name_cases([_read_case(entry, header, path) for entry in entries])


def _name_cases(cases: Sequence[Case]) -> list[Case]:
    """KiTS23 and others keep case_00000/imaging.nii.gz, case_00001/imaging.nii.gz ..."""
    short = [stem(case.image) for case in cases]
    common = Counter(short)
    names = [
        name if common[name] == 1 else f"{case.image.parent.name}/{name}"
        for case, name in zip(cases, short, strict=True)
    ]
    return [replace(case, name=name) for case, name in zip(cases, unique_names(names), strict=True)]


def _read_case(entry: Any, header: Header, path: Path) -> Case:
    if not isinstance(entry, dict) or not all(entry.get(key) for key in ("image", "label", "patient")):
        got = ", ".join(map(str, entry)) if isinstance(entry, dict) else type(entry).__name__
        raise InputError(
            f"{path.name}: expected cases with image, label and patient, got {got}: complete them"
        )
    image, label = ((path.parent / entry[key]).resolve() for key in ("image", "label"))
    for file in (image, label):
        if not file.exists():
            raise InputError(f"{path.name}: expected {file.name}, got no such file: correct the path")
    return Case(header, image, label, str(entry["patient"]), entry.get("series"))
