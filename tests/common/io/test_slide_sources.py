"""OpenSlide's traps: damaged tiles, places never scanned, closed handles, foreign compression."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile

from common.errors import InputError
from common.io.slide import open_slide
from common.io.slide_sources import OpenSlideSource, _background_rgb


@pytest.mark.parametrize("share", [0.02, 0.5, 0.97])
def test_a_truncated_file_is_refused_when_opened(tmp_path: Path, aperio: Path, share: float) -> None:
    content = aperio.read_bytes()
    path = tmp_path / "part.svs"
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(InputError, match=r"part\.svs: expected (a|an intact) slide"):
        open_slide(path)


def test_damaged_tiles_are_refused_when_read(tmp_path: Path, pyramid: Path) -> None:
    """Such a file opens without complaint; after the first error OpenSlide's handle refuses everything."""
    path = tmp_path / "damaged.tif"
    content = bytearray(pyramid.read_bytes())
    with tifffile.TiffFile(pyramid) as tiff:
        for offset, count in zip(tiff.pages[0].dataoffsets, tiff.pages[0].databytecounts, strict=True):
            content[offset : offset + count] = bytes(count)
    path.write_bytes(content)
    with open_slide(path) as slide:
        slide.thumbnail(100)
        for _ in range(2):
            with pytest.raises(
                InputError, match=r"damaged\.tif: expected an intact slide, got data that cannot"
            ):
                slide.read_square((500, 500), 1.0, 64)


def test_a_closed_slide_is_refused(pyramid: Path) -> None:
    slide = open_slide(pyramid)
    slide.close()
    with pytest.raises(InputError, match=r"even\.tif: expected an open slide, got a closed one"):
        slide.read_square((500, 500), 1.0, 64)


def test_a_compression_that_openslide_lacks_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((256, 256, 3), np.uint8), tile=(256, 256), compression="jpegxl")
    with pytest.raises(
        InputError, match=r"a\.tif: expected JPEG, .* tiles, got other ones: convert the slide"
    ):
        open_slide(path)


def write_sparse(path: Path) -> Path:
    """Four tiles of grey 100, the second of them missing."""

    def tiles() -> Iterator[np.ndarray | None]:
        for i in range(4):
            yield None if i == 1 else np.full((256, 256, 3), 100, np.uint8)

    with tifffile.TiffWriter(path) as tiff:
        options = {"tile": (256, 256), "photometric": "rgb", "compression": "zlib", "metadata": None}
        tiff.write(tiles(), shape=(512, 512, 3), dtype="uint8", **options)
    return path


@pytest.mark.parametrize("background", [(255, 255, 255), (10, 200, 30)])
def test_places_never_scanned_get_the_background(tmp_path: Path, background: tuple[int, int, int]) -> None:
    source = OpenSlideSource(write_sparse(tmp_path / "sparse.tif"))
    if background != (255, 255, 255):
        source._background = background
    pixels, corner = source.read(0, 128, 0, 256, 300)
    source.close()
    assert corner == (128, 0)
    assert (pixels[:256, 128:] == background).all()
    assert (pixels[:, :128] == 100).all() and (pixels[256:] == 100).all()


@pytest.mark.parametrize(
    ("text", "colour"), [("0AC81E", (10, 200, 30)), ("", (255, 255, 255)), ("zzzzzz", (255, 255, 255))]
)
def test_the_background_colour_is_the_files(text: str, colour: tuple[int, ...]) -> None:
    assert _background_rgb(text) == colour


def test_levels_of_odd_factors_keep_openslides_reckoning(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as tiff:
        for i, size in enumerate(((900, 600), (360, 240))):  # 2.5
            pixels = np.zeros((size[1], size[0], 3), np.uint8)
            tiff.write(pixels, subfiletype=int(i > 0), tile=(256, 256), photometric="rgb", metadata=None)
    with open_slide(path) as slide:
        assert slide.downsamples == (1.0, 2.5)
        assert slide.read_region(1, 1, 2.5, 359, 239).shape == (239, 359, 3)
