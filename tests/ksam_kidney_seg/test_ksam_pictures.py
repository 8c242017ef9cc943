"""The pictures hold what they should: outlines where the labels are, a zoom around them, the footnote."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from common.errors import OutputError
from ksam.frame import build_frame
from ksam.pictures import MIN_ZOOM_PX, Panel, draw_coronal, draw_outlines, draw_panels, draw_prompts, zoom_box
from ksam.structures import Structure

DISC = Structure("disc", 1, None, (0, 255, 0))
CUP = Structure("cup", 2, None, (255, 0, 0), "disc")


def labels_2d(size: int = 60) -> np.ndarray:
    labels = np.zeros((size, size), np.uint8)
    labels[20:40, 10:30] = 1
    labels[25:30, 15:20] = 2
    return labels


def panel(doubt: bool = True, labels: np.ndarray | None = None) -> Panel:
    labels = labels_2d() if labels is None else labels
    image = np.full(labels.shape, 120.0)
    disagreement = np.where(labels == 2, 0.5, 0.0) if doubt else None
    return Panel("slice 1", image, labels, disagreement, build_frame(image), (1.0, 1.0), True)


def colors(path) -> np.ndarray:
    """(n, 3) of every pixel."""
    return np.asarray(Image.open(path).convert("RGB")).reshape(-1, 3).astype(int)


def has(path, color, tolerance=40) -> bool:
    return bool((np.abs(colors(path) - color).max(axis=1) < tolerance).any())


def test_zoom_surrounds_what_is_labelled():
    y0, x0, side = zoom_box(labels_2d())
    assert side == MIN_ZOOM_PX and y0 <= 20 and x0 <= 10 and y0 + side >= 40 and x0 + side >= 30
    large = np.zeros((400, 400), np.uint8)
    large[100:300, 50:350] = 1
    assert zoom_box(large) == (-3, -3, 405)
    assert zoom_box(np.zeros((30, 50))) == (0, 0, 50)


def test_outlines_run_between_the_pixels():
    axes = Figure().add_subplot()
    draw_outlines(axes, labels_2d(), (CUP, DISC))
    outer, inner = (collection.get_paths()[0].vertices for collection in axes.collections)
    np.testing.assert_allclose((outer.min(0), outer.max(0)), [(9.5, 19.5), (29.5, 39.5)])
    np.testing.assert_allclose((inner.min(0), inner.max(0)), [(14.5, 24.5), (19.5, 29.5)])


def test_outline_at_the_edge_is_closed():
    axes = Figure().add_subplot()
    draw_outlines(axes, np.ones((5, 5), np.uint8), (DISC,))
    (line,) = axes.collections
    np.testing.assert_allclose(line.get_paths()[0].vertices.max(0), (4.5, 4.5))


def test_slices_show_outlines_doubt_and_footnote(tmp_path):
    draw_panels(tmp_path / "a.png", [panel()], (DISC, CUP), "not for diagnosis")
    for color in ((0, 255, 0), (255, 0, 0), (154, 52, 18)):
        assert has(tmp_path / "a.png", color)
    doubt = colors(tmp_path / "a.png")
    assert ((doubt[:, 0] > 200) & (doubt[:, 1] < 60) & (doubt[:, 2] > 150)).any()
    draw_panels(tmp_path / "b.png", [panel(doubt=False)], (DISC, CUP), "")
    assert not has(tmp_path / "b.png", (154, 52, 18))
    assert Image.open(tmp_path / "b.png").width < Image.open(tmp_path / "a.png").width


def test_empty_slice_is_drawn(tmp_path):
    draw_panels(tmp_path / "a.png", [panel(labels=np.zeros((60, 60), np.uint8))], (DISC,), "")
    assert (tmp_path / "a.png").stat().st_size > 0


def test_coronal_shows_the_head_at_the_top(tmp_path):
    labels = np.zeros((10, 40, 20), np.uint8)
    labels[3:6, 5:15, 15:19] = 1  # high up, at the patient's right
    voxels = np.zeros(labels.shape)
    draw_coronal(tmp_path / "c.png", voxels, labels, (1, 1, 2), (DISC,), "note")
    pixels = np.asarray(Image.open(tmp_path / "c.png").convert("RGB")).astype(int)
    upper = pixels[: pixels.shape[0] * 6 // 10]
    rows, columns = np.nonzero(np.abs(upper - (0, 255, 0)).max(axis=2) < 40)
    assert len(rows) and columns.mean() < pixels.shape[1] / 2 and rows.mean() < pixels.shape[0] / 3


def test_prompts_show_their_masks(tmp_path):
    image = np.full((32, 32, 3), 90.0)
    masks = {"disc": labels_2d(60)[10:42, 5:37] > 0}
    draw_prompts(tmp_path / "p.png", [("one", image, masks), ("two", image, {})], (DISC, CUP), "")
    assert has(tmp_path / "p.png", (0, 255, 0))


def test_place_that_cannot_be_written(tmp_path):
    (tmp_path / "x").write_text("")
    with pytest.raises(OutputError, match="expected a writable place"):
        draw_panels(tmp_path / "x" / "a.png", [panel()], (DISC,), "")
