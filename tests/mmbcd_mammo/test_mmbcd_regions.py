"""Regions of a mammogram: boxes from a file or a detector, cut from the full resolution."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from toy_mammo import TWO_BOXES, make_boxes, write_boxes, write_study

from common.errors import ConfigError, InputError
from common.io.mammogram import Mammogram, read_study
from common.networks.card import WeightsCard
from common.networks.focalnet_dino.build import build_focalnet_dino
from mmbcd.detector_weights import save_detector
from mmbcd.regions import build_regions


@pytest.fixture
def mammogram(tmp_path: Path) -> Mammogram:
    return read_study(write_study(tmp_path / "study", (("L", "CC"),))).mammograms[0]


def test_boxes_of_a_file_are_cut(mammogram: Mammogram, tmp_path: Path):
    regions = build_regions(boxes=write_boxes(tmp_path / "b.json", make_boxes()))
    found = regions(mammogram, 16)
    np.testing.assert_allclose(found.boxes_px, [box[:4] for box in TWO_BOXES])
    np.testing.assert_allclose(found.scores, [0.9, 0.4])
    x0, y0, x1, y1 = (int(value) for value in TWO_BOXES[0][:4])
    np.testing.assert_allclose(
        found.crops[0, 0], mammogram.pixels[y0:y1, x0:x1], atol=1e-6
    )  # 16 px as they are
    described = regions.describe()
    assert (described["name"], described["purpose"], described["rois"]) == ("boxes of b.json", "given", 8)


def test_settings_reach_the_boxes(mammogram: Mammogram, tmp_path: Path):
    boxes = write_boxes(tmp_path / "b.json", make_boxes())
    assert len(build_regions(boxes=boxes, rois=1)(mammogram, 16).scores) == 1
    wide = build_regions(boxes=boxes, context=2.0)(mammogram, 32).crops[0, 0]
    x0, y0, x1, y1 = (int(value) for value in TWO_BOXES[0][:4])
    np.testing.assert_allclose(wide[8:24, 8:24], mammogram.pixels[y0:y1, x0:x1], atol=1e-6)


def test_a_detector_is_read_when_it_is_needed(mammogram: Mammogram, tmp_path: Path):
    regions = build_regions(weights=tmp_path / "d.safetensors", rois=3, engine="torch")
    card = WeightsCard("toy detector", "1", "demonstration", "none")
    save_detector(build_focalnet_dino("tiny"), tmp_path / "d.safetensors", card, (128, 128))
    found = regions(mammogram, 16)
    assert found.crops.shape[1:] == (3, 16, 16) and 1 <= len(found.scores) <= 3
    described = regions.describe()
    assert (described["name"], described["purpose"]) == ("toy detector", "demonstration")
    assert len(described["sha256"]) == 64 and described["precision"] == "fp32"


def test_a_picture_without_boxes_is_refused(mammogram: Mammogram, tmp_path: Path):
    regions = build_regions(boxes=write_boxes(tmp_path / "b.json", make_boxes(["R_CC"])))
    with pytest.raises(InputError, match="b.json: expected boxes of L_CC.dcm"):
        regions(mammogram, 16)


def test_neither_weights_nor_boxes():
    with pytest.raises(
        ConfigError, match="regions: expected detector_weights or boxes, got neither: name one"
    ):
        build_regions()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rois": 0}, "rois: expected at least 1 and iou 0..1, got 0 and 0.1"),
        ({"rois": "many"}, "rois: expected at least 1 and iou 0..1, got many and 0.1"),
        ({"iou": "low"}, "got 8 and low"),
        ({"context": "wide"}, "regions: expected a size from 1 and a context from 1, got 1 and wide"),
    ],
)
def test_settings_are_refused_before_anything_is_read(
    tmp_path: Path, settings: dict[str, object], message: str
):
    with pytest.raises(ConfigError, match=message):
        build_regions(weights=tmp_path / "none.safetensors", **settings)
