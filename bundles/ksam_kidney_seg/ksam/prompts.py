"""The prompt library on disk: a folder of tasks.

    library/
      kidney/
        task.json                       name, modality, window, crop, structures, list of templates
        templates/ID/image.nii.gz       the slice in HU (image.png for a picture)
        templates/ID/1_cortex.png       a mask for each structure
        cache/                          features, made again when weights or window change; may be deleted

`tools/prompts.py make` adds a template; by hand it is a folder and an entry in task.json.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from common.errors import InputError
from common.io.files import write_json

from .frame import Window
from .structures import parse_structures, structure_to_dict
from .template_files import read_mask, read_slice, write_mask, write_slice
from .templates import Task, Template, slug

__all__ = ["Task", "Template", "list_tasks", "load_task", "save_task"]

TASK_FILE = "task.json"
FORMAT, VERSION = "ksam-task", 1


def list_tasks(library: str | Path) -> list[Path]:
    """The task folders of a library, by name. Raises InputError: no folder."""
    library = Path(library)
    if not library.is_dir():
        raise InputError(f"{library.name}: expected a prompt library (a folder), got none: correct the path")
    return sorted(path.parent for path in library.glob(f"*/{TASK_FILE}"))


def load_task(path: str | Path, name: str | None = None) -> Task:
    """Read a task.

    Args:
        path: a task folder, its task.json, or a library folder.
        name: which task of a library: name of its folder. Not needed where there is only one.

    Raises:
        InputError: no task there, several, or one that is not whole.
    """
    folder = _find_task(Path(path), name)
    content = _read_json(folder / TASK_FILE)
    try:
        task = _parse_task(content, folder)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"{folder.name}/{TASK_FILE}: expected a task of version {VERSION}, got a malformed entry "
            f"({type(error).__name__} {error}): make the task again"
        ) from error
    return task


def _find_task(path: Path, name: str | None) -> Path:
    path = path.parent if path.name == TASK_FILE else path
    if (path / TASK_FILE).is_file():
        return path
    found = list_tasks(path)
    chosen = [folder for folder in found if name is None or folder.name == name]
    if len(chosen) == 1:
        return chosen[0]
    wanted = f"the task '{name}'" if name else f"one task (a folder with {TASK_FILE})"
    names = ", ".join(folder.name for folder in found) or "none"
    raise InputError(
        f"{path.name}: expected {wanted}, got {names}: name one, or make one with tools/prompts.py make"
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        name = f"{path.parent.name}/{path.name}"
        raise InputError(
            f"{name}: expected readable JSON, got {type(error).__name__}: mend the file"
        ) from error
    if not isinstance(content, dict) or (content.get("format"), content.get("version")) != (FORMAT, VERSION):
        raise InputError(
            f"{path.parent.name}/{path.name}: expected format '{FORMAT}' version {VERSION}, got another: "
            "make the task again with tools/prompts.py make"
        )
    return content


def _parse_task(content: dict[str, Any], folder: Path) -> Task:
    window = content["window"]
    return Task(
        name=str(content["name"]),
        modality=content["modality"],
        window=None if window is None else Window(float(window["center_hu"]), float(window["width_hu"])),
        crop=content["crop"],
        structures=parse_structures(content["structures"], f"{folder.name}/{TASK_FILE}"),
        templates=tuple(_parse_template(entry, folder) for entry in content["templates"]),
        licence=str(content.get("licence", "")),
        folder=folder,
    )


def _parse_template(entry: dict[str, Any], folder: Path) -> Template:
    spacing, position = entry.get("spacing_mm"), entry.get("position")
    masks = {name: read_mask(_inside(folder, file)) for name, file in entry["masks"].items()}
    return Template(
        id=str(entry["id"]),
        image=read_slice(_inside(folder, entry["image"])),
        masks=masks,
        spacing_mm=None if spacing is None else (float(spacing[0]), float(spacing[1])),
        position=None if position is None else float(position),
        provenance=entry.get("provenance", {}),
    )


def _inside(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"{folder.name}: expected files inside the task folder, got '{name}': copy it there")
    if not path.is_file():
        raise InputError(
            f"{folder.name}: expected the file {name}, got none: restore it or make the task again"
        )
    return path


def save_task(task: Task, folder: str | Path) -> Task:
    """Write a task; templates that stand there already are written again. task.json comes last, in one step.

    Returns:
        The task, with its folder.

    Raises:
        OutputError: it cannot be written.
    """
    folder = Path(folder)
    entries = [_save_template(template, folder) for template in task.templates]
    window = task.window
    write_json(
        folder / TASK_FILE,
        {
            "format": FORMAT,
            "version": VERSION,
            "name": task.name,
            "modality": task.modality,
            "window": window and {"center_hu": window.center_hu, "width_hu": window.width_hu},
            "crop": task.crop,
            "licence": task.licence,
            "structures": [structure_to_dict(structure) for structure in task.structures],
            "templates": entries,
        },
    )
    return replace(task, folder=folder)


def _save_template(template: Template, folder: Path) -> dict[str, Any]:
    place = folder / "templates" / template.slug
    image = write_slice(template.image, template.spacing_mm, place / "image")
    return {
        "id": template.id,
        "image": image.relative_to(folder).as_posix(),
        "masks": _save_masks(template.masks, place, folder),
        "spacing_mm": template.spacing_mm,
        "position": template.position,
        "provenance": dict(template.provenance),
    }


def _save_masks(masks: Mapping[str, Any], place: Path, folder: Path) -> dict[str, str]:
    files = {name: place / f"{number}_{slug(name)}.png" for number, name in enumerate(masks, 1)}
    for name, path in files.items():
        write_mask(masks[name], path)
    return {name: path.relative_to(folder).as_posix() for name, path in files.items()}
