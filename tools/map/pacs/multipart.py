"""multipart/related as DICOMweb uses it, in a stream: no instance is ever whole in memory."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence
from email.message import Message
from pathlib import Path
from typing import BinaryIO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser

from .errors import StudyError

CHUNK = 2**18
"""Bytes of a file that are read and sent at a time."""


class PartFiles:
    """Writes every part of a multipart body into a file of its own: 000001.dcm, 000002.dcm, ...

    Attributes:
        paths: files that were begun.
        ended: whether the closing boundary was seen.
    """

    def __init__(self, boundary: str, folder: Path, first: int) -> None:
        self.paths: list[Path] = []
        self.ended = False
        self._folder, self._next = folder, first
        self._file: BinaryIO | None = None
        callbacks = {
            "on_part_begin": self._begin,
            "on_part_data": self._add,
            "on_part_end": self._close,
            "on_end": self._end,
        }
        self._parser = MultipartParser(boundary, callbacks)  # type: ignore[arg-type]

    def write(self, chunks: Iterable[bytes]) -> list[Path]:
        """Take a whole body.

        Returns:
            The files, in the order of the parts.

        Raises:
            StudyError: not a multipart body, or cut short.
        """
        try:
            for chunk in chunks:
                self._parser.write(chunk)
        except FormParserError:
            raise StudyError("expected a multipart body of DICOM files, got another: try again") from None
        finally:
            self._close()
        if not self.ended:
            raise StudyError("expected a whole multipart body, got a part of it: try again")
        return self.paths

    def _begin(self) -> None:
        self.paths.append(self._folder / f"{self._next:06d}.dcm")
        self._next += 1
        self._file = self.paths[-1].open("wb")

    def _add(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._file.write(data[start:end])

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _end(self) -> None:
        self.ended = True


def read_boundary(content_type: str) -> str:
    """`multipart/related; type="application/dicom"; boundary=x` -> "x".

    Raises:
        StudyError: another media type, or no boundary.
    """
    message = Message()
    message["Content-Type"] = content_type
    boundary = message.get_boundary()
    if message.get_content_type() != "multipart/related" or not boundary:
        raise StudyError(
            f"expected multipart/related with a boundary, got {message.get_content_type()}: try again"
        )
    return boundary


class UploadBody:
    """DICOM files as the body of a STOW-RS request; its length is known before it is sent."""

    def __init__(self, files: Sequence[Path]) -> None:
        boundary = secrets.token_hex(16)
        self.content_type = f'multipart/related; type="application/dicom"; boundary={boundary}'
        self._head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        self._tail = f"--{boundary}--\r\n".encode()
        self._files = files

    def __len__(self) -> int:
        sizes = sum(file.stat().st_size for file in self._files)
        return sizes + len(self._files) * (len(self._head) + len(b"\r\n")) + len(self._tail)

    def __iter__(self) -> Iterator[bytes]:
        for path in self._files:
            yield self._head
            with path.open("rb") as file:
                while chunk := file.read(CHUNK):
                    yield chunk
            yield b"\r\n"
        yield self._tail
