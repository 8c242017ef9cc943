"""Two results of one input are compared value by value and score by score."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import nibabel as nib
import numpy as np
import pytest

FILE = Path(__file__).resolve().parents[2] / "tools" / "benchmark" / "precision.py"


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("precision_tool", FILE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write(folder: Path, labels: list[int], score: float | None) -> Path:
    """A label map of one row, and a study of one view."""
    (folder / "study").mkdir(parents=True)
    image = nib.Nifti1Image(np.array(labels, np.uint8)[:, None, None], np.eye(4))
    nib.save(image, folder / "case_seg.nii.gz")
    rows = {"study": {"score": 0.5}, "breasts": [{"laterality": "R", "score": score}]}
    rows["images"] = [{"name": "R CC", "score": 0.25}]
    (folder / "study/result.json").write_text(json.dumps(rows))
    return folder


def test_dice_and_differences(tool: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of 3 and 2 voxels 2 are common: 4 / 5."""
    first = write(tmp_path / "a", [1, 1, 1, 0, 2], 0.5)
    second = write(tmp_path / "b", [0, 1, 1, 0, 2], 0.47)
    assert tool.main([str(first), str(second)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "case_seg.nii.gz: value 1: Dice 0.8000 of 3 and 2 voxels",
        "case_seg.nii.gz: value 2: Dice 1.0000 of 1 and 1 voxels",
        "study study: 0.5000, differs by 0.0000",
        "study breast R: 0.5000, differs by 0.0300",
        "study R CC: 0.2500, differs by 0.0000",
    ]
    assert "study breast R: 0.5 and None" in tool.compare_scores(first, write(tmp_path / "c", [1], None))


def test_refusals(tool: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, empty = write(tmp_path / "a", [1], 0.5), tmp_path / "empty"
    empty.mkdir()
    assert tool.main([str(first), str(empty)]) == 1
    assert re.search(r"error: expected .*case_seg\.nii\.gz, got no file: run the", capsys.readouterr().err)
    assert tool.main([str(empty), str(first)]) == 1
    assert re.search("error: expected label maps or result.json in .*, got none", capsys.readouterr().err)
