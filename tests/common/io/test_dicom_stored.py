"""Stored values of single frames: run lengths, decoded quickly or by pydicom."""

from __future__ import annotations

import imagecodecs
import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import RLELossless
from toy_mammo_files import make_mammogram

from common.io.dicom_stored import decode_frame

FRAMES = np.random.default_rng(0).integers(-60, 60, (2, 13, 7)).clip(0).cumsum(2)


@pytest.fixture(params=["uint8", "int8", "uint16", "int16"])
def frames(request: pytest.FixtureRequest) -> np.ndarray:
    """Two frames of an odd number of pixels, a sign where the type has one."""
    values = FRAMES.astype(request.param)
    return -values if request.param.startswith("i") else values


def compress(frames: np.ndarray) -> Dataset:
    """A data set with these frames as run lengths."""
    bits = frames.dtype.itemsize * 8
    image = make_mammogram("L", "CC")
    image.NumberOfFrames, image.Rows, image.Columns = frames.shape
    image.BitsAllocated, image.BitsStored, image.HighBit = bits, bits, bits - 1
    image.PixelRepresentation = int(frames.dtype.kind == "i")
    image["PixelData"].VR = "OW"
    image.PixelData = frames.tobytes() + b"\0" * (frames.nbytes % 2)
    image.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    return image


def test_run_lengths_give_the_values(frames: np.ndarray) -> None:
    image = compress(frames)
    for index, frame in enumerate(frames):
        np.testing.assert_array_equal(decode_frame(image, index, *frame.shape), frame)


def test_what_the_quick_decoder_refuses_is_judged_by_pydicom(
    frames: np.ndarray,
) -> None:
    """Some writers add a run behind the last pixel of a segment; only pydicom forgives that."""
    image = compress(frames)
    coded = [frame + b"\x01\x07\x07" * 2 for frame in generate_frames(image.PixelData, number_of_frames=2)]
    image.PixelData = encapsulate(coded)
    with pytest.raises(imagecodecs.DicomrleError):
        imagecodecs.dicomrle_decode(coded[0], dtype=frames.dtype)
    with pytest.warns(UserWarning, match="non-conformant padding"):
        np.testing.assert_array_equal(decode_frame(image, 1, *frames[1].shape), frames[1])
