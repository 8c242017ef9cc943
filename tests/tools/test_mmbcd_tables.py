"""Tables 2 and 3 and figure 1 at toy size: all rows, nothing done twice, counts by hand."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from experiment import config_runs, mmbcd_figure1, mmbcd_table2, mmbcd_table3
from PIL import Image
from toy_mammo_training import OPTIONS, draw_datalist

from common.errors import ConfigError, InputError


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def command(folder: Path, **changes: Any) -> list[str]:
    """Of a table: one epoch of a tiny network on few patients."""
    path = draw_datalist(folder / "data", (2, 2, 2))
    shared = {"boxes": path.parent / "boxes.json", "text_folder": path.parent / "text", "rois": 3}
    training = {"network_options": OPTIONS, "text": "tiny", "batch_size": 4, "epochs": 1, **shared, **changes}
    testing = {"bootstrap": 20, "engine": "torch", "precision": "fp32", **shared}
    words = [f"{key}={json.dumps(value, default=str)}" for key, value in training.items()]
    more = [f"{key}={json.dumps(value, default=str)}" for key, value in testing.items()]
    return ["--datalist", str(path), "--out", str(folder / "out"), "--train", *words, "--evaluate", *more]


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_table2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = command(tmp_path, vision="tiny")
    mmbcd_table2.main(words)
    rows = read_rows(tmp_path / "out" / "table2.csv")
    assert [row["row"] for row in rows] == list(mmbcd_table2.ROWS)
    assert all(0 <= float(row["AUC low"]) <= float(row["AUC"]) <= float(row["AUC high"]) <= 1 for row in rows)
    assert rows[0]["AUC"] == rows[0]["AUC image only"] and rows[2]["paper AUC AIIMS 1"] == "0.973"
    assert {"table2.md", "table2.png"} <= {path.name for path in (tmp_path / "out").iterdir()}
    cards = [json.loads(path.read_text()) for path in sorted((tmp_path / "out").glob("*/run/mmbcd.json"))]
    switches = {
        (c["options"]["use_text"], c["options"]["use_attention"], c["options"]["mask_rate"]) for c in cards
    }
    assert switches == {(False, True, 0.0), (True, False, 0.0), (True, True, 0.0), (True, True, 0.2)}

    def refuse(*_: Any) -> None:
        raise AssertionError("a finished row is not repeated")

    monkeypatch.setattr(config_runs.BundleRuns, "run_config", refuse)
    mmbcd_table2.main(words)


def test_table3(tmp_path: Path) -> None:
    mmbcd_table3.main([*command(tmp_path), "--encoders", "tiny=", "--level", "breast"])
    (row,) = read_rows(tmp_path / "out" / "table3.csv")
    assert row["row"] == "tiny, untrained" and row["paper AUC AIIMS 1"] == ""
    text = (tmp_path / "out" / "table3.md").read_text()
    assert "Not run, no weights named: ResNet50, ImageNet" in text and "each breast" in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "encoders: expected NAME=FILE, got none: names are dino_vits16"),
        (["resnet18=x"], "encoders: expected NAME=FILE with a name of .* got 'resnet18=x'"),
        (["resnet50"], "got 'resnet50': correct it"),
        (["resnet50=none.pth"], "encoders: expected weights of resnet50, got no file 'none.pth'"),
    ],
)
def test_encoders_are_checked(words: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        mmbcd_table3.read_encoders(words)


def test_the_papers_rows_are_all_there() -> None:
    assert set(mmbcd_table2.PAPER) == set(mmbcd_table2.ROWS) and set(mmbcd_table3.PAPER) == set(
        mmbcd_table3.TITLES
    )
    absent = mmbcd_table3.format_remarks("image", dict.fromkeys(mmbcd_table3.TITLES, "file"))
    assert "Not run" not in absent


TEXTS = {
    "malignant": ["hard lump left breast", "hard lump", "pain left breast", "hard lump right breast"],
    "not malignant": ["routine screening", "pain left breast", "routine screening"],
}


def test_words_and_pairs_by_hand() -> None:
    """ "hard" and "lump" stand in 3 of 4 malignant studies and in no other, "pain" in 1 of 4 and 1 of 3."""
    words = [word for word, _ in mmbcd_figure1.find_words(TEXTS, "malignant", 3)]
    assert set(words[:2]) == {"hard", "lump"} and "pain" not in words
    others = [word for word, _ in mmbcd_figure1.find_words(TEXTS, "not malignant", 5)]
    assert set(others[:2]) == {"routine", "screening"} and "hard" not in others
    assert mmbcd_figure1.find_pairs(TEXTS, "malignant", 2) == [("hard lump", 0.75), ("left breast", 0.5)]
    assert mmbcd_figure1.find_pairs(TEXTS, "not malignant", 1) == [
        ("routine screening", pytest.approx(2 / 3))
    ]


def test_figure1_is_written(tmp_path: Path) -> None:
    path = draw_datalist(tmp_path / "data", (4, 0, 0))
    out = tmp_path / "out"
    mmbcd_figure1.main(["--datalist", str(path), "--out", str(out), "--terms", "4"])
    rows = read_rows(out / "figure1.csv")
    assert {(row["kind"], row["diagnosis"]) for row in rows} == {
        (kind, name) for kind in mmbcd_figure1.KINDS for name in mmbcd_figure1.DIAGNOSES
    }
    assert max(float(row["normalised"]) for row in rows) == 1.0
    # one text for each of the three studies with a history, not one for each of their four pictures
    assert "2 malignant, 1 not malignant" in (out / "figure1.md").read_text()
    assert Image.open(out / "figure1.png").size[0] > 1000
    content = json.loads(path.read_text())
    for row in content["training"]:
        row["history"] = None
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match="training: expected histories of malignant studies, got none"):
        mmbcd_figure1.main(["--datalist", str(path), "--out", str(out)])
