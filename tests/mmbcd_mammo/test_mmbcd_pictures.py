"""Pictures: views hang in their usual places, boxes lie where the regions are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmbcd.pictures import HIGHEST, OTHERS, PREVIEW_PX, Box, Panel, draw_overview, draw_view, hang, shrink


def panel(side: str, view: str, *boxes: Box) -> Panel:
    return Panel(side, view, np.full((300, 200), 0.3, np.float32), boxes, f"{side} {view}: 0.50")


def names(*views: str) -> list[str]:
    places = hang([panel(*view.split()) for view in views])
    return [name if found else f"({name})" for name, found in places]


def test_the_right_breast_hangs_left_of_the_left_one():
    assert names("L MLO", "R MLO", "L CC", "R CC") == ["R CC", "L CC", "R MLO", "L MLO"]


def test_missing_partners_leave_their_place():
    assert names("L CC") == ["(R CC)", "L CC"]
    assert names("R MLO", "L CC", "R CC", "R CC") == [
        *("R CC", "L CC", "R CC (2)", "(L CC (2))", "R MLO", "(L MLO)"),
    ]


def test_other_views_follow():
    assert names("R ML", "R CC") == ["R CC", "(L CC)", "R ML", "(L ML)"]


def find_color(path: Path, color: tuple[int, int, int]) -> np.ndarray:
    """(n, 2) places of pixels that have nearly this colour."""
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
    return np.argwhere(np.abs(pixels - color).max(axis=2) < 40)


def test_boxes_lie_where_the_regions_are(tmp_path: Path):
    """A red box in the upper left quarter, a green one in the lower right: seen in the drawn pixels."""
    boxes = Box((20, 30, 80, 90), "1", "", True), Box((120, 200, 180, 260), "2", "", False)
    draw_view(tmp_path / "v.png", panel("L", "CC", *boxes), "")
    height = np.asarray(Image.open(tmp_path / "v.png")).shape[0]
    for color, low, high in ((HIGHEST, (30, 20), (90, 80)), (OTHERS, (200, 120), (260, 180))):
        found = find_color(tmp_path / "v.png", color)
        found = found[found[:, 0] < 0.9 * height]  # the legend lies below
        size = found.max(axis=0) - found.min(axis=0)
        wanted = (np.array(high) - low) * PREVIEW_PX / 300
        np.testing.assert_allclose(size, wanted, rtol=0.05, atol=8)
    red, green = (find_color(tmp_path / "v.png", color).mean(axis=0) for color in (HIGHEST, OTHERS))
    assert red[0] < green[0]


def test_the_note_is_seen(tmp_path: Path):
    views = [panel("R", "CC"), panel("L", "CC")]
    draw_overview(tmp_path / "with.png", views, "demonstration weights, not for diagnosis")
    draw_overview(tmp_path / "without.png", views, "")
    color = (154, 52, 18)
    assert len(find_color(tmp_path / "with.png", color)) > 300
    assert len(find_color(tmp_path / "without.png", color)) < 50


@pytest.mark.parametrize(("rows", "height", "factor"), [(300, 150, 0.5), (300, 600, 1.0)])
def test_pictures_are_made_smaller_only(rows: int, height: int, factor: float):
    pixels = np.random.default_rng(0).random((rows, 200)).astype(np.float32)
    small, found = shrink(pixels, height)
    assert found == factor and small.shape == (round(rows * factor), round(200 * factor))
    if factor == 0.5:
        np.testing.assert_allclose(small, pixels.reshape(150, 2, 100, 2).mean((1, 3)), atol=1e-6)
