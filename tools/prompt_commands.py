"""What `tools/prompts.py` does, once the packages are there."""

from __future__ import annotations

import argparse
import datetime
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from common.errors import ConfigError, InputError
from ksam.frame import Window
from ksam.pictures import MAX_TEMPLATES, draw_prompts
from ksam.prompts import TASK_FILE, list_tasks, load_task, save_task
from ksam.structures import PALETTE, Code, Structure, read_structures
from ksam.template_maker import (
    Labelled,
    StructureRule,
    choose_slices,
    is_dicom,
    is_picture,
    make_templates,
    read_labelled,
)
from ksam.templates import Task, Template

LABELS = Path(__file__).resolve().parents[1] / "bundles" / "ksam_kidney_seg" / "configs" / "labels.json"
WINDOW = Window(40.0, 400.0)
"""Window of a new CT task: soft tissue, with contrast medium up to 240 HU."""


def make(options: argparse.Namespace) -> int:
    """Start a task or add templates. Raises BundleError."""
    task = load_task(options.task) if (options.task / TASK_FILE).is_file() else None
    if task is not None and (options.window or options.crop):
        raise ConfigError(
            f"task '{task.name}': expected its own window and crop, got new ones: leave them out"
        )
    if options.count < 1:
        raise ConfigError(f"count: expected at least 1, got {options.count}: correct it")
    rules, parents = find_rules(options.structures, options.labels, task)
    labelled = read_labelled(options.image, options.labels, rules, options.series)
    if task is not None:
        task.check_input(labelled.modality)
        for name in labelled.masks:
            task.check_structure(name)
    slices = options.slices or choose_slices(labelled.masks, options.count)
    extra = {"made": datetime.date.today().isoformat(), "author": options.author, "licence": options.licence}
    kept = {key: value for key, value in extra.items() if value}
    name = options.name or free_name(() if task is None else task.templates)
    templates = make_templates(labelled, slices, name, kept)
    task = new_task(options, labelled, templates, parents) if task is None else add(task, templates)
    save_task(task, options.task)
    for template in templates:
        print(f"{options.task.name}: {describe(template)}")
    return 0


def find_rules(
    written: Sequence[str], labels: Path | None, task: Task | None
) -> tuple[list[StructureRule], dict[str, str]]:
    """Rules as written, or those that the labels, the task or the bundle's labels.json imply.

    Returns:
        The rules, and the parents that were written (child -> parent).

    Raises:
        ConfigError: a rule that is not of the form that `tools/prompts.py` describes.
    """
    if written:
        read = [parse_rule(text) for text in written]
        return [rule for rule, _ in read], {rule.name: parent for rule, parent in read if parent}
    if labels is not None and is_dicom(labels):
        return [], {}
    structures = read_structures(LABELS) if task is None else task.structures
    return [StructureRule(row.name, tuple(_own_and_below(row, structures))) for row in structures], {
        row.name: row.parent for row in structures if row.parent
    }


def _own_and_below(structure: Structure, structures: Sequence[Structure]) -> list[int]:
    below = [row for row in structures if row.parent == structure.name]
    return [structure.value, *(value for row in below for value in _own_and_below(row, structures))]


def parse_rule(text: str) -> tuple[StructureRule, str | None]:
    """`name=1,2`, `name=2:parent`, `name=FILE` or `name=SEGMENT`. Raises ConfigError."""
    name, equals, value = text.partition("=")
    name = name.strip()
    if not equals or not name or not value:
        raise ConfigError(f"structures: expected NAME=VALUES, got '{text}': write for example cortex=1")
    numbers, _, parent = value.partition(":")
    if all(part.isdigit() for part in numbers.split(",")):
        return StructureRule(name, tuple(int(part) for part in numbers.split(","))), parent or None
    if Path(value).is_file():
        return StructureRule(name, file=Path(value)), None
    return StructureRule(name, segment=value), None


def new_task(
    options: argparse.Namespace, labelled: Labelled, templates: Sequence[Template], parents: Mapping[str, str]
) -> Task:
    """The task that begins with these templates. Raises BundleError."""
    shown = [name for name in labelled.masks if any(name in template.masks for template in templates)]
    window = None if is_picture(options.image) else Window(*options.window) if options.window else WINDOW
    if options.window and window is None:
        raise ConfigError("window: expected none for a picture, got one: leave it out")
    return Task(
        name=options.task.resolve().name,
        modality=labelled.modality,
        window=window,
        crop=options.crop or "none",
        structures=find_structures(shown, parents, labelled.codes),
        templates=tuple(templates),
        licence=options.licence,
    )


def find_structures(
    names: Sequence[str], parents: Mapping[str, str], codes: Mapping[str, Code]
) -> tuple[Structure, ...]:
    """Structures numbered as they were named; codes and colours of labels.json for names that it knows."""
    known = {row.name: row for row in read_structures(LABELS)}
    found = []
    for place, name in enumerate(names):
        row = known.get(name)
        code = codes.get(name) or (row.code if row else None)
        color = row.color if row else PALETTE[place % len(PALETTE)]
        found.append(Structure(name, place + 1, code, color, parents.get(name)))
    return tuple(found)


def add(task: Task, templates: Sequence[Template]) -> Task:
    """The task with further templates; one with the id of an old one takes its place."""
    slugs = {template.slug for template in templates}
    kept = [template for template in task.templates if template.slug not in slugs]
    return replace(task, templates=(*kept, *templates))


def free_name(templates: Sequence[Template]) -> str:
    """`template1`, or the next number that no id begins with."""
    number = 1
    while any(template.id.split("-")[0] == f"template{number}" for template in templates):
        number += 1
    return f"template{number}"


def describe(template: Template) -> str:
    """One line: id, size, structures with their areas, position."""
    areas = ", ".join(f"{name} {int(mask.sum())} px" for name, mask in template.masks.items())
    place = "" if template.position is None else f", position {template.position:.2f}"
    rows, columns = template.image.shape[:2]
    return f"{template.id}: {rows}x{columns}, {areas}{place}"


def list_library(options: argparse.Namespace) -> int:
    """Print every task of a library, or one task. Raises BundleError."""
    library = options.library
    folders = [library] if (library / TASK_FILE).is_file() else list_tasks(library)
    if not folders:
        raise InputError(f"{library.name}: expected tasks, got none: make one with tools/prompts.py make")
    for folder in folders:
        print("\n".join(describe_task(load_task(folder))))
    return 0


def describe_task(task: Task) -> Sequence[str]:
    """Lines: what the task is, its structures, its templates."""
    window = task.window and f", window {task.window.center_hu:g}/{task.window.width_hu:g} HU"
    name = task.folder.name if task.folder else task.name
    lines = [
        f"{name}: {task.modality}{window or ''}, crop {task.crop}, licence {task.licence or 'not stated'}"
    ]
    for row in task.structures:
        code = f" [{row.code.scheme} {row.code.value} {row.code.meaning}]" if row.code else ""
        parent = f" in {row.parent}" if row.parent else ""
        lines.append(f"  {row.value} {row.name}{parent}{code}: {len(task.templates_of(row.name))} templates")
    return [*lines, *(f"  - {describe(template)}" for template in task.templates)]


def preview(options: argparse.Namespace) -> int:
    """Draw the templates; several pictures where they are many. Raises BundleError."""
    task = load_task(options.task)
    target = options.output or options.task / "preview.png"
    pages = math.ceil(len(task.templates) / MAX_TEMPLATES)
    for page in range(pages):
        path = target if pages == 1 else target.with_stem(f"{target.stem}_{page + 1}")
        shown = task.templates[page * MAX_TEMPLATES : (page + 1) * MAX_TEMPLATES]
        note = f"Knowledge prompts of the task '{task.name}'; licence: {task.licence or 'not stated'}"
        draw_prompts(path, [_panel(template, task) for template in shown], task.structures, note)
        print(path)
    return 0


def _panel(template: Template, task: Task) -> tuple:
    place = "" if template.position is None else f", position {template.position:.2f}"
    image = template.image if task.window is None else task.window.apply(template.image)
    return f"{template.id}{place}", image, template.masks


COMMANDS = {"make": make, "list": list_library, "preview": preview}
