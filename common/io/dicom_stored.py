"""Stored pixel values of a DICOM file: the whole data set, its decoder, the bits that count."""

from __future__ import annotations

from collections.abc import Iterable

import imagecodecs
import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels import get_decoder
from pydicom.uid import (
    UID,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from ..errors import InputError
from .ct_types import StoredFile
from .dicom_files import open_file
from .dicom_header import damaged


def read_dataset(file: StoredFile) -> Dataset:
    """The data set with its pixels; without a file meta it is taken for implicit VR.

    Raises:
        InputError: cannot be read, or damaged.
    """
    try:
        with open_file(file) as stream:
            dataset = pydicom.dcmread(stream, force=True)
    except InputError:
        raise
    except Exception as error:  # pydicom raises anything on damaged headers
        raise InputError(damaged(file.name)) from error
    if not dataset.file_meta.get("TransferSyntaxUID"):
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    return dataset


def require_pixels(dataset: Dataset, name: str) -> None:
    """Raises InputError: a header alone."""
    if "PixelData" not in dataset:
        raise InputError(f"{name}: expected pixel data, got a header alone: export it with pixels")


def decode_frame(dataset: Dataset, index: int, rows: int, columns: int) -> np.ndarray:
    """Stored values (rows, columns) of a frame, unused high bits removed.

    Raises:
        Exception: whatever the decoder raises on damaged data.
    """
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax in (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSLossless, JPEGLSNearLossless):
        frame = _whole_jpeg(dataset, index)
        if syntax == JPEGExtended12Bit and int(dataset.BitsStored) > 8:  # no plugin of pydicom decodes these
            return imagecodecs.jpeg_decode(frame).reshape(rows, columns)
    if syntax == RLELossless and (pixels := _quick_rle(dataset, index)) is not None:
        return _used_bits(pixels.reshape(rows, columns), dataset)
    pixels, _ = get_decoder(syntax).as_array(dataset, index=index)
    return _used_bits(pixels.reshape(rows, columns), dataset)


def _whole_jpeg(dataset: Dataset, index: int) -> bytes:
    """The bytes of a lossy JPEG or a JPEG-LS, whose end mark is looked for.

    Where it was cut the decoders of the one fill it up with grey, that of the other takes minutes to say so.

    Raises:
        ValueError: cut off.
    """
    frame = get_frame(dataset.PixelData, index, number_of_frames=int(dataset.get("NumberOfFrames") or 1))
    if b"\xff\xd9" not in frame[-16:]:
        raise ValueError("a JPEG without its end")
    return frame


def _quick_rle(dataset: Dataset, index: int) -> np.ndarray | None:
    """Values of a frame in RLE, about eight times as fast as by pydicom; None: pydicom shall judge it."""
    frame = get_frame(dataset.PixelData, index, number_of_frames=int(dataset.get("NumberOfFrames") or 1))
    kind = np.dtype(f"<{'i' if dataset.PixelRepresentation else 'u'}{int(dataset.BitsAllocated) // 8}")
    try:
        values = imagecodecs.dicomrle_decode(frame, dtype=kind)
    except (imagecodecs.DicomrleError, ValueError):  # damaged, or what only pydicom forgives
        return None
    whole = int(dataset.Rows) * int(dataset.Columns) * kind.itemsize
    return np.frombuffer(values, kind) if len(values) == whole else None


def _used_bits(pixels: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Values of BitsStored bits: what stands above (old overlays, or no sign) is not part of them."""
    bits, allocated = int(dataset.BitsStored), int(dataset.BitsAllocated)
    if bits >= allocated:
        return pixels
    values = pixels.astype(np.int32) & ((1 << bits) - 1)
    sign = 1 << (bits - 1)
    return (values ^ sign) - sign if dataset.PixelRepresentation else values


def padding_ends(dataset: Dataset) -> tuple[int, int] | None:
    """Lowest and highest stored value that is padding (PixelPaddingValue, PixelPaddingRangeLimit), if any."""
    value = dataset.get("PixelPaddingValue")
    if value is None:
        return None
    limit = dataset.get("PixelPaddingRangeLimit")
    ends = sorted(_same_sign(int(v), dataset) for v in (value, value if limit is None else limit))
    return ends[0], ends[1]


def _same_sign(value: int, dataset: Dataset) -> int:
    """A padding value written with the other sign than the pixels."""
    whole = 1 << int(dataset.BitsAllocated)
    if dataset.PixelRepresentation and value >= whole // 2:
        return value - whole
    return value + whole if not dataset.PixelRepresentation and value < 0 else value


def _name(uid: str) -> str:
    known = UID(uid).name
    return "an unknown transfer syntax" if known == uid else f"transfer syntax {known}"


def check_decoders(transfer_syntaxes: Iterable[str]) -> None:
    """Raises InputError: compressed in a way that no installed package decodes; names the package."""
    for uid in sorted({*transfer_syntaxes} - {""}):
        try:
            decoder = get_decoder(uid)
        except NotImplementedError as error:
            raise InputError(f"expected a known compression, got {_name(uid)}: convert the files") from error
        if not decoder.is_available:
            needs = " or ".join(part.split(" - requires ")[-1] for part in decoder.missing_dependencies)
            raise InputError(f"expected a decoder for {UID(uid).name}, got none: install {needs}")
