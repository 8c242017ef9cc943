"""What a run trains on: a datalist and the templates drawn from it; read when it is first needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .datalist import Case, LabelledSlice, load_datalist
from .frame import Frame, build_frame, build_volume_frame
from .template_choice import draw_task
from .templates import Task


@dataclass(frozen=True)
class TrainingMaterial:
    """A datalist as training sees it.

    Attributes:
        datalist: JSON, see `datalist`.
        structures: names that are trained; None for all of the datalist.
        templates: for each structure, drawn from training patients; for validation and the prompt bank.
        seed: of the templates' choice.
    """

    datalist: str
    structures: Sequence[str] | None = None
    templates: int = 3
    seed: int = 0

    @cached_property
    def training(self) -> list[Case]:
        """Raises InputError: see `load_datalist`."""
        return load_datalist(self.datalist, "training")

    @cached_property
    def validation(self) -> list[Case]:
        """Raises InputError: see `load_datalist`."""
        return load_datalist(self.datalist, "validation")

    @cached_property
    def task(self) -> Task:
        """Structures, and templates of training patients. Raises InputError: a structure without template."""
        return draw_task(self.training, self.templates, self.seed, self.structures)


def frame_case(entries: Sequence[LabelledSlice], crop: str, size_px: int) -> Frame:
    """The one square in which the network sees all slices of a case, as in inference.

    Args:
        entries: every slice of the case.
        crop, size_px: see `frame.build_frame`.

    Raises:
        ConfigError: a crop that does not fit.
    """
    if entries[0].image.ndim == 3:
        return build_frame(entries[0].image, crop, size_px)
    return build_volume_frame(np.stack([entry.image for entry in entries], axis=2), crop, size_px)
