"""Templates from the training patients of a datalist: for validation, evaluation and the prompt bank."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from common.errors import ConfigError, InputError
from common.training.datalist import hash_patient

from .datalist import Case
from .datalist_header import Header, LabelledStructure
from .frame import Window
from .structures import PALETTE, Code, Structure
from .templates import Task, Template, slug

logger = logging.getLogger(__name__)


def draw_task(cases: Sequence[Case], count: int, seed: int, wanted: Sequence[str] | None = None) -> Task:
    """A task in memory, its templates drawn from these cases.

    Args:
        cases: of the training part.
        count: templates for each structure, at least 1; each from another patient while there are others.
        seed: same seed, same templates.
        wanted: the structures of the task, None for all of the datalist.

    Raises:
        ConfigError: no template asked for.
        InputError: a structure that the datalist does not have, or that no case shows.
    """
    if count < 1:
        raise ConfigError(f"templates: expected at least 1, got {count}: 5 is usual")
    header = cases[0].header
    kept = choose_structures(header, wanted)
    names = [structure.name for structure in kept]
    templates = draw_templates(cases, names, count, seed)
    return Task(
        name=header.name,
        modality=header.modality,
        window=Window(*header.window_hu) if header.window_hu else None,
        crop=header.crop,
        structures=structures_of(kept),
        templates=tuple(templates),
        licence=header.licence,
    )


def draw_templates(cases: Sequence[Case], names: Sequence[str], count: int, seed: int) -> list[Template]:
    """Slices that show the structures best, patients in random order.

    Args:
        cases, count, seed: as in `draw_task`.
        names: structures that matter.

    Raises:
        InputError: a structure that no case shows.
    """
    shown = dict.fromkeys(names, 0)
    templates: list[Template] = []
    for case in _in_random_order(cases, seed):
        lacking = [name for name in names if shown[name] < count]
        if not lacking:
            break
        place, present = find_best_slice(case, lacking)
        if present:
            templates.append(_make_template(case, place, names))
            shown.update({name: shown[name] + (name in templates[-1].masks) for name in names})
    for name, number in shown.items():
        if number == 0:
            raise InputError(
                f"structure '{name}': expected a training case that shows it, got none: add a template, or "
                "leave the structure out with --structures"
            )
        if number < count:
            logger.warning("structure %s: %d templates instead of %d", name, number, count)
    return templates


def find_best_slice(case: Case, names: Sequence[str]) -> tuple[int, frozenset[str]]:
    """The slice with most of the structures, among equals the one that shows the least shown one best.

    Args:
        case: picture or volume.
        names: structures that matter.

    Returns:
        Slice number and the structures on it.

    Raises:
        InputError: see `Case.slices`.
    """
    areas_px = np.array([[entry.masks[name].sum() for name in names] for entry in case.slices()], dtype=float)
    share = areas_px / np.maximum(areas_px.max(axis=0, keepdims=True), 1)
    present = share > 0
    least = np.where(present, share, np.inf).min(axis=1)
    best = int(np.lexsort((np.where(np.isfinite(least), least, 0), present.sum(axis=1)))[-1])
    return best, frozenset(name for name, there in zip(names, present[best], strict=True) if there)


def choose_structures(header: Header, wanted: Sequence[str] | None) -> list[LabelledStructure]:
    """The structures of a datalist by name, in its order; a parent that is left out is forgotten.

    Raises:
        InputError: a name that the datalist does not have.
    """
    known = [structure.name for structure in header.structures]
    for name in wanted or ():
        if name not in known:
            raise InputError(f"structures: expected {', '.join(known)}, got '{name}': correct --structures")
    return [structure for structure in header.structures if wanted is None or structure.name in wanted]


def structures_of(labelled: Iterable[LabelledStructure]) -> tuple[Structure, ...]:
    """The same structures with values 1, 2, ... of their own, as every result has them."""
    kept = list(labelled)
    names = {structure.name for structure in kept}
    return tuple(
        Structure(
            name=structure.name,
            value=place,
            code=Code(**structure.code) if structure.code else None,
            color=structure.color or PALETTE[(place - 1) % len(PALETTE)],
            parent=structure.parent if structure.parent in names else None,
        )
        for place, structure in enumerate(kept, 1)
    )


def single_template_tasks(task: Task) -> dict[str, Task]:
    """Template id -> the task as it is with this template alone and the structures that it shows."""
    tasks = {}
    for template in task.templates:
        shown = [structure for structure in task.structures if structure.name in template.masks]
        tasks[template.id] = _restrict(task, shown, [template])
    return tasks


def restrict_task(task: Task, names: Sequence[str]) -> Task:
    """The task with these structures only, and the templates that show one of them.

    Raises:
        InputError: the task does not have a structure.
    """
    for name in names:
        task.check_structure(name)
    kept = [structure for structure in task.structures if structure.name in names]
    return _restrict(task, kept, [t for t in task.templates if any(name in t.masks for name in names)])


def _restrict(task: Task, structures: Sequence[Structure], templates: Sequence[Template]) -> Task:
    names = {structure.name for structure in structures}
    own = tuple(
        Structure(s.name, s.value, s.code, s.color, s.parent if s.parent in names else None)
        for s in structures
    )
    cut = tuple(
        Template(t.id, t.image, _only(t.masks, names), t.spacing_mm, t.position, t.provenance)
        for t in templates
    )
    return Task(task.name, task.modality, task.window, task.crop, own, cut, task.licence, task.folder)


def _only(masks: Mapping[str, np.ndarray], names: Iterable[str]) -> dict[str, np.ndarray]:
    return {name: mask for name, mask in masks.items() if name in set(names)}


def _in_random_order(cases: Sequence[Case], seed: int) -> list[Case]:
    """First one case of every patient, then a second one, ...; patients and their cases shuffled."""
    rng = np.random.default_rng([seed, 7])
    shuffled = [cases[place] for place in rng.permutation(len(cases))]
    turn: dict[str, int] = {}
    turns = []
    for case in shuffled:
        turn[case.patient] = turn.get(case.patient, 0) + 1
        turns.append(turn[case.patient])
    return [shuffled[place] for place in np.argsort(turns, kind="stable")]


def _make_template(case: Case, place: int, names: Sequence[str]) -> Template:
    (entry,) = case.slices([place])
    return Template(
        id=f"{slug(case.name)}_{place}",
        image=entry.image,
        masks={name: entry.masks[name] for name in names if entry.masks[name].any()},
        position=entry.position if case.header.modality == "CT" else None,
        provenance={
            "datalist": case.header.name,
            "patient": hash_patient(case.patient),
            "slice": place,
            "licence": case.header.licence,
        },
    )
