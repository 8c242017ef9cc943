"""Oracle prompts against hand-worked boxes."""

from __future__ import annotations

import numpy as np
import pytest
from experiment.ksam_peers.oracle import OraclePrompt

from common.errors import ConfigError


def block(rows: slice, columns: slice, size_px: int = 64) -> np.ndarray:
    mask = np.zeros((size_px, size_px), np.float32)
    mask[rows, columns] = 1
    return mask


def test_a_box_without_margin_is_the_bounding_box() -> None:
    found = OraclePrompt("box").draw(block(slice(10, 20), slice(5, 9)), np.random.default_rng(0))
    assert found is not None and found.tolist() == [5, 10, 9, 20]


def test_margins_are_pixels_of_512_and_go_outward_only() -> None:
    mask, rng = block(slice(20, 30), slice(20, 30)), np.random.default_rng(0)
    drawn = [OraclePrompt("box", 40).draw(mask, rng) for _ in range(200)]
    away = np.abs(np.stack([box for box in drawn if box is not None]) - [20, 20, 30, 30])
    assert away.max() <= 40 * 64 / 512 and away.max() > 4.5 and away.min() < 0.2
    assert all((box[:2] <= 20).all() and (box[2:] >= 30).all() for box in drawn if box is not None)


def test_boxes_stay_in_the_picture_and_points_in_the_structure() -> None:
    rng = np.random.default_rng(0)
    corner = OraclePrompt("box", 512).draw(block(slice(0, 2), slice(62, 64)), rng)
    assert corner is not None and corner.min() >= 0 and corner.max() <= 64
    mask = block(slice(3, 6), slice(40, 50))
    points = np.stack([OraclePrompt("point").draw(mask, rng) for _ in range(100)])  # type: ignore[arg-type]
    assert mask[points[:, 1].astype(int), points[:, 0].astype(int)].all()
    assert len(np.unique(points, axis=0)) > 20


def test_small_and_missing_structures() -> None:
    faint = block(slice(7, 8), slice(9, 10)) * 0.2
    found = OraclePrompt("point").draw(faint, np.random.default_rng(0))
    assert found is not None and found.tolist() == [9.5, 7.5]
    assert OraclePrompt("box").draw(np.zeros((8, 8)), np.random.default_rng(0)) is None


def test_refusals() -> None:
    with pytest.raises(ConfigError, match="prompt: expected point or box, got 'scribble': choose one"):
        OraclePrompt("scribble")
    with pytest.raises(ConfigError, match="margin_px: expected 0 or more, got -1"):
        OraclePrompt("box", -1)
