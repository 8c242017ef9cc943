"""The benchmark's programs compute the same thing; its ratios are those of the rounds."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from toy_ksam import SIZE_PX, build_toy

from ksam.engines import KSamEngines

FILE = Path(__file__).resolve().parents[2] / "tools" / "benchmark" / "ksam.py"


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    """The script as a module; its file has the name of the bundle's package."""
    spec = importlib.util.spec_from_file_location("ksam_benchmark", FILE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    before = list(sys.path)
    spec.loader.exec_module(module)
    sys.path[:] = before
    return module


def draw(bench: ModuleType, seed: int):
    """A slice with three discs of different HU."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:64, :64]
    labels = np.zeros((64, 64), dtype=np.int16)
    for value in (1, 2, 3):
        row, column = rng.uniform(10, 54, 2)
        labels[np.hypot(y - row, x - column) < 8] = value
    image_hu = (labels * 60 + rng.normal(0, 10, labels.shape)).astype(np.float32)
    return bench.to_example(image_hu, labels, SIZE_PX)


def test_programs_agree(bench: ModuleType) -> None:
    network, template, example = build_toy(), draw(bench, 0), draw(bench, 1)
    assert example.picture.shape == (1, 3, SIZE_PX, SIZE_PX)
    assert example.masks.shape == (3, 1, SIZE_PX, SIZE_PX)
    naive = bench.run_naively(network, template)(example)
    assert naive.shape == (3, SIZE_PX, SIZE_PX)
    engines = bench.EagerNetwork(network), KSamEngines(network, "openvino", "fp32")
    for engine in engines:
        found = bench.run_cached(engine, template)(example)
        torch.testing.assert_close(found, naive, rtol=0, atol=1e-3 * float(naive.abs().max()))


def test_ratios_are_medians_of_rounds(bench: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    example = draw(bench, 1)
    truth = example.masks[:, 0] - 0.5
    times = {"naive": [(8.0, 4.0), (12.0, 6.0), (10.0, 9.0)], "fast": [(1.0, 1.0), (2.0, 3.0), (4.0, 1.0)]}
    rows = bench.report(times, {"naive": [truth], "fast": [-truth]}, [example])
    assert rows[1]["cpu_ratio"] == 6.0 and rows[1]["wall_ratio"] == 4.0 and rows[1]["cpu_s"] == 2.0
    assert rows[0]["dice_to_truth"] == 1.0 and rows[1]["dice_to_naive"] == 0.0
    assert "naive takes   6.00 (CPU)" in capsys.readouterr().out


def test_rounds_alternate_and_keep_the_last_logits(bench: ModuleType) -> None:
    order: list[str] = []

    def program(name: str, value: float | None):
        def run(example):
            order.append(name)
            return None if value is None else torch.full((3, 2, 2), value)

        return run

    programs = {"naive": program("n", 1.0), "other": program("o", None)}
    times, logits = bench.measure(programs, [draw(bench, 0)], 2)
    assert "".join(order) == "no" + "nono"  # once each to warm up
    assert [len(spent) for spent in times.values()] == [2, 2]
    assert len(logits["naive"]) == 1 and logits["other"] == []


def test_dice_of_nothing_and_of_halves(bench: ModuleType) -> None:
    none, half, full = (torch.arange(4) < count for count in (0, 2, 4))
    assert bench.dice(none, none) == 1.0 and bench.dice(none, full) == 0.0
    assert bench.dice(half, full) == pytest.approx(2 * 2 / 6)
