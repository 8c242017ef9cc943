"""Transfer syntaxes that the phantoms are written in."""

from __future__ import annotations

from pathlib import Path

import gdcm
from pydicom.dataset import Dataset
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from common.errors import ConfigError, OutputError
from common.io.files import atomic_path

SYNTAXES = ("none", "jpeg2000", "jpegls", "rle", "jpeg")
"""Uncompressed, lossless JPEG 2000, lossless JPEG-LS, RLE, lossless JPEG with first-order prediction."""

_ENCODED = {"jpeg2000": JPEG2000Lossless, "jpegls": JPEGLSLossless, "rle": RLELossless}


def check_syntax(syntax: str) -> None:
    """Raises ConfigError: not one of SYNTAXES."""
    if syntax not in SYNTAXES:
        raise ConfigError(f"compress: expected one of {', '.join(SYNTAXES)}, got '{syntax}': choose")


def save(dataset: Dataset, syntax: str, path: Path) -> None:
    """Write an uncompressed data set in a transfer syntax.

    Raises:
        OutputError: cannot be written or compressed.
    """
    if syntax in _ENCODED:
        dataset.compress(_ENCODED[syntax], generate_instance_uid=False)
    with atomic_path(path) as temporary:
        dataset.save_as(temporary, enforce_file_format=True)
    if syntax == "jpeg":
        with atomic_path(path) as temporary:
            to_jpeg_lossless(path, temporary)


def to_jpeg_lossless(source: Path, target: Path) -> None:
    """GDCM has the encoder. Raises OutputError."""
    reader = gdcm.ImageReader()
    reader.SetFileName(str(source))
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(target))
    done = reader.Read()
    if done:
        change.SetInput(reader.GetImage())
        done = change.Change()
    if done:
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        done = writer.Write()
    if not done:
        raise OutputError(f"{source.name}: expected JPEG lossless, got a failure of GDCM: choose jpegls")
