"""Which series of a folder is the CT to be read, and why the others are not.

A series is left out when it is not CT, a localizer, a projection, a screen picture, in colour, or not in HU.
Of the rest, in this order: axial before other planes, original before derived, at least half the length of
the longest one, with contrast agent before without, soft-tissue kernel before sharp, more slices, lower
number.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ..errors import InputError, NoEligibleError, SeveralEligibleError
from .dicom_header import CT_CLASSES, Instance

_LEFT_OUT_TYPES = {
    "LOCALIZER": "a localizer",
    "SCOUT": "a localizer",
    "TOPOGRAM": "a localizer",
    "MIP": "a projection",
    "MINIP": "a projection",
    "MAX_IP": "a projection",
    "MIN_IP": "a projection",
    "PROJECTION IMAGE": "a projection",
    "VRT": "a rendering",
    "VOLUME_RENDER": "a rendering",
    "SCREEN SAVE": "a screen picture",
    "SECONDARY": "a secondary capture",
    "DOSE_INFO": "a dose report",
}

_HU_TYPES = ("", "HU", "HU_MOD", "US", "UNSPECIFIED")
"""Rescale types that are, or may be, HU. Iodine maps, effective Z and monoenergetic ratios name others."""

_SHARP = re.compile(
    r"LUNG|BONE|EDGE|SHARP|DETAIL|^(?:[BHUT][A-Z]{0,2})([6-9]\d)|^FC(?:5\d|8\d)|^(YC|YD|YE|L$|E$)"
)
"""Kernel names for lung and bone of the large makers: noisy in soft tissue."""


@dataclass(frozen=True)
class Series:
    """Instances with one series key.

    Attributes:
        uid: SeriesInstanceUID, empty where the files have none.
        number: series number, where given.
        reason: why it is left out, empty if it may be read.
    """

    uid: str
    number: int | None
    instances: tuple[Instance, ...]
    reason: str

    @property
    def count(self) -> int:
        """Pictures in it."""
        return sum(len(instance.frames) for instance in self.instances)

    @property
    def label(self) -> str:
        """Words for messages: no UID, no description."""
        number = "without number" if self.number is None else str(self.number)
        modality = self.instances[0].modality or "no modality"
        return f"series {number} ({modality}, {self.count} picture{'s' if self.count > 1 else ''})"


def group_series(instances: Iterable[Instance]) -> list[Series]:
    """Series by number. Localizers and captures inside a series of slices stand apart as one of their own."""
    groups: dict[tuple[str, str], list[Instance]] = {}
    for instance in instances:
        groups.setdefault((instance.series_key, _left_out(instance)), []).append(instance)
    series = [
        Series(members[0].series_uid, members[0].series_number, tuple(members), reason)
        for (_, reason), members in groups.items()
    ]
    return sorted(series, key=lambda one: (one.number is None, one.number or 0, one.uid))


def _left_out(instance: Instance) -> str:
    """The reason why an instance is no slice of a CT, or nothing."""
    if not is_ct(instance):
        return f"not CT but {instance.modality or 'something else'}"
    for word in instance.image_type[1:]:
        if word in _LEFT_OUT_TYPES:
            return _LEFT_OUT_TYPES[word]
    kinds = {frame.rescale_type for frame in instance.frames} - set(_HU_TYPES)
    if kinds:
        return f"not in HU but {', '.join(sorted(kinds))}"
    return "in colour" if instance.is_colour else ""


def is_ct(instance: Instance) -> bool:
    """By its SOP class, or by its modality where the class is missing."""
    if instance.sop_class_uid:
        return instance.sop_class_uid in CT_CLASSES
    return instance.modality == "CT"


def choose_series(
    series: list[Series], name: str, wanted: str | None = None
) -> tuple[Series, tuple[str, ...]]:
    """The series to read, and sentences about the choice.

    Args:
        name: of the path, for messages.
        wanted: SeriesInstanceUID or series number; it may be one that the rules would leave out, if it is CT.

    Raises:
        InputError: no CT, several patients or studies, or `wanted` fits none or several.
    """
    if wanted is not None:
        chosen = _named(series, name, wanted)
        return chosen, (
            f"Read {chosen.label}, which was named.",
            *_left_out_notes(series, chosen, "another one was named"),
        )
    usable = [one for one in series if not one.reason]
    if not usable:
        raise NoEligibleError(f"{name}: expected a CT series, got {_summary(series)}: give another folder")
    refuse_mixture(usable, name)
    ranked = sorted(usable, key=lambda one: _rank(one, usable), reverse=True)
    return ranked[0], _choice_notes(ranked, series)


def refuse_mixture(series: list[Series], name: str) -> None:
    """Raises InputError: instances of several patients or several studies."""
    instances = [instance for one in series for instance in one.instances]
    for word, found in (
        ("patient", {instance.patient for instance in instances}),
        ("study", {instance.study_uid for instance in instances}),
    ):
        if len(found) > 1:
            raise InputError(
                f"{name}: expected one {word}, got {len(found)} in one place: name a series or separate them"
            )


def _named(series: list[Series], name: str, wanted: str) -> Series:
    fits = [one for one in series if one.uid == wanted] or [
        one for one in series if one.number is not None and str(one.number) == wanted
    ]
    # a localizer inside the series of the same number is not what is meant
    fits = [one for one in fits if not one.reason] or fits
    if len(fits) != 1:
        known = ", ".join(one.label for one in series)
        refusal = SeveralEligibleError if fits else NoEligibleError
        raise refusal(
            f"{name}: expected series '{wanted}' once, got {len(fits)} among {known}: name one of them"
        )
    if fits[0].reason.startswith("not CT") or fits[0].reason == "in colour":
        raise InputError(
            f"{name}: expected a CT series, got {fits[0].label}, {fits[0].reason}: name another one"
        )
    refuse_mixture(fits, name)
    return fits[0]


def _rank(one: Series, usable: list[Series]) -> tuple:
    """Larger is better; the module's docstring gives the order."""
    first = one.instances[0]
    longest = max(_length_mm(other) for other in usable)
    return (
        _is_axial(one),
        "ORIGINAL" in first.image_type or not first.image_type,
        _length_mm(one) >= longest / 2,
        first.contrast,
        not _SHARP.search(first.kernel),
        one.count,
        -(one.number if one.number is not None else 10**9),
    )


_RANK_WORDS = (
    *("it is axial", "it is an original", "it is at least half as long as the longest"),
    *("it has contrast agent", "its kernel is for soft tissue", "it has most slices", "its number is lowest"),
)


def _is_axial(one: Series) -> bool:
    """The slices' normal lies within 45 degrees of the body's axis."""
    orientation = one.instances[0].frames[0].orientation
    if orientation is None:
        return False
    return bool(abs(np.cross(orientation[:3], orientation[3:])[2]) > 0.7)


def _length_mm(one: Series) -> float:
    """Distance from the first to the last position along the normal, 0 without positions."""
    frames = [frame for instance in one.instances for frame in instance.frames]
    orientation = frames[0].orientation
    if orientation is None or any(frame.position_mm is None for frame in frames):
        return 0.0
    normal = np.cross(orientation[:3], orientation[3:])
    return float(np.ptp([np.dot(normal, frame.position_mm or ()) for frame in frames]))


def _choice_notes(ranked: list[Series], series: list[Series]) -> tuple[str, ...]:
    chosen = ranked[0]
    if len(ranked) == 1:
        why = "the only CT series that can be segmented" if len(series) > 1 else "the only series"
        return (f"Read {chosen.label}, {why}.", *_left_out_notes(series, chosen))
    best, second = (_rank(one, ranked) for one in ranked[:2])
    rule = next((n for n, (a, b) in enumerate(zip(best, second, strict=True)) if a != b), len(best) - 1)
    return (f"Read {chosen.label}, because {_RANK_WORDS[rule]}.", *_left_out_notes(series, chosen))


def _left_out_notes(
    series: list[Series], chosen: Series, why: str = "another one stands before it by the rules"
) -> list[str]:
    notes = [f"Left out {one.label}: {one.reason or why}." for one in series if one is not chosen]
    return list(dict.fromkeys(notes))


def _summary(series: list[Series]) -> str:
    reasons = Counter(f"{one.label}, {one.reason}" for one in series)
    shown = "; ".join(list(reasons)[:5])
    return f"{shown}{' and others' if len(reasons) > 5 else ''}" if reasons else "no DICOM image"
