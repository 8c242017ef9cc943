"""Pictures as they are meant to be seen, whatever their depth, container and orientation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
import tifffile
from ct_cases import write_series
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from common.errors import InputError
from common.io import photographs
from common.io.photographs import read_rgb, to_8_bit

PIXELS = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
GREY = PIXELS[..., 0]


def same(path: Path, expected: np.ndarray) -> None:
    pixels = read_rgb(path)
    assert pixels.dtype == np.uint8 and pixels.flags.writeable
    np.testing.assert_array_equal(pixels, expected)


def test_eight_bits(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    Image.fromarray(PIXELS).save(tmp_path / "b.TIF", format="TIFF")
    Image.fromarray(GREY).save(tmp_path / "c.png")
    same(tmp_path / "a.png", PIXELS)
    same(tmp_path / "b.TIF", PIXELS)
    same(tmp_path / "c.png", np.repeat(GREY[..., None], 3, axis=2))


def test_palettes_and_two_levels(tmp_path: Path) -> None:
    flat = np.full((30, 40, 3), (200, 120, 160), np.uint8)
    Image.fromarray(flat).quantize(4).save(tmp_path / "a.png")
    same(tmp_path / "a.png", flat)
    Image.fromarray(GREY > 128).save(tmp_path / "b.png")
    same(tmp_path / "b.png", np.repeat(np.where(GREY > 128, 255, 0)[..., None], 3, axis=2))


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize(("factor", "full"), [(257, 65535), (16, 4095), (1, 255)])
def test_sixteen_bits_of_grey(tmp_path: Path, suffix: str, factor: int, full: int) -> None:
    deep = GREY.astype(np.uint16) * factor
    deep[0, 0] = full
    Image.fromarray(deep).save(tmp_path / f"a.{suffix}")
    expected = np.rint(deep * (255 / full)).astype(np.uint8)
    same(tmp_path / f"a.{suffix}", np.repeat(expected[..., None], 3, axis=2))


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_sixteen_bits_of_colour(tmp_path: Path, planar: str) -> None:
    deep = PIXELS.astype(np.uint16) * 257
    stored = np.moveaxis(deep, -1, 0) if planar == "separate" else deep
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb", planarconfig=planar)
    same(tmp_path / "a.tif", PIXELS)


def test_transparent_places_are_black(tmp_path: Path) -> None:
    alpha = np.zeros(GREY.shape, np.uint8)
    alpha[:10] = 255
    expected = PIXELS.copy()
    expected[10:] = 0
    Image.fromarray(np.dstack([PIXELS, alpha])).save(tmp_path / "a.png")
    same(tmp_path / "a.png", expected)
    deep = np.dstack([PIXELS, alpha]).astype(np.uint16) * 257
    tifffile.imwrite(tmp_path / "b.tif", deep, photometric="rgb", extrasamples=["unassalpha"])
    same(tmp_path / "b.tif", expected)


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_the_camera_was_held_upright(tmp_path: Path, name: str) -> None:
    """EXIF orientation 6: to be turned clockwise by 90 degrees."""
    flat = np.full((30, 40, 3), 40, np.uint8)
    flat[:8, :8] = 220
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(flat).save(tmp_path / name, exif=exif)
    pixels = read_rgb(tmp_path / name)
    assert pixels.shape == (40, 30, 3)
    assert pixels[2, -3, 0] > 200 and pixels[2, 2, 0] < 60


def photograph(path: Path, pixels: np.ndarray, **tags: object) -> Path:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.77.1.5.1"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    dataset.Modality, dataset.Rows, dataset.Columns = "OP", *pixels.shape[:2]
    dataset.SamplesPerPixel = 3 if pixels.ndim == 3 else 1
    dataset.PhotometricInterpretation = "RGB" if pixels.ndim == 3 else "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = pixels.dtype.itemsize * 8
    dataset.HighBit, dataset.PixelRepresentation, dataset.PlanarConfiguration = dataset.BitsStored - 1, 0, 0
    dataset.PixelData = pixels.tobytes()
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    dataset.save_as(path, enforce_file_format=True)
    return path


def test_dicom_photographs(tmp_path: Path) -> None:
    same(photograph(tmp_path / "a", PIXELS), PIXELS)
    grey = np.repeat(GREY[..., None], 3, axis=2)
    same(photograph(tmp_path / "b.dcm", GREY), grey)
    same(photograph(tmp_path / "c.dcm", 255 - GREY, PhotometricInterpretation="MONOCHROME1"), grey)
    deep = GREY.astype(np.uint16) * 16
    expected = np.rint(deep * (255 / 4095)).astype(np.uint8)
    same(
        photograph(tmp_path / "d.dcm", deep, BitsStored=12, HighBit=11),
        np.repeat(expected[..., None], 3, axis=2),
    )


def test_dicom_photographs_in_other_colour_spaces(tmp_path: Path) -> None:
    path = photograph(tmp_path / "a.dcm", PIXELS)
    wanted = pydicom.pixels.convert_color_space(PIXELS, "RGB", "YBR_FULL")
    photograph(path, wanted, PhotometricInterpretation="YBR_FULL")
    assert np.abs(read_rgb(path).astype(int) - PIXELS).max() <= 2
    table = np.random.default_rng(2).integers(0, 256, (3, 256)).astype(np.uint16) * 257
    colours = {
        f"{name}PaletteColorLookupTable{part}": value
        for name, row in zip(("Red", "Green", "Blue"), table, strict=True)
        for part, value in (("Descriptor", [256, 0, 16]), ("Data", row.tobytes()))
    }
    photograph(path, GREY, PhotometricInterpretation="PALETTE COLOR", **colours)
    np.testing.assert_array_equal(read_rgb(path), np.moveaxis(table[:, GREY] // 257, 0, -1))


def test_to_8_bit_keeps_8_bit() -> None:
    assert to_8_bit(GREY) is GREY


def test_what_is_no_single_picture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    (tmp_path / "a.png").write_text("hello")
    for name in ("a.txt", "a.png"):
        with pytest.raises(
            InputError, match=rf"{name}: expected a picture \(PNG, JPEG, TIFF, DICOM photograph\)"
        ):
            read_rgb(tmp_path / name)
    with pytest.raises(InputError, match=r"0001\.dcm: expected a picture \(PNG.*, got something else: check"):
        read_rgb(write_series(tmp_path / "ct")[0])
    with pytest.raises(InputError, match=r"b\.png: expected a picture, got no such file: check the path"):
        read_rgb(tmp_path / "b.png")


def test_several_pages_or_frames_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.stack([GREY, GREY]))
    with pytest.raises(InputError, match=r"a\.tif: expected one picture, got 2 pages: save one"):
        read_rgb(tmp_path / "a.tif")
    path = photograph(tmp_path / "b.dcm", GREY, NumberOfFrames=3)
    with pytest.raises(InputError, match=r"b\.dcm: expected one picture, got 3 frames: save one"):
        read_rgb(path)


def test_other_depths_are_refused(tmp_path: Path) -> None:
    Image.fromarray(GREY.astype(np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(InputError, match=r"a\.tif: expected 8 or 16 bits per channel, got 32: save it"):
        read_rgb(tmp_path / "a.tif")


def test_too_large_and_damaged_pictures_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    (tmp_path / "b.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(
        InputError, match=r"b\.png: expected an intact picture, got one that cannot be decoded"
    ):
        read_rgb(tmp_path / "b.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(
        InputError, match=r"a\.png: expected a picture of at most \d+ px, got a larger one: make"
    ):
        read_rgb(tmp_path / "a.png")
    monkeypatch.setattr(photographs, "MAX_PLAIN_PX", 39999)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    with pytest.raises(InputError, match=r"a\.png: expected a picture of at most 39999 px, got a larger one"):
        read_rgb(tmp_path / "a.png")
