"""Knowledge prompts: labelled example slices (templates), and the task that they explain together."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Container, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import InputError

from .frame import CROPS, Window
from .structures import Structure, check_structures, keep_structures

MODALITIES = ("CT", "picture")


@dataclass(frozen=True, eq=False)
class Template:
    """One labelled slice: the paper's KP_instance and, for each structure, its KP_task.

    Attributes:
        id: name of its folder, unique in its task.
        image: (r, c) HU as int16 or float32, oriented as `AxialView.voxels[:, :, z]`; or (r, c, 3) RGB uint8.
        masks: structure name -> (r, c) bool, never empty. A parent's mask includes its children. A structure
            that is not in the slice has no entry.
        spacing_mm: row and column spacing, None where it is not known.
        position: 0 (most inferior slice of its series) to 1 (most superior); None for a picture.
        provenance: where it comes from, as plain values (`file`, `sha256`, `slice`, `licence`, ...).

    Raises:
        InputError: an image or a mask that is not as above.
    """

    id: str
    image: np.ndarray
    masks: Mapping[str, np.ndarray]
    spacing_mm: tuple[float, float] | None = None
    position: float | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_image(self.id, self.image)
        for name, mask in self.masks.items():
            _check_mask(f"template '{self.id}', structure '{name}'", mask, self.image.shape[:2])
        if not self.masks:
            raise InputError(
                f"template '{self.id}': expected a mask of a structure, got none: label the slice"
            )
        if self.position is not None and not 0 <= self.position <= 1:
            raise InputError(
                f"template '{self.id}': expected a position from 0 to 1, got {self.position:g}: correct it"
            )
        if self.spacing_mm is not None and not min(self.spacing_mm) > 0:
            raise InputError(
                f"template '{self.id}': expected spacings above 0 mm, got {self.spacing_mm}: correct them"
            )

    @property
    def modality(self) -> str:
        """ "CT" for a plane of HU, "picture" for RGB."""
        return "CT" if self.image.ndim == 2 else "picture"

    @property
    def slug(self) -> str:
        """The id as a file name."""
        return slug(self.id)

    @cached_property
    def image_sha256(self) -> str:
        """Hash of the pixels, their type and shape."""
        digest = hashlib.sha256(f"{self.image.dtype.str}{self.image.shape}".encode())
        digest.update(np.ascontiguousarray(self.image).tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class Task:
    """What to segment: structures, templates that show them, and how slices are shown to the network.

    Attributes:
        name: of the task.
        modality: "CT" or "picture".
        window: HU range shown to the network; None for pictures.
        crop: see `frame.build_frame`.
        structures: what is segmented; in order of value, which is the order of every result.
        templates: at least one for each structure.
        licence: of the templates.
        folder: where the task stands, None for one made in memory.

    Raises:
        InputError: the parts do not fit together.
        ConfigError: the structures contradict each other.
    """

    name: str
    modality: str
    window: Window | None
    crop: str
    structures: tuple[Structure, ...]
    templates: tuple[Template, ...]
    licence: str = ""
    folder: Path | None = None

    def __post_init__(self) -> None:
        for key, value, allowed in (("modality", self.modality, MODALITIES), ("crop", self.crop, CROPS)):
            if value not in allowed:
                raise InputError(
                    f"task '{self.name}': expected {key} {' or '.join(allowed)}, got {value!r}: correct it"
                )
        if (self.window is None) != (self.modality == "picture"):
            wanted = "a window" if self.window is None else "no window"
            raise InputError(
                f"task '{self.name}': expected {wanted} for modality {self.modality}: correct it"
            )
        check_structures(self.structures, f"task '{self.name}'")
        by_value = tuple(sorted(self.structures, key=lambda structure: structure.value))
        object.__setattr__(self, "structures", by_value)
        self._check_templates()

    def _check_templates(self) -> None:
        ids = [template.slug for template in self.templates]
        if len(set(ids)) < len(ids):
            raise InputError(f"task '{self.name}': expected an id of its own for each template, got {ids}")
        for template in self.templates:
            if template.modality != self.modality:
                raise InputError(
                    f"template '{template.id}': expected a {self.modality} slice, got a {template.modality} "
                    "one: put it into a task of its own modality"
                )
            for name in template.masks:
                self.check_structure(name)
        for name in self.structure_names:
            self.templates_of(name)

    @property
    def structure_names(self) -> tuple[str, ...]:
        """Names in the order of every result."""
        return tuple(structure.name for structure in self.structures)

    def only(self, names: Container[str]) -> Task:
        """The task for some of its structures. Raises InputError where none is left."""
        kept = [
            replace(template, masks={name: mask for name, mask in template.masks.items() if name in names})
            for template in self.templates
            if any(name in names for name in template.masks)
        ]
        return replace(self, structures=keep_structures(self.structures, names), templates=tuple(kept))

    def check_structure(self, name: str) -> None:
        """Raises InputError for a structure that the task does not have."""
        if name not in self.structure_names:
            known = ", ".join(self.structure_names)
            raise InputError(
                f"task '{self.name}': expected one of the structures {known}, got '{name}': correct the name"
            )

    def templates_of(self, structure: str) -> tuple[Template, ...]:
        """The templates that show a structure. Raises InputError where there is none."""
        found = tuple(template for template in self.templates if structure in template.masks)
        if not found:
            raise InputError(
                f"task '{self.name}': expected a template that shows '{structure}', got none: "
                "add one with tools/prompts.py make"
            )
        return found

    def check_input(self, modality: str) -> None:
        """Raises InputError where the input is of another modality than the prompts."""
        if modality != self.modality:
            raise InputError(
                f"task '{self.name}': expected a {self.modality} as its templates are, got a {modality}: "
                f"choose prompts of a {modality} or another input"
            )


def slug(name: str) -> str:
    """A name as a file name: letters, digits, "-" and "_"."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_") or "unnamed"


def relative_position(z: int, count: int) -> float:
    """0 for the lowest of `count` slices, 1 for the highest; 0.5 for the only one."""
    return z / (count - 1) if count > 1 else 0.5


def image_modality(image: np.ndarray) -> str:
    """ "CT" for (r, c), "picture" for (r, c, 3). Raises InputError for another shape."""
    if image.ndim == 2:
        return "CT"
    if image.ndim == 3 and image.shape[2] == 3:
        return "picture"
    raise InputError(
        f"expected a slice (r, c) in HU or a picture (r, c, 3), got {image.shape}: give one slice"
    )


def _check_image(name: str, image: np.ndarray) -> None:
    modality = image_modality(image)
    if modality == "picture" and image.dtype != np.uint8:
        raise InputError(f"template '{name}': expected an 8-bit picture, got {image.dtype}: convert it")
    if 0 in image.shape or not np.isfinite(image).all():
        raise InputError(
            f"template '{name}': expected finite pixels, got NaN, infinity or none: mend the slice"
        )


def _check_mask(name: str, mask: np.ndarray, shape: tuple[int, ...]) -> None:
    if mask.shape != shape:
        raise InputError(
            f"{name}: expected a mask of the slice's size {shape[0]}x{shape[1]}, "
            f"got {'x'.join(map(str, mask.shape))}: label the same slice"
        )
    if mask.dtype != np.bool_:
        raise InputError(f"{name}: expected a mask of booleans, got {mask.dtype}: compare it with its value")
    if not mask.any():
        raise InputError(f"{name}: expected a labelled area, got an empty mask: choose a slice that shows it")
