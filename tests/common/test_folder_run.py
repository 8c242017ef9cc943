"""A folder of cases: the good ones are written, the bad ones are named, the command fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from common.errors import ConfigError, InputError, OutputError
from common.folder_run import check_output_dir, run_folder


def run(number: int, folder: Path) -> list[Path]:
    if number in (1, 3):
        raise InputError(f"case {number}: no")
    folder.mkdir(parents=True)
    return [folder / "a", folder / "b"]


def test_all_good(tmp_path: Path):
    files = run_folder(["x", "y"], lambda number, folder: run(2 * number, folder), tmp_path)
    assert [file.relative_to(tmp_path).as_posix() for file in files] == [
        "x/a",
        "x/b",
        "y/a",
        "y/b",
        "summary.json",
    ]
    assert [row["status"] for row in json.loads((tmp_path / "summary.json").read_text())] == ["done", "done"]


def test_the_bad_do_not_stop_the_good(tmp_path: Path):
    message = (
        r"expected 4 readable studies, 2 were refused: b: case 1: no \(the others are in summary\.json\)"
    )
    with pytest.raises(InputError, match=message):
        run_folder("abcd", run, tmp_path, "studies")
    rows = json.loads((tmp_path / "summary.json").read_text())
    assert [row["status"] for row in rows] == ["done", "refused", "done", "refused"]
    assert rows[1]["reason"] == "case 1: no" and rows[2]["files"] == 2


def test_a_full_disk_stops_the_run(tmp_path: Path):
    tried = []

    def fill(number: int, folder: Path) -> list[Path]:
        tried.append(number)
        if number == 1:
            raise OutputError("a.dcm: expected a writable place, got 'no space left on device'")
        return run(2 * number, folder)

    with pytest.raises(OutputError, match="a.dcm: expected a writable place"):
        run_folder("abcd", fill, tmp_path)
    assert tried == [0, 1] and (tmp_path / "a").is_dir()


def test_results_stay_outside_the_input(tmp_path: Path):
    (tmp_path / "in").mkdir()
    check_output_dir(tmp_path / "out", tmp_path / "in")
    for inside in ("in", "in/results"):
        with pytest.raises(ConfigError, match="output_dir: expected a folder outside the input, got"):
            check_output_dir(tmp_path / inside, tmp_path / "in")
