"""Datalists of mammograms: what is read, and every refusal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from common.errors import ConfigError, InputError
from common.io.mammogram import UNKNOWN_VIEW
from mmbcd.datalist import check_both_classes, load_datalist

ROW = {"patient": "p1", "study": "s1", "laterality": "L", "view": "mlo", "malignant": 1}
TEXT = "lump in the left breast of Mrs Somebody"


def write(folder: Path, *rows: dict[str, Any], **changes: Any) -> Path:
    for row in rows:
        (folder / str(row["image"])).touch()
    head = {"name": "toy", "licence": "generated", "history": "synthetic", "training": list(rows)}
    (folder / "d.json").write_text(json.dumps(head | changes))
    return folder / "d.json"


def test_an_entry_is_read(tmp_path: Path) -> None:
    row = {**ROW, "image": "a.dcm", "boxes": [[1, 2, 3, 4.5]], "history": TEXT, "age": 51, "density": "C"}
    (entry,) = load_datalist(write(tmp_path, row), "training")
    assert entry.image == tmp_path / "a.dcm" and entry.view == "MLO" and entry.malignant is True
    assert entry.boxes == ((1.0, 2.0, 3.0, 4.5),) and entry.age == 51 and entry.vendor is None
    assert (
        entry.header.history == "synthetic"
        and entry.history == TEXT
        and entry.with_history(None).history is None
    )
    assert "Somebody" not in repr(entry) and "p1" not in repr(entry)
    plain = load_datalist(write(tmp_path, {**ROW, "image": "a.dcm", "history": "", "boxes": []}), "training")
    assert plain[0].history is None and plain[0].boxes == ()


def test_side_and_view_of_the_datalist_count(tmp_path: Path) -> None:
    """Also a view that reading has no name for."""
    pixels = np.zeros((64, 64), np.uint8)
    pixels[8:56, :40] = 90
    for view, wanted in (("mlo", "MLO"), ("axillary", UNKNOWN_VIEW)):
        path = write(tmp_path, {**ROW, "image": "a.png", "view": view})
        Image.fromarray(pixels).save(tmp_path / "a.png")
        mammogram = load_datalist(path, "training")[0].read()
        assert (mammogram.laterality, mammogram.view) == ("L", wanted)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"laterality": "B"}, "d.json, training 1: expected laterality L or R, got 'B'"),
        ({"malignant": 2}, "training 1: expected malignant 0 or 1, got 2"),
        ({"malignant": None}, "expected image, patient, .* got training 1 without malignant"),
        ({"history": 5}, "expected history as a text or null, got another type"),
        ({"density": "E"}, "expected density A to D or null, got 'E'"),
        ({"age": 200}, "expected age in years or null, got 200"),
        ({"age": "50"}, "expected age in years or null, got '50'"),
        ({"boxes": [[3, 2, 1, 4]]}, r"expected boxes as \[x0, y0, x1, y1\]"),
        ({"boxes": [[1, 2, float("nan"), 4]]}, r"expected boxes as \[x0, y0, x1, y1\]"),
        ({"boxes": [5]}, r"expected boxes as \[x0, y0, x1, y1\]"),
        ({"malignnant": 1}, "expected known keys, got 'malignnant': did you mean malignant"),
    ],
)
def test_unusable_entries(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = write(tmp_path, {**ROW, "image": "a.dcm"} | changes)
    with pytest.raises(InputError, match=message):
        load_datalist(path, "training")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": ""}, "expected a text under 'name', got ''"),
        ({"licence": None}, "expected a text under 'licence', got None"),
        ({"history": "templated"}, "expected history real or synthetic, got 'templated'"),
        ({"training": {}}, "expected a list under 'training', got dict"),
        ({"training": [{**ROW, "image": "none.dcm"}]}, "expected the image of training 1, got no such file"),
        ({"training": ["a.dcm"]}, "got training 1 without image, patient"),
    ],
)
def test_unusable_datalists(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_datalist(write(tmp_path, {**ROW, "image": "a.dcm"}, **changes), "training")


def test_parts(tmp_path: Path) -> None:
    row = {**ROW, "image": "a.dcm"}
    (tmp_path / "b.dcm").touch()
    with pytest.raises(InputError, match="expected every patient in one part, got 1 in several"):
        load_datalist(write(tmp_path, row, test=[{**row, "image": "b.dcm"}]), "test")
    with pytest.raises(InputError, match="expected images under 'test', got none"):
        load_datalist(write(tmp_path, row), "test")
    with pytest.raises(ConfigError, match="part: expected one of training, validation, test, got 'dev'"):
        load_datalist(write(tmp_path, row), "dev")
    entries = load_datalist(write(tmp_path, row, {**row, "image": "b.dcm", "malignant": 0}), "training")
    check_both_classes(entries, "training")
    with pytest.raises(
        InputError, match="training: expected malignant and other images, got 1 malignant of 1"
    ):
        check_both_classes(entries[:1], "training")
