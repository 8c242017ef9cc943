"""Reading: where the pixels come from, against pictures whose value at every level-0 point is known."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import openslide
import pytest

from common.errors import InputError
from common.io import slide as slide_module
from common.io.slide import Slide, open_slide

PERIOD_PX = 96.0
SIZE_PX = 96
DOWNSAMPLES = (0.43, 0.86, 1.0, 1.176, 1.9786, 2.0, 2.353, 3.9, 4.0, 4.7, 8.0, 11.3, 16.0)
Wave = Callable[..., np.ndarray]


def displacement_px(patch: np.ndarray, x0: float, y0: float, downsample: float) -> float:
    """By how many level-0 pixels the waves of a patch are off, by a least-squares fit of their phase."""
    worst = 0.0
    for line, start in ((patch[..., 0].mean(axis=0), x0), (patch[..., 1].mean(axis=1), y0)):
        angle = 2 * np.pi * (start + (np.arange(line.size) + 0.5) * downsample) / PERIOD_PX
        basis = np.stack([np.sin(angle), np.cos(angle), np.ones_like(angle)], axis=1)
        sine, cosine, _ = np.linalg.lstsq(basis, line, rcond=None)[0]
        worst = max(worst, abs(np.arctan2(cosine, sine)) / (2 * np.pi) * PERIOD_PX)
    return worst


def level_read(slide: Slide, downsample: float) -> float:
    return max([k for k in slide.downsamples if k <= downsample], default=1.0)


@pytest.mark.parametrize("name", ["pyramid", "aperio"])
@pytest.mark.parametrize("downsample", DOWNSAMPLES)
@pytest.mark.parametrize("center", [(1150.0, 900.0), (1111.37, 888.61), (1500.4, 1000.0)])
def test_the_field_of_view_is_the_one_asked_for(
    name: str, downsample: float, center: tuple[float, float], draw_wave: Wave, request: pytest.FixtureRequest
) -> None:
    with open_slide(request.getfixturevalue(name)) as slide:
        patch = slide.read_square(center, downsample, SIZE_PX)
        level = level_read(slide, downsample)
    x0, y0 = (value - SIZE_PX * downsample / 2 for value in center)
    expected = draw_wave(SIZE_PX, SIZE_PX, downsample, x0, y0)
    assert patch.shape == (SIZE_PX, SIZE_PX, 3) and patch.dtype == np.uint8
    assert displacement_px(patch, x0, y0, downsample) < level / 16  # of a pixel of the level that was read
    assert np.abs(patch - expected).mean() < (1 if level <= 4 else 7)  # 6 px a wave: interpolation softens


def test_native_pixels_are_untouched(pyramid: Path) -> None:
    expected = np.asarray(openslide.OpenSlide(pyramid).read_region((300, 200), 0, (90, 70)))[..., :3]
    with open_slide(pyramid) as slide:
        np.testing.assert_array_equal(slide.read_region(300, 200, 1.0, 90, 70), expected)


def test_a_whole_factor_is_the_mean_of_the_pixels(pyramid: Path) -> None:
    level = np.asarray(openslide.OpenSlide(pyramid).read_region((256, 512), 0, (300, 300)))[..., :3]
    expected = level.reshape(100, 3, 100, 3, 3).astype(float).mean(axis=(1, 3))
    with open_slide(pyramid) as slide:
        slide.downsamples = (1.0,)  # keeps level 2 out of the way: 3 < 4, but 2 would be read
        np.testing.assert_allclose(slide.read_region(256, 512, 3.0, 100, 100), expected, atol=0.51)


@pytest.mark.parametrize(
    ("downsample", "index"), [(0.5, 0), (1.99, 0), (2.0, 1), (3.9, 1), (4.0, 2), (50.0, 3)]
)
def test_the_coarsest_level_not_above_the_target_is_read(
    pyramid: Path, downsample: float, index: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_slide(pyramid) as slide:
        seen, read = [], slide.source.read
        monkeypatch.setattr(
            slide.source, "read", lambda level, *box: (seen.append(level), read(level, *box))[1]
        )
        slide.read_region(0, 0, downsample, 20, 20)
    assert seen == [index]


def test_levels_that_vendors_cut_off_keep_their_whole_factor(aperio: Path) -> None:
    """OpenSlide says 4.0035 and 16.04 for 575 x 450 and 143 x 112 px: half a patch off at the far corner."""
    with open_slide(aperio) as slide:
        assert slide.downsamples == (1.0, 4.0, 16.0)
        assert slide.source.levels[1].address_step == pytest.approx((2303 / 575 + 1801 / 450) / 2)


@pytest.mark.parametrize("downsample", [0.7, 1.0, 2.3, 9.1])
def test_large_reads_in_blocks_have_no_seams(
    pyramid: Path, downsample: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_slide(pyramid) as slide:
        box = (10.3, 20.7, downsample, 160, 130)
        whole = slide.read_region(*box)
        monkeypatch.setattr(slide_module, "MAX_BLOCK_PX", 50)
        blocks = slide.read_region(*box)
    difference = np.abs(whole.astype(int) - blocks)
    assert difference.max() <= 6 and difference.mean() < 0.6  # 57 grey levels a pixel at the steepest


def test_many_threads_read_the_same(pyramid: Path) -> None:
    centers = [(300.0 + 31.7 * i, 500.0 + 17.3 * i) for i in range(24)]
    with open_slide(pyramid) as slide, ThreadPoolExecutor(4) as pool:
        alone = [slide.read_square(center, 2.353, 64) for center in centers]
        together = list(pool.map(lambda center: slide.read_square(center, 2.353, 64), centers))
    np.testing.assert_array_equal(alone, together)


@pytest.mark.parametrize(
    ("center", "downsample", "fits"),
    [
        ((112, 112), 1.0, True),
        ((111.9, 112), 1.0, False),
        ((2300 - 112, 1800 - 112), 1.0, True),
        ((2300 - 112, 1800 - 111.9), 1.0, False),
        ((1150, 900), 1800 / 224, True),
        ((1150, 900), 8.1, False),
    ],
)
def test_fits_is_what_read_square_accepts(
    pyramid: Path, center: tuple[float, float], downsample: float, fits: bool
) -> None:
    with open_slide(pyramid) as slide:
        assert slide.fits(center, downsample, 224) == fits
        if fits:
            assert slide.read_square(center, downsample, 224).shape == (224, 224, 3)
            return
        with pytest.raises(
            InputError, match=r"even.tif: expected a rectangle inside 2300x1800 px, got x .* to"
        ):
            slide.read_square(center, downsample, 224)


@pytest.mark.parametrize("downsample", [0.5, 1.0, 2.7, 4.0])
def test_padding_is_white_and_moves_nothing(pyramid: Path, downsample: float) -> None:
    with open_slide(pyramid) as slide:
        padded = slide.read_region(-40 * downsample, -24 * downsample, downsample, 100, 100, pad=True)
        inside = slide.read_region(0, 0, downsample, 60, 76)
        far = slide.read_square((9000, 9000), downsample, 8, pad=True)
    margin = 7 if downsample < 1 else 1  # Lanczos sees 3 pixels of level 0 across the edge
    assert (padded[: 24 - margin] == 255).all() and (padded[:, : 40 - margin] == 255).all()
    shifted = padded[24 + margin :, 40 + margin :].astype(int)
    assert np.abs(shifted - inside[margin:, margin:]).max() <= 2 and (far == 255).all()


@pytest.mark.parametrize(("downsample", "size"), [(0.0, 10), (-1.0, 10), (float("nan"), 10), (1.0, 0)])
def test_impossible_sizes_are_refused(pyramid: Path, downsample: float, size: int) -> None:
    with (
        open_slide(pyramid) as slide,
        pytest.raises(InputError, match=r"even.tif: expected a positive size and downsample, got"),
    ):
        slide.read_square((1000, 1000), downsample, size)


def test_thumbnail_is_the_whole_slide(pyramid: Path, draw_wave: Wave) -> None:
    with open_slide(pyramid) as slide:
        rgb, downsample = slide.thumbnail(230)
        same, one = slide.thumbnail(5000)
    assert downsample == 10.0 and rgb.shape == (180, 230, 3)
    assert displacement_px(rgb, 0, 0, downsample) < 0.4
    assert one == 1.0 and same.shape == (1800, 2300, 3)
    np.testing.assert_array_equal(same, np.rint(draw_wave(2300, 1800, 1)).astype(np.uint8))


def test_what_a_slide_says_of_itself(aperio: Path) -> None:
    with open_slide(aperio) as slide:
        assert (slide.format, slide.width_px, slide.height_px, slide.mpp) == ("aperio", 2303, 1801, 0.2325)
        assert slide.resolution.contradictions == (
            "aperio.AppMag says x20 (0.500 um/px) but aperio.MPP says 0.2325 um/px (x43)",
        )
        assert slide.bounds_px == (0, 0, 2303, 1801)
        assert "Secret" not in repr(slide)


def test_the_users_pixel_size_wins(pyramid: Path) -> None:
    with open_slide(pyramid) as slide:
        assert slide.mpp == pytest.approx(0.25)
    with open_slide(pyramid, mpp=0.5) as slide:
        assert slide.mpp == 0.5 and len(slide.resolution.contradictions) == 1
    with pytest.raises(InputError, match="mpp: expected 0 < um/px <= 100, got 0"):
        open_slide(pyramid, mpp=0)


def test_the_scanned_part_is_named_where_the_file_names_it(pyramid: Path) -> None:
    with open_slide(pyramid) as slide:
        slide.properties = {f"openslide.bounds-{k}": str(v) for k, v in zip("xy", (5, 6), strict=True)}
        assert slide.bounds_px == (0, 0, 2300, 1800)
        slide.properties |= {"openslide.bounds-width": "70", "openslide.bounds-height": "80"}
        assert slide.bounds_px == (5, 6, 70, 80)


def test_the_fingerprint_follows_the_file(tmp_path: Path, make_pyramid: Callable[..., Path]) -> None:
    path = make_pyramid(tmp_path / "a.tif", 600, 500, (1,))
    with open_slide(path) as slide, open_slide(path) as again:
        before = slide.fingerprint()
        assert again.fingerprint() == before
    with open_slide(make_pyramid(path, 600, 501, (1,))) as slide:
        assert slide.fingerprint() != before


@pytest.mark.shared_data
def test_a_real_slide_reads_as_openslide_reads_it(shared_data: Path) -> None:
    path = shared_data / "histology" / "CMU-1-Small-Region.svs"
    expected = np.asarray(openslide.OpenSlide(path).read_region((700, 1200), 0, (448, 448)))[..., :3]
    with open_slide(path) as slide:
        assert (slide.mpp, slide.resolution.chosen_source) == (0.499, "aperio.MPP")
        assert slide.resolution.contradictions == ()
        np.testing.assert_array_equal(slide.read_square((924, 1424), 1.0, 448), expected)
        half = slide.read_square((924, 1424), 2.0, 224)
    np.testing.assert_allclose(half, expected.reshape(224, 2, 224, 2, 3).mean(axis=(1, 3)), atol=0.51)
