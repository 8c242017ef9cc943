"""Templates show what they are asked for, come from different patients, and the same seed draws the same."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from toy_ksam import draw_datalist

from common.errors import ConfigError, InputError
from common.training.datalist import hash_patient
from ksam.datalist import Case, LabelledSlice, load_datalist
from ksam.template_choice import (
    draw_task,
    find_best_slice,
    restrict_task,
    single_template_tasks,
    structures_of,
)


def read_training(folder: Path, count: int = 4) -> list[Case]:
    return load_datalist(draw_datalist(folder, counts=(count, 0, 0)), "training")


def test_task_of_training_patients(tmp_path: Path) -> None:
    cases = read_training(tmp_path / "d")
    task = draw_task(cases, 3, seed=1)
    assert task.name == "discs" and task.structure_names == ("disc", "cup") and task.licence == "generated"
    assert [s.parent for s in task.structures] == [None, "disc"] and [s.value for s in task.structures] == [
        1,
        2,
    ]
    assert len({t.provenance["patient"] for t in task.templates}) == 3
    again = draw_task(cases, 3, seed=1)
    assert [t.id for t in again.templates] == [t.id for t in task.templates]
    assert len({tuple(t.id for t in draw_task(cases, 3, seed).templates) for seed in range(6)}) > 1
    assert all(t.masks["cup"].sum() < t.masks["disc"].sum() for t in task.templates)


def test_templates_of_folders_with_files_of_one_name(tmp_path: Path) -> None:
    """As KiTS23: case_00000/imaging.nii.gz, case_00001/imaging.nii.gz; all pictures have slice 0."""
    cases = read_training(tmp_path / "d", 3)
    moved = []
    for number, case in enumerate(cases):
        folder = tmp_path / f"case_0000{number}"
        folder.mkdir()
        for kind, file in (("image", case.image), ("label", case.label)):
            moved.append(file.rename(folder / f"{kind}{file.suffix}"))
    rows = [
        {"image": str(image), "label": str(label), "patient": case.patient}
        for case, image, label in zip(cases, moved[::2], moved[1::2], strict=True)
    ]
    (path,) = (tmp_path / "d").glob("*.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"training": rows}))
    moved_cases = load_datalist(path, "training")
    assert [case.name for case in moved_cases] == [f"case_0000{number}/image" for number in range(3)]
    ids = {template.id for template in draw_task(moved_cases, 3, 0).templates}
    assert ids == {f"case_0000{number}_image_0" for number in range(3)}


def test_a_structure_that_few_cases_show(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cases = read_training(tmp_path / "d")
    for case in cases[1:]:  # only the first case keeps its cup
        Image.fromarray(np.minimum(np.array(Image.open(case.label)), 1)).save(case.label)
    with caplog.at_level(logging.WARNING):
        task = draw_task(cases, 2, seed=0)
    assert [t.provenance["patient"] for t in task.templates_of("cup")] == [hash_patient(cases[0].patient)]
    assert len(task.templates_of("disc")) >= 2
    assert "structure cup: 1 templates instead of 2" in caplog.text
    singles = single_template_tasks(task)
    assert sum("cup" in single.structure_names for single in singles.values()) == 1


def test_a_structure_without_any_template(tmp_path: Path) -> None:
    cases = read_training(tmp_path / "d", 2)
    for case in cases:
        Image.fromarray(np.minimum(np.array(Image.open(case.label)), 1)).save(case.label)
    with pytest.raises(InputError, match="structure 'cup': expected a training case that shows it, got none"):
        draw_task(cases, 1, seed=0)
    assert draw_task(cases, 1, 0, ["disc"]).structure_names == ("disc",)


def test_best_slice_of_a_volume(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Areas by slice; slice 2 shows both, the lesser shown one with half of its largest area."""
    areas = {"disc": [9, 4, 8, 2], "cup": [0, 1, 2, 4]}

    def slices(_: Case, only: object = None) -> list[LabelledSlice]:
        masks = [{name: np.arange(9) < sizes[z] for name, sizes in areas.items()} for z in range(4)]
        return [LabelledSlice(np.zeros(9), mask, 0.5) for mask in masks]

    monkeypatch.setattr(Case, "slices", slices)
    case = read_training(tmp_path / "d", 2)[0]
    assert find_best_slice(case, ["disc", "cup"]) == (2, frozenset(("disc", "cup")))
    assert find_best_slice(case, ["disc"]) == (0, frozenset(("disc",)))


def test_a_task_of_fewer_structures(tmp_path: Path) -> None:
    task = restrict_task(draw_task(read_training(tmp_path / "d"), 2, 0), ["cup"])
    assert task.structure_names == ("cup",) and task.structures[0].parent is None
    assert all(list(template.masks) == ["cup"] for template in task.templates)
    with pytest.raises(InputError, match="expected one of the structures cup, got 'disc'"):
        restrict_task(task, ["disc"])


def test_refusals_and_colours(tmp_path: Path) -> None:
    cases = read_training(tmp_path / "d", 2)
    with pytest.raises(ConfigError, match="templates: expected at least 1, got 0"):
        draw_task(cases, 0, 0)
    with pytest.raises(InputError, match="structures: expected disc, cup, got 'rim'"):
        draw_task(cases, 1, 0, ["rim"])
    assert [s.color for s in structures_of(cases[0].header.structures)] == [(230, 159, 0), (86, 180, 233)]
    assert json.dumps(dict(draw_task(cases, 1, 0).templates[0].provenance))
