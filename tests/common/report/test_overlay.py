"""Colours land on the right tissue, and nothing is coloured that was not read."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from common.report.label_grid import LabelGrid
from common.report.overlay import OPACITY, blend_labels, nice_length_um, plot_class_overlay

TABLE = [
    SimpleNamespace(value=0, name="red", color=(255, 0, 0)),
    SimpleNamespace(value=1, name="blue", color=(0, 0, 255)),
]


def make_grid(mpp: float | None = 0.5) -> LabelGrid:
    return LabelGrid(np.array([[0, -1], [-1, 1]]), np.ones((2, 2)), 100.0, (150.0, 200.0), mpp)


def test_blending_worked_by_hand() -> None:
    thumbnail = np.full((20, 15, 3), (200, 100, 100), dtype=np.uint8)
    grey = round(0.299 * 200 + 0.701 * 100)
    blended = blend_labels(make_grid(), thumbnail, TABLE)
    pale = (1 - OPACITY) * grey
    np.testing.assert_allclose(
        blended[:10, :10], np.broadcast_to([pale + OPACITY * 255, pale, pale], (10, 10, 3)), atol=1
    )
    np.testing.assert_allclose(
        blended[10:, 10:], np.broadcast_to([pale, pale, pale + OPACITY * 255], (10, 5, 3)), atol=1
    )
    assert (blended[:10, 10:] == grey).all() and (blended[10:, :10] == grey).all()


@pytest.mark.parametrize(
    ("limit", "length"), [(1.0, 1), (4.99, 2), (5.0, 5), (730, 500), (1999, 1000), (0.3, 0.2)]
)
def test_scale_bar_has_a_round_length(limit: float, length: float) -> None:
    assert nice_length_um(limit) == pytest.approx(length)


@pytest.mark.parametrize("shape", [(200, 150), (60, 400), (400, 40)])
@pytest.mark.parametrize("mpp", [0.5, None])
def test_any_shape_of_slide(tmp_path: Path, shape: tuple[int, int], mpp: float | None) -> None:
    labels = np.random.default_rng(0).integers(-1, 2, (shape[0] // 20, shape[1] // 20))
    grid = LabelGrid(labels, np.ones(labels.shape), 20.0, (shape[1], shape[0]), mpp)
    thumbnail = np.full((*shape, 3), 220, dtype=np.uint8)
    plot_class_overlay(tmp_path / "map.png", grid, thumbnail, TABLE, "Classes", "research weights")
    with Image.open(tmp_path / "map.png") as picture:
        assert 1000 <= picture.size[0] <= 1700 and 300 < picture.size[1] < 2500
        colors = {color for _, color in picture.convert("RGB").getcolors(1 << 24)}
    expected = tuple(round((1 - OPACITY) * 220 + OPACITY * part) for part in (255, 0, 0))
    assert any(max(abs(a - b) for a, b in zip(color, expected, strict=True)) <= 2 for color in colors)


@pytest.mark.parametrize("label", [-1, 0])
def test_all_or_nothing_read(tmp_path: Path, label: int) -> None:
    grid = LabelGrid(np.full((4, 4), label), np.ones((4, 4)), 25.0, (100.0, 100.0), 0.5)
    plot_class_overlay(
        tmp_path / "map.png", grid, np.full((100, 100, 3), 220, np.uint8), TABLE, "Classes", ""
    )
    assert (tmp_path / "map.png").is_file()
