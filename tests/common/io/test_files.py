"""Results appear whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from common.errors import OutputError
from common.io.files import atomic_path, write_json, write_text


def test_a_result_replaces_the_old_one_whole(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "a.ome.tif"
    for text in ("one", "two"):
        with atomic_path(target) as temporary:
            assert temporary.parent == target.parent and temporary.name.endswith("a.ome.tif")
            temporary.write_text(text)
    assert target.read_text() == "two" and list(target.parent.iterdir()) == [target]


def test_a_failure_keeps_the_old_result_and_leaves_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    write_text(target, "old")
    with pytest.raises(ValueError, match="stop"), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise ValueError("stop")
    assert target.read_text() == "old" and list(tmp_path.iterdir()) == [target]


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file")
    with pytest.raises(OutputError, match=r"report\.html: expected a writable place, got"):
        write_text(tmp_path / "results" / "report.html", "text")


def test_json_is_standard(tmp_path: Path) -> None:
    numbers = {"a": np.float32(0.5), "b": [np.nan, np.inf, 1], "c": np.arange(2), "d": np.bool_(True)}
    payload = {**numbers, 3: Path("x")}
    write_json(tmp_path / "a.json", payload)
    read = json.loads((tmp_path / "a.json").read_text(), parse_constant=lambda name: pytest.fail(name))
    assert read == {"a": 0.5, "b": [None, None, 1], "c": [0, 1], "3": "x", "d": True}
