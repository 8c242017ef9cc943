"""The regression on words: what it finds where the answer is known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from experiment import mmbcd_words
from experiment.mmbcd_words import FEWEST, SMOOTHING, WordModel, features_of, measure_words

from mmbcd.datalist import load_datalist


def write_datalist(folder: Path, histories: dict[str, list[tuple[str | None, int]]]) -> Path:
    """Left and right breast of each patient; the left one has the label, the right one is benign."""
    content: dict[str, object] = {"name": "words", "licence": "none", "history": "synthetic"}
    for part, rows in histories.items():
        content[part] = []
        for number, (text, malignant) in enumerate(rows):
            for side in "LR":
                for view in ("CC", "MLO"):
                    name = f"{part}_{number}_{side}_{view}.png"
                    (folder / name).touch()
                    entry = {"image": name, "patient": f"{part} {number}", "study": "1", "laterality": side}
                    entry |= {"view": view, "malignant": malignant * (side == "L"), "history": text}
                    content[part].append(entry)
    (folder / "datalist.json").write_text(json.dumps(content))
    return folder / "datalist.json"


HARD, SOFT = ("hard lump left breast", 1), ("pain left breast", 0)


def test_a_telling_word_is_found_and_views_are_not_counted_twice(tmp_path):
    path = write_datalist(
        tmp_path, {"training": [HARD, SOFT] * 4, "validation": [HARD, SOFT] * 2, "test": [HARD, HARD, SOFT]}
    )
    found = measure_words(path)
    assert found["validation"].value == found["test"].value == 1
    assert len(mmbcd_words.read_breasts(path, "test")) == 6


def test_the_same_text_for_all_says_only_whose_breast_it_is(tmp_path):
    rows = [("lump left breast", 1), ("lump left breast", 0)]
    path = write_datalist(tmp_path, {"training": rows * 4, "validation": rows, "test": rows * 2})
    # a malignant L is above four R, and level with two other L
    assert measure_words(path)["test"].value == pytest.approx((4 + 2 / 2) / 6)
    rows = [(None, 1), (None, 0)]
    path = write_datalist(tmp_path, {"training": rows * 4, "validation": rows, "test": rows})
    assert measure_words(path)["test"].value == pytest.approx(0.5)


def test_words_of_a_breast(tmp_path):
    rows = [("Hard lump left breast, pain right breast", 1), ("screening", 0), (None, 0)]
    entries = load_datalist(write_datalist(tmp_path, {"test": rows}), "test")
    left, right, screened, without = (features_of(entries[place]) for place in (0, 2, 4, 8))
    assert {"hard", "lump", "<this side>"} <= left and "pain" not in left and "left" not in left
    assert {"pain", "<this side>"} <= right and "hard" not in right
    assert screened == {"screening", "<no side>"}
    assert without == {"<none>"}


def test_the_fit_is_where_the_slope_is_zero():
    rng = np.random.default_rng(0)
    cases = [
        frozenset([*(w for w in "abc" if rng.random() < 0.5), *["rare"] * (n < FEWEST - 1)])
        for n in range(60)
    ]
    labels = np.array(["a" in case or rng.random() < 0.3 for case in cases])
    model = WordModel(cases, labels)
    assert model.words == ["a", "b", "c"]
    table = np.array([[*(word in case for word in model.words), 1.0] for case in cases])
    residual = np.array([model.score(case) for case in cases]) - labels
    assert table.T @ residual + SMOOTHING * np.append(model.weights[:3], 0) == pytest.approx(0, abs=1e-3)
    assert model.weights[0] > 1 > abs(model.weights[1])


def test_command_line(tmp_path, capsys):
    path = write_datalist(
        tmp_path, {"training": [HARD, SOFT] * 4, "validation": [HARD, SOFT], "test": [HARD, SOFT]}
    )
    assert mmbcd_words.main(["--datalist", str(path), "--output", str(tmp_path / "words.json")]) == 0
    assert "test: area of the words alone 1.000" in capsys.readouterr().out
    assert json.loads((tmp_path / "words.json").read_text())["test"]["value"] == 1
    assert mmbcd_words.main(["--datalist", str(tmp_path / "none.json")]) == 1
    assert capsys.readouterr().err.startswith("error: none.json: expected")
