"""Which images of one patient are the study that is read, and why the others are not.

Of several visits the newest is read (of two on one day that with more of the standard views). A view that was
computed from a tomosynthesis, or that shows a part of a breast, is read only where no better one stands for
that breast and view.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from ..errors import InputError, NoEligibleError
from .mammo_header import PROCESSING_REASON
from .mammo_types import SIDES, UNKNOWN_VIEW, StudyImage

ORDER = (("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO"))
"""The standard views in the order of a hanging."""

Left = tuple[str, str]


@dataclass(frozen=True)
class Choice:
    """Images in order, names and reasons of what was left out, and sentences about the choice."""

    images: tuple[StudyImage, ...]
    left_out: tuple[Left, ...]
    notes: tuple[str, ...]


def choose(images: Iterable[StudyImage], name: str, study: str | None = None) -> Choice:
    """Choose the study's images.

    Args:
        images: all of one case, mammograms and others.
        name: of the path, for messages.
        study: StudyInstanceUID to read instead of the newest.

    Raises:
        InputError: several patients, nothing that can be read, an unknown `study`, or a missing laterality.
    """
    images = tuple(images)
    readable = [one for one in images if not one.reason]
    _refuse_mixture(readable, name)
    visit, visit_notes = _choose_visit(readable, images, name, study)
    in_visit = [one for one in readable if one.study == visit]
    kept, replaced = _drop_replaced(in_visit)
    _require_laterality(kept, name)
    newest = max(one.date for one in in_visit)
    earlier = [(one.name, _visit_reason(one, newest, study)) for one in readable if one.study != visit]
    left_out = (*earlier, *replaced, *_unreadable(images))
    return Choice(tuple(sorted(kept, key=_place)), left_out, (*visit_notes, *_view_notes(kept)))


def _refuse_mixture(readable: list[StudyImage], name: str) -> None:
    patients = {one.patient for one in readable}
    if len(patients) > 1:
        raise InputError(f"{name}: expected a study of one patient, got {len(patients)}: give one at a time")


def _choose_visit(
    readable: list[StudyImage], images: tuple[StudyImage, ...], name: str, study: str | None
) -> tuple[str, tuple[str, ...]]:
    """Key of the visit, and a note where there was a choice. Raises InputError."""
    wanted = [one for one in readable if study is None or study in (one.study, _study_uid(one))]
    if not wanted:
        raise NoEligibleError(_nothing(images, readable, name))
    visits: dict[str, list[StudyImage]] = {}
    for one in wanted:
        visits.setdefault(one.study, []).append(one)
    best = max(visits, key=lambda key: (_date(visits[key]), _standard_views(visits[key]), key))
    if study is not None:
        return best, ("The study that was named was read.",)
    return best, (f"Of {len(visits)} studies of the patient the newest was read.",) if len(visits) > 1 else ()


def _nothing(images: tuple[StudyImage, ...], readable: list[StudyImage], name: str) -> str:
    if readable:
        studies = len({one.study for one in readable})
        return f"{name}: expected the study that was named, got {studies} with other UIDs: check the UID"
    mammograms = [one for one in images if one.modality == "MG"]
    reasons = Counter(one.reason for one in mammograms)
    got = "; ".join(f"{count} left out ({reason})" for reason, count in reasons.most_common(4))
    do = (
        "export the FOR PRESENTATION pictures"
        if PROCESSING_REASON in reasons
        else "export full-field 2-D views"
    )
    return f"{name}: expected a mammogram that can be read, got {got}: {do}"


def _study_uid(image: StudyImage) -> str:
    return image.study if image.header is None else str(image.header.get("StudyInstanceUID") or "")


def _date(images: list[StudyImage]) -> str:
    return max(one.date for one in images)


def _standard_views(images: list[StudyImage]) -> int:
    return len({(one.laterality, one.view) for one in images} & set(ORDER))


def _visit_reason(image: StudyImage, newest: str, study: str | None) -> str:
    if study is not None:
        return "another study was named"
    return "an earlier study of the patient" if image.date < newest else "another study of the patient"


def _drop_replaced(images: list[StudyImage]) -> tuple[list[StudyImage], list[Left]]:
    """Without copies, and without synthetic or partial views where a better one stands."""
    kept: dict[str, StudyImage] = {}
    left: list[Left] = []
    for one in images:
        uid = "" if one.header is None else str(one.header.get("SOPInstanceUID") or "")
        first = kept.setdefault(uid or f"{one.file.folder}/{one.name}", one)
        if first is not one:
            left.append((one.name, f"the same picture as {first.name}"))
    best: dict[tuple[str, str], tuple[bool, bool]] = {}
    for one in kept.values():
        place = one.laterality, one.view
        best[place] = min(best.get(place, (True, True)), (one.partial, one.synthetic))
    for one in list(kept.values()):
        if (one.partial, one.synthetic) > best[one.laterality, one.view]:
            kept = {uid: other for uid, other in kept.items() if other is not one}
            what = (
                "a part of a view that is there as a whole"
                if one.partial
                else "computed from a tomosynthesis"
            )
            left.append((one.name, f"{what}; another one of that view was read"))
    return list(kept.values()), left


def _require_laterality(images: list[StudyImage], name: str) -> None:
    for one in images:
        if one.laterality not in SIDES:
            where = "the sidecar" if one.header is None else "(0020,0062) or (0020,0060)"
            raise InputError(f"{one.name}: expected laterality R or L in {where}, got none: complete it")


def _unreadable(images: tuple[StudyImage, ...]) -> list[Left]:
    """Mammograms by file; what is not mammography by series."""
    left = [(one.name, one.reason) for one in images if one.reason and one.modality == "MG"]
    series: Counter[tuple[str, str, str]] = Counter()
    for one in images:
        if one.modality != "MG" and one.header is not None:
            number = str(one.header.get("SeriesNumber") or "without number")
            series[str(one.header.get("SeriesInstanceUID") or ""), number, one.modality] += 1
    for (_, number, modality), count in series.items():
        left.append((f"series {number} ({count} file{'s' if count > 1 else ''})", f"not MG but {modality}"))
    return left


def _place(image: StudyImage) -> tuple[int, str, int, str]:
    """R CC, L CC, R MLO, L MLO, then other views by name, right first."""
    key = image.laterality, image.view
    return (ORDER.index(key) if key in ORDER else len(ORDER), image.view, SIDES.index(key[0]), image.name)


def _view_notes(images: list[StudyImage]) -> list[str]:
    notes = []
    for one in images:
        if one.view == UNKNOWN_VIEW:
            notes.append(f"{one.name}: the view is not stated.")
        if one.synthetic:
            notes.append(f"{one.name}: computed from a tomosynthesis.")
        if one.partial:
            notes.append(f"{one.name}: shows a part of the breast.")
    return notes
