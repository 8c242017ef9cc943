"""Needs of an application: what is measured, and the requests that follow."""

from __future__ import annotations

import json

import measure
import pytest
from _base import ToolError
from toy_map import write_toy_bundle


def row(**changes):
    values = {"input": "a", "input_mb": 1.0, "output_mb": 1.0, "peak_memory_mb": 1000, "cpu_seconds": 10.0}
    return measure.Measured(
        **{**values, "seconds": 9.0, "threads": 2, "largest": 1.0, "command": "c", **changes}
    )


def test_requests_follow_from_the_largest_run(tmp_path, monkeypatch):
    monkeypatch.setattr(measure, "RESOURCES", tmp_path / "resources.json")
    measure.keep("toy", row())
    measure.keep("toy", row(input="b", peak_memory_mb=2100, cpu_seconds=130.0))
    measure.keep("other", row(largest=100))
    needs = json.loads((tmp_path / "resources.json").read_text())["bundles"]
    assert {key: needs["toy"][key] for key in ("cpu", "memory", "memoryLimit", "timeout_s")} == {
        "cpu": 2,
        "memory": "2.5Gi",
        "memoryLimit": "3.5Gi",
        "timeout_s": 1800,
    }
    assert needs["other"]["memory"] == "1Gi" and needs["other"]["timeout_s"] == 10200


def test_a_second_run_of_the_same_input_replaces_the_first(tmp_path, monkeypatch):
    monkeypatch.setattr(measure, "RESOURCES", tmp_path / "resources.json")
    measure.keep("toy", row(peak_memory_mb=5000))
    measure.keep("toy", row(peak_memory_mb=400))
    needs = json.loads((tmp_path / "resources.json").read_text())["bundles"]["toy"]
    assert [one["peak_memory_mb"] for one in needs["measured"]] == [400] and needs["memory"] == "0.5Gi"


@pytest.mark.slow
def test_a_run_is_measured_in_a_process_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(measure, "ROOT", tmp_path)
    write_toy_bundle(tmp_path / "bundles" / "toy")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "half.bin").write_bytes(bytes(2**19))
    found = measure.measure("toy", tmp_path / "in", "", 1, tmp_path / "out", ["seed=3"])
    assert (found.input, found.input_mb) == ("in", 0.5)
    assert (
        found.peak_memory_mb > 100 and found.cpu_seconds > 0.5 and (tmp_path / "out" / "run.json").is_file()
    )
    assert found.command == "python3 tools/map/measure.py toy --input in --largest 1 --set seed=3"
    with pytest.raises(ToolError, match="expected a run that ends with 0, got 1: its message is above"):
        measure.measure("toy", tmp_path / "in", "", 1, None, ["act=fault"])
