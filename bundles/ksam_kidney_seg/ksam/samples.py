"""The pictures and slices that training draws from, in memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from common.errors import InputError

from .datalist import Case, LabelledSlice
from .frame import Window
from .material import CaseView, view_case

OVERSAMPLING = 2
"""Samples are kept at twice the network's size, so that an enlarged crop is not blurred."""


class Sample(NamedTuple):
    """One picture or slice with its truth.

    Attributes:
        image: RGB uint8 (H, H, 3), framed and windowed as in inference.
        masks: bool (n, H, H), in the order of the structures asked for.
        patient: pseudonym.
        is_region: a square around structures, see `region`; otherwise the whole.
    """

    image: np.ndarray
    masks: np.ndarray
    patient: str
    is_region: bool = False


def load_samples(
    cases: Iterable[Case],
    size_px: int,
    slices_per_case: int | None = None,
    structures: Sequence[str] | None = None,
) -> list[Sample]:
    """Read every case; of a volume, the middles of equal parts of the slices that show a structure.

    Args:
        cases: of a datalist.
        size_px: edge of the network's input; samples are twice as large (`OVERSAMPLING`).
        slices_per_case: greatest number of slices of a volume; None for all.
        structures: names that training may see; None for all of the datalist.

    Raises:
        InputError: a name that the datalist does not have, or fewer than two patients with a structure.
    """
    samples = [sample for case in cases for sample in _read_case(case, size_px, slices_per_case, structures)]
    patients = {sample.patient for sample in samples}
    if len(patients) < 2:
        raise InputError(
            "episodes: expected labelled slices of two patients or more, target and template of different "
            f"ones, got {len(patients)}: add cases"
        )
    return samples


def _read_case(
    case: Case, size_px: int, slices_per_case: int | None, structures: Sequence[str] | None
) -> list[Sample]:
    names = [structure.name for structure in case.header.structures]
    unknown = sorted(set(structures or ()) - set(names))
    if unknown:
        raise InputError(
            f"structures: expected some of {', '.join(names)}, got '{unknown[0]}': correct the setting"
        )
    wanted = [name for name in names if structures is None or name in structures]
    entries = list(case.slices())
    views = view_case(entries, wanted, case.header.crop, OVERSAMPLING * size_px)
    shown = [entry for entry in entries if any(entry.masks[name].any() for name in wanted)]
    if slices_per_case is not None and len(shown) > slices_per_case:
        shown = [shown[index] for index in spread_slices([True] * len(shown), slices_per_case)]
    found = [_frame_sample(entry, case, wanted, view) for view in views for entry in shown]
    return [sample for sample in found if sample.masks.any()]


def spread_slices(shown: Sequence[bool], count: int) -> list[int]:
    """At most `count` places: the middles of equal parts from the first to the last that is shown.

    Args:
        shown: for each slice, whether a structure is on it.
        count: at least 1.
    """
    places = np.flatnonzero(shown)
    if not len(places):
        return []
    low, high = int(places[0]), int(places[-1])
    parts = min(count, high - low + 1)
    return (low + ((np.arange(parts) + 0.5) * (high - low + 1) / parts).astype(int)).tolist()


def _frame_sample(entry: LabelledSlice, case: Case, wanted: Sequence[str], view: CaseView) -> Sample:
    window = None if case.header.window_hu is None else Window(*case.header.window_hu)
    pixels = view.frame.to_network(entry.image, window).transpose(1, 2, 0)
    masks = [view.frame.mask_to_network(entry.masks[name]) > 0.5 for name in wanted]
    return Sample(np.rint(pixels).astype(np.uint8), np.stack(masks), case.patient, view.is_region)


def shrink_sample(sample: Sample, size_px: int) -> tuple[np.ndarray, np.ndarray]:
    """Image uint8 (S, S, 3) and masks bool (n, S, S) without augmentation, by means over areas."""
    size = (size_px, size_px)
    image = cv2.resize(sample.image, size, interpolation=cv2.INTER_AREA)
    masks = [
        cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.5 for mask in sample.masks
    ]
    return image, np.stack(masks)
