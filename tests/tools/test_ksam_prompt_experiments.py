"""The experiments with knowledge prompts, on a volume of the toy network whose answers are known."""

import argparse
import json
from pathlib import Path

import numpy as np
import pytest
from experiment import ksam_consistency, ksam_templates, ksam_volumes
from labelled_files import write_sagittal
from toy_prompts import ToyNetwork, toy_masks, toy_slice

from ksam.eager import EagerNetwork
from ksam.template_maker import StructureRule


def write_volume(folder: Path) -> tuple[Path, list[str]]:
    """Nine slices, the squares in the middle five; the dark one grows lighter."""
    slices = [toy_slice(-255, -255)] * 2 + [toy_slice(40 + 8 * z, 140) for z in range(5)]
    volume = np.stack([*slices, *slices[:2]], axis=2)
    volume[0] = -900.0  # air
    image = write_sagittal(volume.astype(np.int16), folder / "ct.nii.gz")
    masks = []
    for name, mask in toy_masks().items():
        labels = np.zeros(volume.shape, np.uint8)
        labels[:, :, 2:7] = mask[:, :, None]
        masks.append(f"{name}={write_sagittal(labels, folder / f'{name}.nii.gz')}")
    return image, masks


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> ToyNetwork:
    toy = ToyNetwork(30.0)
    found = ksam_volumes.EncodeOnce(EagerNetwork(toy))
    for module in (ksam_consistency, ksam_templates):
        monkeypatch.setattr(module, "build_network", lambda options: found)
    return toy


def arguments(folder: Path) -> list[str]:
    image, masks = write_volume(folder)
    given = ["--base", "none", "--image", str(image), "--masks", *masks, "--templates", "2"]
    return [*given, "--output", str(folder / "out.json")]


def test_consistency_is_compared_with_slice_by_slice(
    tmp_path: Path, network: ToyNetwork, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ksam_consistency.main(arguments(tmp_path)) == 0
    rows = json.loads((tmp_path / "out.json").read_text())
    assert len(rows) == 2 * len(ksam_consistency.VARIANTS)
    assert all(row["dice"] == 1 for row in rows if row["variant"] == "slice by slice")
    assert network.encoded <= 9 + 2
    assert "| slice by slice | 1.000 | +0.000 | 0 of 2 |" in capsys.readouterr().out


def test_chosen_variants_stand_beside_slice_by_slice(tmp_path: Path, network: ToyNetwork) -> None:
    assert ksam_consistency.main([*arguments(tmp_path), "--variants", "carried"]) == 0
    rows = json.loads((tmp_path / "out.json").read_text())
    assert {row["variant"] for row in rows} == {"slice by slice", "carried"}


def test_templates_are_compared(
    tmp_path: Path, network: ToyNetwork, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ksam_templates.main([*arguments(tmp_path), "--k", "1", "--every", "1"]) == 0
    rows = json.loads((tmp_path / "out.json").read_text())
    settings = {row["setting"] for row in rows}
    assert {"one", "all", "all, logits", "nearest, k = 1", "round_trip, k = 1", "round trip"} <= settings
    assert {row["slice"] for row in rows} <= set(range(2, 7))
    assert "| all | 1.000 | 6 |" in capsys.readouterr().out


def test_slices_that_serve_as_templates_are_not_scored(tmp_path: Path) -> None:
    image, masks = write_volume(tmp_path)
    options = argparse.Namespace(image=image, masks=masks, templates=2)
    (case,) = ksam_volumes.read_cases(options)
    assert (~case.counted).sum() == len(case.task.templates) == 2
    assert case.slice_mm == 2.0
    assert [StructureRule(row.name).name for row in case.task.structures] == ["dark", "light"]


def test_refusals_are_one_line(
    tmp_path: Path, network: ToyNetwork, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = ["--base", "none", "--image", str(tmp_path / "no.nii.gz"), "--output", "x"]
    for module in (ksam_consistency, ksam_templates):
        assert module.main([*wanted, "--masks", "a=b"]) == 1
        assert capsys.readouterr().err.startswith("error: no.nii.gz: expected a CT, got no such file")


def test_figures() -> None:
    a, b = np.array([1, 1, 0], bool), np.array([0, 1, 1], bool)
    assert ksam_volumes.dice(a, b) == 0.5
    assert ksam_volumes.dice(a & b & ~b, b & ~b) == 1
    assert ksam_templates.correlation([1.0, 2.0, 3.0, float("nan")], [0.1, 0.2, 0.3, 0.0]) == "1.00 (n = 3)"
    assert ksam_templates.correlation([1.0, 1.0, 1.0], [0.1, 0.2, 0.3]) == "-"
