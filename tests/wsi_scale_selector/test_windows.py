"""Where windows stand: against positions worked out by hand and tissue counted pixel by pixel."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from common.errors import ConfigError, InputError
from scale_selector.windows import Block, TissueTable, plan_windows


def make_slide(width_px: int, height_px: int, downsamples: tuple[float, ...] = (1.0,)) -> SimpleNamespace:
    return SimpleNamespace(
        path=Path("slide.svs"), width_px=width_px, height_px=height_px, downsamples=downsamples
    )


def test_last_windows_end_at_the_border() -> None:
    grid = plan_windows(make_slide(19, 8), 2.0, size_px=4, stride_px=2)
    assert (grid.width_px, grid.height_px) == (9, 4)
    assert grid.cells == (2, 5)
    assert grid.lefts_px().tolist() == [0, 2, 4, 5]
    assert grid.tops_px().tolist() == [0]


def test_every_window_contains_its_cells_and_no_window_leaves_the_slide() -> None:
    for width in range(12, 40):
        grid = plan_windows(make_slide(width, 12), 1.0, size_px=12, stride_px=4)
        lefts = grid.lefts_px()
        assert lefts[-1] + 12 == width and len(lefts) + 2 == grid.cells[1]
        for first, left in enumerate(lefts):
            assert left <= first * 4 and min((first + 3) * 4, width) <= left + 12


def test_reads_stay_small_and_cover_every_wanted_window_once() -> None:
    grid = plan_windows(make_slide(30000, 20000), 2.0, size_px=224, stride_px=112)
    wanted = np.random.default_rng(0).random(grid.shape) < 0.01
    wanted[:30, :30] = True
    found = np.zeros(grid.shape, dtype=int)
    for band in grid.bands():
        for block in grid.blocks(band, wanted):
            assert grid.tops_px()[block.row_end - 1] + 224 - grid.tops_px()[block.row] <= 1024
            assert grid.lefts_px()[block.column_end - 1] + 224 - grid.lefts_px()[block.column] <= 1024
            found[block.row : block.row_end, block.column : block.column_end] += 1
    assert (found[wanted] == 1).all() and found.max() == 1


def test_a_block_shrinks_to_its_wanted_windows() -> None:
    grid = plan_windows(make_slide(1000, 1000), 1.0, size_px=100, stride_px=50)
    wanted = np.zeros(grid.shape, dtype=bool)
    wanted[3, 4] = wanted[5, 9] = True
    assert list(grid.blocks((0, 19), wanted)) == [Block(3, 6, 4, 10)]


def test_source_read_is_bounded_on_a_pyramid_without_a_near_level() -> None:
    grid = plan_windows(make_slide(100000, 80000, (1.0, 4.0, 16.0)), 3.9, size_px=224, stride_px=56)
    assert grid.read_px == 525
    coarse = plan_windows(make_slide(100000, 80000, (1.0, 4.0, 16.0)), 8.0, size_px=224, stride_px=56)
    assert coarse.read_px == 1024


@pytest.mark.parametrize("shape", [(50, 90), (13, 21)])
def test_tissue_share_equals_a_pixel_count(shape: tuple[int, int]) -> None:
    slide = make_slide(900, 500)
    tissue = np.random.default_rng(1).random(shape) < 0.4
    grid = plan_windows(slide, 2.0, size_px=60, stride_px=30)
    full = tissue[np.arange(500) * shape[0] // 500][:, np.arange(900) * shape[1] // 900]
    shares = TissueTable(grid, tissue, slide).window_shares()
    for row, top in enumerate(grid.tops_px()):
        for column, left in enumerate(grid.lefts_px()):
            counted = full[2 * top : 2 * top + 120, 2 * left : 2 * left + 120].mean()
            assert shares[row, column] == pytest.approx(counted, abs=0.02)
    shares = TissueTable(grid, tissue, slide).cell_shares()
    assert shares.shape == (9, 15)
    for row, column in np.ndindex(shares.shape):
        counted = full[60 * row : 60 * row + 60, 60 * column : 60 * column + 60].mean()
        assert shares[row, column] == pytest.approx(counted, abs=0.04)


def test_stride_must_divide_the_window() -> None:
    with pytest.raises(
        ConfigError, match=r"stride_px: expected a divisor of 12 px \(12, 6, 4, 3, 2, 1\), got 5"
    ):
        plan_windows(make_slide(100, 100), 1.0, size_px=12, stride_px=5)
    with pytest.raises(ConfigError, match="got 0"):
        plan_windows(make_slide(100, 100), 1.0, size_px=12, stride_px=0)


def test_slide_must_hold_one_window() -> None:
    with pytest.raises(InputError, match=r"slide.svs: expected at least 224 x 224 px .* got 200 x 500"):
        plan_windows(make_slide(400, 1000), 2.0, size_px=224, stride_px=224)
