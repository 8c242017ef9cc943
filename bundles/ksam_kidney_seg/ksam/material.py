"""What a run trains on: a datalist and the templates drawn from it; read when it is first needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from .datalist import Case, LabelledSlice, load_datalist
from .frame import Frame, build_frame, build_volume_frame
from .region import find_regions, split_task
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

    @cached_property
    def squares_task(self) -> Task:
        """The task as the network sees squares of it: of two steps the second. Raises InputError."""
        return finest_task(self.task)


def finest_task(task: Task) -> Task:
    """What squares are predicted with: the second step of a task of regions, otherwise the task itself."""
    return split_task(task).inner if task.crop == "region" else task


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


class CaseView(NamedTuple):
    """A square of a case, and whether it is a region of two steps."""

    frame: Frame
    is_region: bool


def view_case(
    entries: Sequence[LabelledSlice], names: Sequence[str], crop: str, size_px: int
) -> list[CaseView]:
    """All squares in which the network sees a case: the whole, and for regions those around the truth.

    Args:
        entries: every slice of the case.
        names: structures that matter.
        crop, size_px: see `frame.build_frame`.

    Raises:
        ConfigError: a crop that does not fit.
    """
    whole = frame_case(entries, crop, size_px)
    views = [CaseView(whole, False)]
    if crop == "region":
        found = [np.any([entry.masks[name] for name in names], axis=0) for entry in entries]
        regions = find_regions(np.stack(found, axis=2), whole, min_part=0.0)
        views += [CaseView(region.frame, True) for region in regions]
    return views
