"""Stored values become HU: bits, signs, rescale, padding, compression, and what cannot be read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from ct_cases import edit, hu_volume, write_series
from pydicom.encaps import encapsulate
from pydicom.pixels import get_decoder
from pydicom.uid import MPEG2MPML, JPEG2000Lossless, RLELossless

from common.errors import InputError
from common.io.ct_volume import read_ct

LARGE = (70, 64, 2)
"""JPEG 2000 needs 64 pixels for its resolutions."""


def store(paths: list[Path], values: np.ndarray, **tags: object) -> None:
    """Replace the stored values (I, J, K), 16 bits, and set tags."""

    def change(dataset: pydicom.Dataset, k: int) -> None:
        dataset.PixelData = np.ascontiguousarray(values[:, :, k].T).astype("<u2").tobytes()
        for keyword, value in tags.items():
            setattr(dataset, keyword, value)

    edit(paths, change)


@pytest.mark.parametrize("extended", [True, False])
def test_twelve_bits_with_a_sign(tmp_path: Path, extended: bool) -> None:
    """The sign may or may not be continued above bit 11."""
    hu = hu_volume()
    stored = hu.astype(np.int32) if extended else hu.astype(np.int32) & 0xFFF
    signs = {"PixelRepresentation": 1, "BitsStored": 12, "HighBit": 11, "RescaleIntercept": "0"}
    store(write_series(tmp_path), stored & 0xFFFF, **signs)
    np.testing.assert_array_equal(read_ct(tmp_path).voxels_hu, hu)


def test_sixteen_bits_with_a_sign(tmp_path: Path) -> None:
    hu = hu_volume()
    store(write_series(tmp_path), hu.astype(np.int32) & 0xFFFF, PixelRepresentation=1, RescaleIntercept="0")
    np.testing.assert_array_equal(read_ct(tmp_path).voxels_hu, hu)


def test_overlays_above_the_used_bits_are_no_pixels(tmp_path: Path) -> None:
    hu = hu_volume()
    store(write_series(tmp_path), (hu.astype(np.int32) + 1024) | 0x8000, BitsStored=12, HighBit=11)
    np.testing.assert_array_equal(read_ct(tmp_path).voxels_hu, hu)


def test_a_fractional_rescale_gives_floats(tmp_path: Path) -> None:
    hu = hu_volume()
    store(write_series(tmp_path), (hu.astype(np.int32) + 1024) * 2 + 1, RescaleSlope="0.5")
    volume = read_ct(tmp_path)
    assert volume.voxels_hu.dtype == np.float32
    np.testing.assert_allclose(volume.voxels_hu, hu + 0.5)


def test_a_rescale_of_its_own_for_each_slice(tmp_path: Path) -> None:
    hu = hu_volume()
    paths = write_series(tmp_path)
    store(paths, hu.astype(np.int32) + 2000 + np.arange(7))
    edit(paths, lambda dataset, k: setattr(dataset, "RescaleIntercept", str(-2000 - k)))
    np.testing.assert_array_equal(read_ct(tmp_path).voxels_hu, hu)


@pytest.mark.parametrize(("padding", "limit"), [(63536, None), (-2000, None), (-2000, -1990)])
def test_padding_becomes_air(tmp_path: Path, padding: int, limit: int | None) -> None:
    """Written with the pixels' sign or without it, alone or as a range."""
    hu = hu_volume()
    stored = hu.astype(np.int32)
    stored[0], stored[1] = -2000, -2000 if limit is None else -1993
    paths = write_series(tmp_path)
    store(paths, stored & 0xFFFF, PixelRepresentation=1, RescaleIntercept="0")

    def pad(dataset: pydicom.Dataset, _: int) -> None:
        dataset.add_new("PixelPaddingValue", "SS" if padding < 0 else "US", padding)
        if limit is not None:
            dataset.add_new("PixelPaddingRangeLimit", "SS", limit)

    edit(paths, pad)
    volume = read_ct(tmp_path)
    assert (volume.voxels_hu[:2] == -1024).all()
    np.testing.assert_array_equal(volume.voxels_hu[2:], hu[2:])
    assert "14.3% of the voxels are padding outside the scan and became air." in volume.source.notes


def test_a_padding_value_that_is_tissue_is_not_believed(tmp_path: Path) -> None:
    edit(write_series(tmp_path), lambda d, _: d.add_new("PixelPaddingValue", "US", 1024 + 40))
    np.testing.assert_array_equal(read_ct(tmp_path).voxels_hu, hu_volume())


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless], ids=["RLE", "JPEG 2000"])
def test_lossless_compression_gives_the_same_values(tmp_path: Path, syntax: pydicom.uid.UID) -> None:
    hu = hu_volume(LARGE)
    edit(write_series(tmp_path, volume=hu), lambda dataset, _: dataset.compress(syntax))
    np.testing.assert_array_equal(read_ct(tmp_path).voxels_hu, hu)


def test_a_missing_decoder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = write_series(tmp_path, volume=hu_volume(LARGE))
    edit(paths, lambda dataset, _: dataset.compress(JPEG2000Lossless))
    decoder = get_decoder(JPEG2000Lossless)
    monkeypatch.setattr(decoder, "_available", {})
    monkeypatch.setattr(decoder, "_unavailable", {"pylibjpeg": ("pylibjpeg>=2.0", "pylibjpeg-openjpeg>=2.0")})
    with pytest.raises(
        InputError, match=r"expected a decoder for JPEG 2000.*got none: install .*pylibjpeg-openjpeg>=2\.0"
    ):
        read_ct(tmp_path)


def test_an_unknown_compression_is_refused(tmp_path: Path) -> None:
    paths = write_series(tmp_path)
    for path in paths:
        dataset = pydicom.dcmread(path)
        dataset.file_meta.TransferSyntaxUID = MPEG2MPML
        dataset.PixelData = encapsulate([dataset.PixelData])
        dataset["PixelData"].VR = "OB"
        dataset.save_as(path)
    with pytest.raises(
        InputError, match=r"expected a known compression, got transfer syntax MPEG2.*: convert"
    ):
        read_ct(tmp_path)


def test_a_header_alone_is_refused(tmp_path: Path) -> None:
    edit(write_series(tmp_path)[2:3], lambda dataset, _: delattr(dataset, "PixelData"))
    with pytest.raises(InputError, match=r"0003\.dcm: expected pixel data, got a header alone: export it"):
        read_ct(tmp_path)


@pytest.mark.parametrize("bytes_left", [-100, 500, 1000])
def test_cut_files_are_refused(tmp_path: Path, bytes_left: int) -> None:
    path = write_series(tmp_path)[2]
    path.write_bytes(path.read_bytes()[:bytes_left])
    with pytest.raises(InputError, match=r"0003\.dcm: expected an intact DICOM file, got a damaged one"):
        read_ct(tmp_path)


def test_values_beyond_16_bits_are_refused(tmp_path: Path) -> None:
    edit(write_series(tmp_path), lambda dataset, _: setattr(dataset, "RescaleSlope", "100"))
    with pytest.raises(InputError, match=r"expected HU, got values .* in slice \d, out of range: export"):
        read_ct(tmp_path)


def test_a_missing_rescale_is_noticed(tmp_path: Path) -> None:
    paths = write_series(tmp_path)

    def strip(dataset: pydicom.Dataset, _: int) -> None:
        for keyword in ("RescaleSlope", "RescaleIntercept", "RescaleType"):
            delattr(dataset, keyword)

    edit(paths, strip)
    with pytest.raises(InputError, match=r"got values \d+ to \d+ that have no rescale \(slope and intercept"):
        read_ct(tmp_path)
    store(paths, hu_volume().astype(np.int32) & 0xFFFF, PixelRepresentation=1)
    volume = read_ct(tmp_path)
    np.testing.assert_array_equal(volume.voxels_hu, hu_volume())
    assert "7 slices state no rescale; their stored values were taken as HU." in volume.source.notes
