"""What the pictures show, read from their axes; and that their texts do not collide."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from common.errors import OutputError
from common.report import figures
from common.report.canvas import DPI, line_color, new_figure, save_figure
from common.report.figures import (
    CurvePanel,
    ScaleAxis,
    plot_confusion_matrix,
    plot_distance_curves,
    plot_proposal_histogram,
)

X_FACTORS = np.array([10, 12, 14, 17, 20, 25, 30, 35, 43])
NAMES = ("adipose", "background", "debris", "lymphocytes", "mucus", "a class with quite a long name indeed")
TABLE = [
    SimpleNamespace(value=i, name=name, color=(250 - 40 * i, 240, 40 * i)) for i, name in enumerate(NAMES)
]
NOTE = "demonstration weights, not for diagnosis"


def make_axis() -> ScaleAxis:
    ticks = [f"x{x}\n{10 / x:.2f}" for x in X_FACTORS]
    return ScaleAxis(np.log(X_FACTORS), ticks, "magnification", float(np.log(20)), float(np.log(39)))


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Figure]]:
    """The figures that are saved."""
    kept: list[Figure] = []

    def save(figure: Figure, path: Path, note: str) -> None:
        save_figure(figure, path, note)
        kept.append(figure)

    monkeypatch.setattr(figures, "save_figure", save)
    yield kept


def texts_collide(figure: Figure) -> list[tuple[str, str]]:
    """Pairs of visible level texts whose boxes overlap by more than a pixel."""
    figure.canvas.draw()
    shown = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    shown = [text for text in shown if text.get_rotation() in (0, 90)]
    boxes = [(text.get_text(), text.get_window_extent()) for text in shown]
    return [
        (name, other)
        for i, (name, box) in enumerate(boxes)
        for other, second in boxes[:i]
        if min(box.x1, second.x1) - max(box.x0, second.x0) > 1
        and min(box.y1, second.y1) - max(box.y0, second.y0) > 1
    ]


def make_panels(count: int) -> list[CurvePanel]:
    distances = np.random.default_rng(0).normal(size=(count, len(X_FACTORS), len(TABLE)))
    patch = np.full((8, 8, 3), 240, dtype=np.uint8)
    return [CurvePanel(curves, patch, 3, 2, "debris: peak at x17") for curves in distances]


@pytest.mark.parametrize("count", [1, 5])
def test_curves(tmp_path: Path, drawn: list[Figure], count: int) -> None:
    panels = make_panels(count)
    plot_distance_curves(tmp_path / "curves.png", panels, make_axis(), TABLE, NOTE)
    figure = drawn[0]
    axes = [axes for axes in figure.axes if axes.lines]
    assert len(axes) == count
    for panel, subplot in zip(panels, axes, strict=True):
        lines = [line.get_ydata() for line in subplot.lines if len(line.get_xdata()) == len(X_FACTORS)]
        np.testing.assert_array_equal(np.transpose(lines), panel.distances)
        widths = [line.get_linewidth() for line in subplot.lines if len(line.get_xdata()) == len(X_FACTORS)]
        assert np.argmax(widths) == panel.winner
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend[: len(NAMES)] == list(NAMES) and NOTE in [text.get_text() for text in figure.texts]
    assert texts_collide(figure) == []


@pytest.mark.parametrize(("chosen", "interval"), [(4, (3, 5)), (None, None)])
def test_histogram(
    tmp_path: Path, drawn: list[Figure], chosen: int | None, interval: tuple[int, int] | None
) -> None:
    counts = [0, 1, 4, 10, 30, 20, 25, 8, 2]
    plot_proposal_histogram(tmp_path / "h.png", counts, make_axis(), chosen, interval, "chosen scale", NOTE)
    axes = drawn[0].axes[0]
    bars = [patch for patch in axes.patches if patch.get_width() < 0.2]
    assert [bar.get_height() for bar in bars[: len(counts)]] == counts
    assert "30\n30%" in [text.get_text() for text in axes.texts]
    assert axes.get_xticklabels()[0].get_text() == "x10\n1.00"
    assert len({bar.get_facecolor() for bar in bars[: len(counts)]}) == (1 if chosen is None else 2)
    legend = [text.get_text() for text in drawn[0].legends[0].get_texts()]
    assert ("chosen scale" in legend) == (chosen is not None)
    assert ("95 % of the resamples" in legend) == (interval is not None)
    assert texts_collide(drawn[0]) == []


def test_histogram_of_nothing(tmp_path: Path, drawn: list[Figure]) -> None:
    plot_proposal_histogram(tmp_path / "h.png", [0] * 9, make_axis(), None, None, "chosen scale", "")
    assert drawn[0].axes[0].get_ylim()[1] > 0


@pytest.mark.parametrize("classes", [2, 9])
def test_confusion_matrix(tmp_path: Path, drawn: list[Figure], classes: int) -> None:
    counts = np.arange(classes**2).reshape(classes, classes) * 37
    names = [f"a class of the number {i}" for i in range(classes)]
    plot_confusion_matrix(tmp_path / "c.png", counts, names, "x20 (0.50 um/px)", NOTE)
    axes = drawn[0].axes[0]
    shown = {(t.get_position()[1], t.get_position()[0]): t.get_text() for t in axes.texts}
    assert (0, 0) not in shown
    for (row, column), count in np.ndenumerate(counts):
        if count:
            assert shown[row, column] == f"{count / counts[row].sum():.0%}\n{count}"
    assert texts_collide(drawn[0]) == []


def test_light_colours_are_darkened_for_lines() -> None:
    assert line_color((0, 0, 0)) == (0, 0, 0)
    for color in ((240, 228, 66), (255, 255, 255)):
        assert np.dot(line_color(color), [0.2126, 0.7152, 0.0722]) == pytest.approx(0.55)


def test_saving(tmp_path: Path) -> None:
    figure = new_figure(4.0, 2.0)
    save_figure(figure, tmp_path / "new" / "a.png", NOTE)
    with Image.open(tmp_path / "new" / "a.png") as picture:
        assert picture.format == "PNG" and picture.size[0] == 4 * DPI
    (tmp_path / "b.png").mkdir()
    with pytest.raises(OutputError, match=r"b.png: expected a writable place"):
        save_figure(figure, tmp_path / "b.png", NOTE)
