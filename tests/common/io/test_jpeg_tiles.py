"""The direct reader of JPEG tiles against OpenSlide: the same pixels, and only where it may be used."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import openslide
import pytest
import tifffile

from common.errors import InputError
from common.io import jpeg_tiles
from common.io.jpeg_tiles import DoubtfulTileError, JpegTiles, open_jpeg_tiles
from common.io.slide import open_slide

JPEG: dict[str, Any] = {"compression": "jpeg", "compressionargs": {"level": 85}}
YCBCR: dict[str, Any] = {**JPEG, "photometric": "ycbcr", "subsampling": (2, 2)}
MakePyramid = Callable[..., Path]


@pytest.fixture(scope="module")
def slides(tmp_path_factory: pytest.TempPathFactory, make_pyramid: MakePyramid) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("jpeg")
    aperio = "Aperio Image Library v12|AppMag = 40|MPP = 0.25"
    return {
        "ycbcr": make_pyramid(folder / "a.tif", 700, 600, (1, 2), **YCBCR),
        "rgb": make_pyramid(folder / "b.tif", 700, 600, (1, 4), **JPEG),
        "svs": make_pyramid(folder / "c.svs", 703, 601, (1, 4), **YCBCR, tile=(240, 224), description=aperio),
    }


def open_tiles(path: Path) -> JpegTiles:
    tiles = open_jpeg_tiles(path, openslide.OpenSlide(path).level_dimensions)
    assert tiles is not None
    return tiles


def by_openslide(path: Path, level: int, x: int, y: int, width: int, height: int) -> np.ndarray:
    slide = openslide.OpenSlide(path)
    step = slide.level_downsamples[level]
    assert step == 1 or (x, y) == (0, 0) or step.is_integer()
    region = slide.read_region((int(x * step), int(y * step)), level, (width, height))
    return np.asarray(region)[..., :3]


@pytest.mark.parametrize("name", ["ycbcr", "rgb", "svs"])
@pytest.mark.parametrize(
    ("level", "box"),
    [
        (0, (0, 0, 700, 600)),
        (0, (255, 239, 3, 4)),
        (0, (300, 100, 256, 256)),
        (0, (690, 590, 10, 10)),
        (1, (0, 0, 170, 150)),
    ],
)
def test_the_pixels_are_openslides(
    slides: dict[str, Path], name: str, level: int, box: tuple[int, int, int, int]
) -> None:
    tiles = open_tiles(slides[name])
    np.testing.assert_array_equal(tiles.read(level, *box), by_openslide(slides[name], level, *box))
    tiles.close()


def test_slides_are_read_through_it(slides: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    seen, decode = [], JpegTiles._decode
    monkeypatch.setattr(JpegTiles, "_decode", lambda self, *key: (seen.append(key[1]), decode(self, *key))[1])
    with open_slide(slides["svs"]) as slide:
        slide.read_region(10, 10, 1.0, 300, 200)
    assert seen == [0, 1]


def test_the_cache_is_bounded_and_spares_decoding(
    slides: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    tiles = open_tiles(slides["ycbcr"])
    monkeypatch.setattr(jpeg_tiles, "TILE_CACHE_BYTES", 2 * 256 * 256 * 3)
    first = tiles.read(0, 0, 0, 700, 600)
    assert len(tiles._cache) == 2
    tiles._file.close()
    np.testing.assert_array_equal(tiles.read(0, 520, 520, 50, 50), first[520:570, 520:570])  # the last tile
    with pytest.raises(DoubtfulTileError):
        tiles.read(0, 0, 0, 10, 10)


def test_many_threads_read_the_same(slides: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jpeg_tiles, "TILE_CACHE_BYTES", 3 * 256 * 256 * 3)
    tiles = open_tiles(slides["ycbcr"])
    boxes = [(7 * i % 500, 11 * i % 400, 150, 150) for i in range(60)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda box: tiles.read(0, *box), boxes))
    whole = tiles.read(0, 0, 0, 700, 600)
    for (x, y, width, height), pixels in zip(boxes, together, strict=True):
        np.testing.assert_array_equal(pixels, whole[y : y + height, x : x + width])
    assert tiles._cached_bytes == sum(tile.nbytes for tile in tiles._cache.values())


@pytest.mark.parametrize("kept", [0, 400, 3000])
def test_tiles_cut_off_are_left_to_openslide_which_refuses(
    slides: dict[str, Path], tmp_path: Path, kept: int
) -> None:
    content = bytearray(slides["ycbcr"].read_bytes())
    with tifffile.TiffFile(slides["ycbcr"]) as tiff:
        start, count = tiff.pages[0].dataoffsets[4], tiff.pages[0].databytecounts[4]
    content[start + kept : start + count] = bytes(count - kept)
    path = tmp_path / "damaged.tif"
    path.write_bytes(content)
    with pytest.raises(DoubtfulTileError):
        open_tiles(path).read(0, 300, 300, 50, 50)
    with open_slide(path) as slide:
        assert slide.read_region(0, 0, 1.0, 200, 200).shape == (200, 200, 3)
        with pytest.raises(InputError, match=r"damaged\.tif: expected an intact slide, got data that cannot"):
            slide.read_region(300, 300, 1.0, 50, 50)


def test_a_tile_of_another_size_is_left_to_openslide(slides: dict[str, Path]) -> None:
    tiles = open_tiles(slides["ycbcr"])
    content = imagecodecs.jpeg8_encode(np.zeros((64, 64, 3), np.uint8))
    tiles._file = BytesIO(content)  # type: ignore[assignment]
    tiles._grids[0].offsets[0], tiles._grids[0].counts[0] = 0, len(content)
    with pytest.raises(DoubtfulTileError):
        tiles.read(0, 0, 0, 10, 10)


def test_a_closed_slide_is_refused(slides: dict[str, Path]) -> None:
    slide = open_slide(slides["ycbcr"])
    slide.close()
    with pytest.raises(InputError, match=r"a\.tif: expected an open slide, got a closed one"):
        slide.read_region(0, 0, 1.0, 10, 10)


def test_other_files_are_left_to_openslide(tmp_path: Path, pyramid: Path, make_pyramid: MakePyramid) -> None:
    assert open_jpeg_tiles(pyramid, [(2300, 1800)]) is None  # deflate
    (tmp_path / "x.svs").write_bytes(b"not a TIFF")
    assert open_jpeg_tiles(tmp_path / "x.svs", [(1, 1)]) is None
    path = make_pyramid(tmp_path / "twice.tif", 300, 300, (1, 1), **YCBCR)
    assert open_jpeg_tiles(path, [(300, 300)]) is None  # two pages of one size: focal planes?
    assert open_jpeg_tiles(path, [(301, 300)]) is None


def test_levels_with_missing_tiles_are_left_to_openslide(tmp_path: Path) -> None:
    path = tmp_path / "sparse.tif"
    blank = np.full((256, 256, 3), 100, np.uint8)
    with tifffile.TiffWriter(path) as tiff:
        tiles = iter([blank, None, blank, blank])
        options = {"tile": (256, 256), "photometric": "rgb", "metadata": None, **JPEG}
        tiff.write(tiles, shape=(512, 512, 3), dtype="uint8", **options)
    assert open_jpeg_tiles(path, [(512, 512)]) is None
    with open_slide(path) as slide:
        pixels = slide.read_region(0, 0, 1.0, 512, 512)
    assert (pixels[:256, 256:] == 255).all() and np.abs(pixels[256:].astype(int) - 100).max() <= 1


@pytest.mark.shared_data
def test_a_real_slide(shared_data: Path) -> None:
    path = shared_data / "histology" / "CMU-1-Small-Region.svs"
    tiles = open_tiles(path)
    box = (0, 0, 0, 2220, 2967)
    np.testing.assert_array_equal(tiles.read(*box), by_openslide(path, *box))
