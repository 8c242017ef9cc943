"""Stored values of mammograms as they are displayed: LUTs, windows, inversion, padding, compression."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels import apply_windowing, get_decoder
from pydicom.uid import (
    JPEG2000,
    MPEG2MPML,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)
from toy_mammo_files import draw_breast, make_mammogram

from common.errors import InputError
from common.io.dicom_files import list_files
from common.io.mammo_pixels import RANGE_NOTE, apply_window, display, read_pixels


def write(path: Path, pixels: np.ndarray | None = None, **changes: Any) -> Path:
    make_mammogram("L", "CC", pixels, **changes).save_as(path, enforce_file_format=True)
    return path


def read(path: Path) -> np.ndarray:
    return read_pixels(list_files(path)[0])[0]


def header(**elements: Any) -> Dataset:
    dataset = Dataset()
    standard = {"BitsAllocated": 16, "BitsStored": 12, "PixelRepresentation": 0}
    for keyword, value in {**standard, "PhotometricInterpretation": "MONOCHROME2", **elements}.items():
        setattr(dataset, keyword, value)
    return dataset


RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)
"""Every value of 12 bits."""


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_windows_are_pydicoms(function: str) -> None:
    stated = header(WindowCenter=1800, WindowWidth=1100, VOILUTFunction=function)
    shown, notes = display(RAMP, stated, "x")
    reference = apply_windowing(RAMP, stated) / 4095
    np.testing.assert_allclose(shown, reference, atol=2e-7)
    assert notes == ()
    assert shown.dtype == np.float32


def test_the_middle_of_a_sigmoid_is_one_half() -> None:
    assert apply_window(np.array([1500.0]), 1500, 300, "SIGMOID")[0] == 0.5
    assert apply_window(np.array([-1e6]), 1500, 300, "SIGMOID")[0] == pytest.approx(0, abs=1e-30)


def test_the_first_of_several_windows_is_used() -> None:
    one = display(RAMP, header(WindowCenter=1000, WindowWidth=500), "x")[0]
    two = display(RAMP, header(WindowCenter=[1000, 2000], WindowWidth=[500, 700]), "x")[0]
    np.testing.assert_array_equal(one, two)


def test_the_rescale_comes_before_the_window() -> None:
    """Slope 2, intercept 100: stored 450 is 1000, the lower end c - 0.5 - (w - 1) / 2 of the window."""
    stated = header(RescaleSlope=2, RescaleIntercept=100, WindowCenter=1500, WindowWidth=1000)
    shown = display(RAMP, stated, "x")[0].ravel()
    assert shown[450] == 0
    assert shown[451] == pytest.approx(2 / 999)
    assert shown[950] == 1


def lut(first: int, bits: int, values: np.ndarray) -> list[Dataset]:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(values), first, bits])
    item.add_new("LUTData", "US", values.astype(int).tolist())
    return [item]


@pytest.mark.parametrize("bits", [12, 16])
def test_a_voi_lut_comes_before_the_window(bits: int) -> None:
    """A table of 12 bits whose descriptor may say 16; values below and above it take its ends."""
    table = np.linspace(0, 4095, 1001).round()
    stated = header(VOILUTSequence=lut(1000, bits, table), WindowCenter=10, WindowWidth=5)
    shown = display(RAMP, stated, "x")[0].ravel()
    np.testing.assert_allclose(shown[1000:2001], table / 4095, atol=1e-6)
    assert (shown[:1000] == 0).all()
    assert (shown[2001:] == 1).all()


def test_a_modality_lut_is_applied_first() -> None:
    table = np.arange(4096)[::-1]
    stated = header(ModalityLUTSequence=lut(0, 16, table), VOILUTSequence=lut(0, 12, np.arange(4096)))
    shown = display(RAMP, stated, "x")[0].ravel()
    np.testing.assert_allclose(shown, table / 4095, atol=1e-6)


@pytest.mark.parametrize(
    ("photometric", "shape", "inverted"),
    [
        ("MONOCHROME2", "IDENTITY", False),
        ("MONOCHROME1", "INVERSE", True),
        ("MONOCHROME1", None, True),
        ("MONOCHROME2", "INVERSE", True),
    ],
)
def test_inversion_counts_once(photometric: str, shape: str | None, inverted: bool) -> None:
    stated = header(PhotometricInterpretation=photometric, WindowCenter=2048, WindowWidth=4096)
    if shape:
        stated.PresentationLUTShape = shape
    shown = display(RAMP, stated, "x")[0].ravel()
    assert shown[0] == float(inverted)
    assert shown[4095] == float(not inverted)


def test_padding_is_dark_in_inverted_pictures_too() -> None:
    stated = header(PhotometricInterpretation="MONOCHROME1", WindowCenter=2048, WindowWidth=4096)
    stated.add_new("PixelPaddingValue", "US", 0)
    stated.add_new("PixelPaddingRangeLimit", "US", 9)
    shown = display(RAMP, stated, "x")[0].ravel()
    assert (shown[:10] == 0).all()
    assert shown[10] > 0.99


def test_without_a_window_the_range_is_used_without_padding_and_hot_pixels() -> None:
    """1,000 pixels of 100, 1,000 of 300, as many of padding; one hot pixel among them."""
    pixels = np.zeros((30, 100), np.uint16)
    pixels[10:20], pixels[20:30] = 100, 300
    pixels[9, 0] = 4000
    stated = header()
    stated.add_new("PixelPaddingValue", "US", 0)
    shown, notes = display(np.repeat(pixels, 4, 1).repeat(4, 0), stated, "x")
    assert notes == (RANGE_NOTE,)
    assert (shown[40:80] == 0).all()
    np.testing.assert_allclose(shown[80:], 1, atol=0.1)
    assert (shown[:36] == 0).all()


@pytest.mark.parametrize("width", [0, -5, 0.5])
def test_a_window_that_cannot_be_is_not_used(width: float) -> None:
    assert display(RAMP, header(WindowCenter=1000, WindowWidth=width), "x")[1] == (RANGE_NOTE,)


def test_signed_values_and_unused_bits(tmp_path: Path) -> None:
    """12 bits with a sign, an old overlay above them, and a padding value written without the sign."""
    values = np.arange(-2048, 2048).reshape(64, 64)
    stored = ((values & 0xFFF) | 0x8000).astype(np.uint16)
    image = make_mammogram("L", "CC", stored, PixelRepresentation=1, WindowCenter=0, WindowWidth=4096)
    image.add_new("PixelPaddingValue", "US", 65536 - 2000)
    image.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    shown = read(tmp_path / "a.dcm").ravel()
    expected = (np.arange(4096) / 4095).astype(np.float32)
    expected[48] = 0
    np.testing.assert_allclose(shown, expected, atol=1e-6)


def jpeg_lossless(pixels: np.ndarray) -> bytes:
    return bytes(imagecodecs.ljpeg_encode(pixels, bitspersample=12))


ENCODERS = {
    JPEGLossless: jpeg_lossless,
    JPEGLosslessSV1: jpeg_lossless,
    JPEGLSLossless: lambda pixels: bytes(imagecodecs.jpegls_encode(pixels)),
    JPEG2000Lossless: lambda pixels: bytes(
        imagecodecs.jpeg2k_encode(pixels, codecformat="j2k", reversible=True)
    ),
    HTJ2KLossless: lambda pixels: bytes(imagecodecs.htj2k_encode(pixels, reversible=True)),
    HTJ2KLosslessRPCL: lambda pixels: bytes(imagecodecs.htj2k_encode(pixels, reversible=True)),
}


def test_every_lossless_compression_gives_the_same_picture(tmp_path: Path) -> None:
    pixels = draw_breast("L") + np.random.default_rng(0).integers(0, 90, (96, 64)).astype(np.uint16)
    plain = read(write(tmp_path / "plain.dcm", pixels))
    for syntax, encode in ENCODERS.items():
        path = write(tmp_path / f"{syntax.name[:20]}.dcm", pixels, PixelData=encapsulate([encode(pixels)]))
        _declare(path, syntax)
        np.testing.assert_array_equal(read(path), plain, err_msg=syntax.name)
    rle = make_mammogram("L", "CC", pixels)
    rle.compress(RLELossless, generate_instance_uid=False)
    rle.save_as(tmp_path / "rle.dcm", enforce_file_format=True)
    np.testing.assert_array_equal(read(tmp_path / "rle.dcm"), plain)


@pytest.mark.parametrize("syntax", [JPEGLSNearLossless, JPEG2000])
def test_lossy_compression_stays_near(tmp_path: Path, syntax: pydicom.uid.UID) -> None:
    pixels = draw_breast("L")
    image = make_mammogram("L", "CC", pixels)
    options: dict[str, Any] = {"jls_error": 3} if syntax == JPEGLSNearLossless else {"j2k_psnr": [60.0]}
    image.compress(syntax, generate_instance_uid=False, **options)
    image.save_as(tmp_path / "lossy.dcm", enforce_file_format=True)
    plain = read(write(tmp_path / "plain.dcm", pixels))
    np.testing.assert_allclose(read(tmp_path / "lossy.dcm"), plain, atol=0.02)


LOSSY = {
    8: (JPEGBaseline8Bit, {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "WindowCenter": 128}),
    12: (JPEGExtended12Bit, {}),
}


@pytest.mark.parametrize("bits", [8, 12])
def test_the_older_jpeg_with_loss(tmp_path: Path, bits: int) -> None:
    """12 bits of it are what pydicom's plugins do not decode; a cut one would be filled up with grey."""
    syntax, stated = LOSSY[bits]
    pixels = draw_breast("L") if bits == 12 else (draw_breast("L") >> 4).astype(np.uint8)
    coded = bytes(imagecodecs.jpeg_encode(pixels, level=98, bitspersample=bits))
    path = write(tmp_path / "a.dcm", pixels, WindowWidth=1 << bits, **stated, PixelData=encapsulate([coded]))
    _declare(path, syntax)
    np.testing.assert_allclose(read(path), pixels / (2**bits - 1), atol=0.05)
    write(tmp_path / "a.dcm", pixels, **stated, PixelData=encapsulate([coded[: len(coded) // 2]]))
    _declare(path, syntax)
    with pytest.raises(InputError, match=r"^a\.dcm: expected an intact DICOM file, got a damaged one"):
        read(path)


@pytest.mark.parametrize("syntax", [*ENCODERS, RLELossless], ids=lambda uid: uid.name[:24])
def test_cut_compressed_pixels_are_refused(tmp_path: Path, syntax: pydicom.uid.UID) -> None:
    """Half of the codestream in an intact file."""
    pixels = draw_breast("L") + np.random.default_rng(0).integers(0, 90, (96, 64)).astype(np.uint16)
    image = make_mammogram("L", "CC", pixels)
    if syntax == RLELossless:
        image.compress(RLELossless)
        coded = get_frame(image.PixelData, 0, number_of_frames=1)
    else:
        coded = ENCODERS[syntax](pixels)
    path = write(tmp_path / "a.dcm", pixels, PixelData=encapsulate([coded[: len(coded) // 2]]))
    _declare(path, syntax)
    with pytest.raises(InputError, match=r"^a\.dcm: expected an intact DICOM file, got a damaged one"):
        read(path)


def _declare(path: Path, syntax: pydicom.uid.UID) -> None:
    image = pydicom.dcmread(path)
    image.file_meta.TransferSyntaxUID = syntax
    image["PixelData"].VR = "OB"
    image["PixelData"].is_undefined_length = True
    image.save_as(path, enforce_file_format=True)


def test_pictures_without_contrast_or_of_too_many_bits_are_refused() -> None:
    with pytest.raises(
        InputError, match=r"^x: expected a picture, got one value everywhere: export the orig"
    ):
        display(np.full((64, 64), 7, np.uint16), header(), "x")
    deep = np.zeros((64, 64), np.int32)
    deep[0] = 1 << 20
    with pytest.raises(InputError, match=r"^x: expected a picture, got values of more than 16 bits: export"):
        display(deep, header(), "x")


@pytest.mark.parametrize(("rows", "columns"), [(63, 500), (20000, 20000)])
def test_icons_and_giants_are_refused(tmp_path: Path, rows: int, columns: int) -> None:
    path = write(tmp_path / "a.dcm", Rows=rows, Columns=columns)
    with pytest.raises(
        InputError, match=rf"^a\.dcm: expected 64 pixels a side to .* in all, got {rows}x{columns}: export"
    ):
        read(path)


def test_a_header_alone_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", PixelData=None)
    with pytest.raises(InputError, match=r"^a\.dcm: expected pixel data, got a header alone: export it"):
        read(path)


@pytest.mark.parametrize("compressed", [False, True])
def test_cut_files_are_refused(tmp_path: Path, compressed: bool) -> None:
    image = make_mammogram("L", "CC")
    if compressed:
        image.compress(RLELossless)
    image.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    whole = (tmp_path / "a.dcm").read_bytes()
    (tmp_path / "a.dcm").write_bytes(whole[: len(whole) - 700])
    with pytest.raises(InputError, match=r"^a\.dcm: expected an intact DICOM file, got a damaged one"):
        read(tmp_path / "a.dcm")


def test_a_missing_decoder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.dcm", PixelData=encapsulate([b"x"]))
    _declare(path, HTJ2KLossless)
    decoder = get_decoder(HTJ2KLossless)
    monkeypatch.setattr(decoder, "_available", {})
    with pytest.raises(InputError, match=r"^expected a decoder for High-Throughput JPEG 2000.*, got none"):
        read(path)
    _declare(path, MPEG2MPML)
    with pytest.raises(InputError, match=r"^expected a known compression, got transfer syntax MPEG2"):
        read(path)
