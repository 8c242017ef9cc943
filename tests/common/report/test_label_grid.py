"""Areas worked out by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from common.report.label_grid import LabelGrid

TABLE = [SimpleNamespace(value=i, name=name, color=(i, 0, 0)) for i, name in enumerate(("a", "b", "c"))]


def make_grid(mpp: float | None) -> LabelGrid:
    labels = np.array([[0, 0, 1], [-1, 1, 1]])
    return LabelGrid(labels, np.full((2, 3), 0.5), 100.0, (250.0, 180.0), mpp)


def test_cells_end_at_the_slide() -> None:
    grid = make_grid(0.5)
    assert grid.x_edges_px().tolist() == [0, 100, 200, 250]
    assert grid.y_edges_px().tolist() == [0, 100, 180]
    assert grid.cell_areas_px().tolist() == [[10000, 10000, 5000], [8000, 8000, 4000]]


def test_areas_in_mm2() -> None:
    areas = make_grid(0.5).areas_mm2(TABLE)
    assert areas["a"] == pytest.approx(20000 * 0.25 / 1e6)
    assert areas["b"] == pytest.approx((5000 + 8000 + 4000) * 0.25 / 1e6)
    assert areas["c"] == 0


def test_unknown_resolution_has_no_areas() -> None:
    assert make_grid(None).areas_mm2(TABLE) == {"a": None, "b": None, "c": None}
