"""tools/prompts.py as a user meets it: its commands, what they print, what they refuse."""

from pathlib import Path

import _venv
import numpy as np
import pytest
from labelled_files import axial_hu, write_ct, write_picture
from PIL import Image

import prompts
from ksam.prompts import load_task


@pytest.fixture(autouse=True)
def inside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_venv, "enter_venv", lambda: None)
    monkeypatch.setattr(prompts.sys, "path", list(prompts.sys.path))


def run(*arguments: object) -> int:
    return prompts.main([str(argument) for argument in arguments])


def make_ct(folder: Path, *more: object, rules: tuple[str, ...] = ("cortex=1", "lesion=2")) -> int:
    image, labels = write_ct(folder / "files")
    chosen = ("--structures", *rules) if rules else ()
    return run("make", folder / "kidney", "--image", image, "--labels", labels, *chosen, *more)


def test_a_task_begins_grows_and_is_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--slices", 2, "--window", 60, 300, "--crop", "body", "--licence", "CC0", "--author", "AB")
    assert make_ct(tmp_path, *options) == 0
    assert "kidney: template1-2: 6x7, cortex 6 px, lesion 1 px, position 0.50" in capsys.readouterr().out
    assert make_ct(tmp_path, "--count", 2) == 0
    task = load_task(tmp_path / "kidney")
    assert [template.id for template in task.templates] == ["template1-2", "template2-2", "template2-3"]
    assert (task.window.center_hu, task.window.width_hu, task.crop, task.licence) == (60, 300, "body", "CC0")
    cortex, lesion = task.structures
    assert (cortex.value, cortex.code.value, cortex.color) == (1, "50403003", (240, 228, 66))
    assert (lesion.value, lesion.code) == (2, None)
    assert task.templates[0].provenance["author"] == "AB"
    np.testing.assert_array_equal(task.templates[2].image, axial_hu()[:, :, 3])
    assert run("list", tmp_path) == 0
    out = capsys.readouterr().out
    assert "kidney: CT, window 60/300 HU, crop body, licence CC0" in out
    assert "1 cortex [SCT 50403003 Structure of cortex of kidney]: 3 templates" in out


def test_templates_of_the_same_name_are_replaced(tmp_path: Path) -> None:
    for slices in ((2,), (2, 3)):
        assert make_ct(tmp_path, "--name", "p", "--slices", *slices) == 0
    assert [template.id for template in load_task(tmp_path / "kidney").templates] == ["p-2", "p-3"]


def test_without_rules_values_mean_what_labels_json_or_the_task_says(tmp_path: Path) -> None:
    image, labels = write_ct(tmp_path / "files")
    assert make_ct(tmp_path, rules=("medulla=1", "cortex=2")) == 0
    assert make_ct(tmp_path, "--name", "more", rules=()) == 0  # in the task: 1 medulla, 2 cortex
    first, second = load_task(tmp_path / "kidney").templates
    np.testing.assert_array_equal(second.masks["medulla"], first.masks["medulla"])
    assert image.is_file() and labels.is_file()


def test_a_picture_and_its_preview(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image, mask = write_picture(tmp_path)
    rules = ("disc=0,128", "cup=0:disc")
    task = tmp_path / "fundus"
    assert run("make", task, "--image", image, "--labels", mask, "--structures", *rules) == 0
    assert load_task(task).structures[1].parent == "disc"
    assert "fundus: template1: 8x9, disc 25 px, cup 4 px" in capsys.readouterr().out
    assert run("preview", task) == 0
    assert capsys.readouterr().out.strip() == str(task / "preview.png")
    assert Image.open(task / "preview.png").size[0] > 300


def test_many_templates_are_previewed_on_several_pictures(tmp_path: Path) -> None:
    image, mask = write_picture(tmp_path)
    for number in range(7):
        options = ("--structures", "disc=0,128", "--name", f"t{number}")
        assert run("make", tmp_path / "eyes", "--image", image, "--labels", mask, *options) == 0
    assert run("preview", tmp_path / "eyes", "--output", tmp_path / "p.png") == 0
    assert sorted(path.name for path in tmp_path.glob("p*.png")) == ["p_1.png", "p_2.png"]


@pytest.mark.parametrize(
    ("rules", "more", "match"),
    [
        (("cortex",), (), "structures: expected NAME=VALUES, got 'cortex'"),
        (("cortex=1",), ("--count", 0), "count: expected at least 1, got 0"),
        ((), (), "labels.nii.gz: expected labels of 'artery', got none"),
    ],
)
def test_refusals_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rules: tuple, more: tuple, match: str
) -> None:
    assert make_ct(tmp_path, *more, rules=rules) == 1
    error = capsys.readouterr().err
    assert match in error
    assert error.count("\n") == 1
    assert not (tmp_path / "kidney").exists()


def test_what_does_not_fit_the_task_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert make_ct(tmp_path) == 0
    assert make_ct(tmp_path, "--window", 0, 100) == 1
    assert "task 'kidney': expected its own window and crop, got new ones" in capsys.readouterr().err
    assert make_ct(tmp_path, rules=("spleen=1",)) == 1
    assert "expected one of the structures cortex, lesion, got 'spleen'" in capsys.readouterr().err
    image, mask = write_picture(tmp_path)
    disc = ("--structures", "cortex=0,128")
    assert run("make", tmp_path / "kidney", "--image", image, "--labels", mask, *disc) == 1
    assert "expected a CT as its templates are, got a picture" in capsys.readouterr().err
    assert run("make", tmp_path / "new", "--image", image, "--labels", mask, *disc, "--window", 0, 9) == 1
    assert "window: expected none for a picture" in capsys.readouterr().err


def test_an_empty_library_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list", tmp_path) == 1
    assert "expected tasks, got none: make one with tools/prompts.py make" in capsys.readouterr().err
