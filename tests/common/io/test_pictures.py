"""Plain pictures: the same pixels whatever the container, their density, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from common.errors import InputError
from common.io import pictures
from common.io.slide import open_slide

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)


def read(path: Path) -> np.ndarray:
    with open_slide(path) as slide:
        assert slide.format.startswith("plain ")
        return slide.read_region(0, 0, 1.0, slide.width_px, slide.height_px)


def test_lossless_containers_give_the_same_pixels(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "b.tif", PIXELS, photometric="rgb")
    tifffile.imwrite(
        tmp_path / "c.tif", np.moveaxis(PIXELS, -1, 0), photometric="rgb", planarconfig="separate"
    )
    for name in ("a.png", "b.tif", "c.tif"):
        np.testing.assert_array_equal(read(tmp_path / name), PIXELS)


def test_what_was_read_may_be_drawn_on(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    with open_slide(tmp_path / "a.png") as slide:
        slide.read_region(0, 0, 1.0, 60, 40)[:] = 0
        np.testing.assert_array_equal(slide.read_region(0, 0, 1.0, 60, 40), PIXELS)


def test_jpeg_and_palette_and_cmyk_are_read(tmp_path: Path) -> None:
    smooth = np.full((40, 60, 3), (200, 120, 160), np.uint8)
    Image.fromarray(smooth).save(tmp_path / "a.jpg", quality=95)
    Image.fromarray(smooth).quantize(8).save(tmp_path / "b.png")
    Image.fromarray(smooth).convert("CMYK").save(tmp_path / "c.tif")
    assert np.abs(read(tmp_path / "a.jpg").astype(int) - smooth).max() <= 3
    assert np.abs(read(tmp_path / "b.png").astype(int) - smooth).max() <= 3
    assert np.abs(read(tmp_path / "c.tif").astype(int) - smooth).max() <= 3


def test_grey_becomes_rgb(tmp_path: Path) -> None:
    Image.fromarray(PIXELS[..., 0]).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "b.tif", PIXELS[..., 0])
    for name in ("a.png", "b.tif"):
        np.testing.assert_array_equal(read(tmp_path / name), np.repeat(PIXELS[..., :1], 3, axis=2))


def test_transparency_becomes_white(tmp_path: Path) -> None:
    rgba = np.dstack([PIXELS, np.full(PIXELS.shape[:2], 255, np.uint8)])
    rgba[:20, :, 3] = 0
    rgba[20:30, :, 3] = 51  # a fifth
    Image.fromarray(rgba).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "b.tif", rgba, photometric="rgb", extrasamples=["unassalpha"])
    for name in ("a.png", "b.tif"):
        result = read(tmp_path / name)
        assert (result[:20] == 255).all()
        np.testing.assert_allclose(result[20:30], PIXELS[20:30] * 0.2 + 255 * 0.8, atol=0.51)
        np.testing.assert_array_equal(result[30:], PIXELS[30:])


def test_density_becomes_a_statement(tmp_path: Path) -> None:
    image = Image.fromarray(PIXELS)
    image.save(tmp_path / "a.png", dpi=(50800, 50800))
    image.save(tmp_path / "b.jpg", dpi=(25400, 25400))
    tifffile.imwrite(
        tmp_path / "c.tif", PIXELS, photometric="rgb", resolution=(4e4, 4e4), resolutionunit="centimeter"
    )
    image.save(tmp_path / "d.png", dpi=(96, 96))
    image.save(tmp_path / "e.png")
    expected = {"a.png": 0.5, "b.jpg": 1.0, "c.tif": 0.25, "d.png": None, "e.png": None}
    for name, mpp in expected.items():
        with open_slide(tmp_path / name) as slide:
            assert slide.mpp == (None if mpp is None else pytest.approx(mpp, rel=1e-3)), name
            assert slide.resolution.contradictions == ()
    with open_slide(tmp_path / "d.png", mpp=0.5) as slide:
        assert slide.mpp == 0.5
        assert slide.resolution.statements[1].note == "96 dpi, a screen or print setting"


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_sixteen_bit_is_refused(tmp_path: Path, name: str) -> None:
    deep = PIXELS[..., 0].astype(np.uint16) * 257
    if name == "a.png":
        Image.fromarray(deep).save(tmp_path / name)
    else:
        tifffile.imwrite(tmp_path / name, deep)
    with pytest.raises(InputError, match=rf"{name}: expected an 8-bit grey or RGB picture, got"):
        open_slide(tmp_path / name)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_a_picture_too_large_for_memory_is_refused(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(PIXELS).save(tmp_path / name)
    monkeypatch.setattr(pictures, "MAX_PLAIN_PX", 2399)
    with pytest.raises(
        InputError, match=rf"{name}: expected a plain picture of at most 2399 px, got a larger"
    ):
        open_slide(tmp_path / name)


def test_pillows_own_limit_is_the_same_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(InputError, match=r"a\.png: expected a plain picture of at most"):
        open_slide(tmp_path / "a.png")


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif"])
def test_damaged_pixels_are_refused(tmp_path: Path, name: str) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    if name == "a.tif":
        tifffile.imwrite(tmp_path / name, noise, photometric="rgb", compression="zlib", rowsperstrip=30)
    else:
        Image.fromarray(noise).save(tmp_path / name)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(
        InputError, match=rf"{name}: expected an intact slide, got data that cannot be decoded"
    ):
        open_slide(tmp_path / name)
