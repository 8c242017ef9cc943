"""The files of a DICOM folder, nested or zipped. A zip is read where it lies; nothing is unpacked to disk."""

from __future__ import annotations

import io
import os
import stat
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from ..errors import InputError
from .ct_types import StoredFile

MAX_FILES = 100_000
"""Files looked at below one path: some hundred CT studies, 200 MB of headers. More is an archive."""

MAX_ZIP_BYTES = 16 * 2**30
MAX_MEMBER_BYTES = 4 * 2**30
"""Unpacked sizes beyond which a zip is taken for a bomb: 16 GB in all, 4 GB for one member."""

SUFFIXES = (".dcm", ".dicom", ".ima")

_FIRST_GROUP = (b"\x08\x00", b"\x02\x00")


def list_files(path: Path) -> list[StoredFile]:
    """Every visible file of a folder (recursive), of a zip, or the file itself, by name.

    Raises:
        InputError: not readable, too many, or a zip that is damaged, encrypted or too large.
    """
    if path.is_dir():
        return [_plain_file(file) for file in _walk(path)]
    zipped = path.suffix.lower() == ".zip" or zipfile.is_zipfile(path)
    return _zip_members(path) if zipped else [_plain_file(path)]


def is_dicom(file: StoredFile) -> bool:
    """By the mark after the preamble, or, in old files without one, by the first element.

    Raises:
        InputError: the file cannot be read, or its name says DICOM and its content does not: left out, a
            damaged slice at an end of the stack would not be missed.
    """
    with open_file(file) as stream:
        head = stream.read(132)
    old = head[:2] in _FIRST_GROUP and head[2:4] < b"\x20\x00" and len(head) == 132
    if head[128:] == b"DICM" or old:
        return True
    if file.name.lower().endswith(SUFFIXES):
        raise InputError(
            f"{file.name}: expected DICOM by its name, got other data: copy it again or remove it"
        )
    return False


def open_file(file: StoredFile) -> BinaryIO:
    """A binary stream.

    Raises:
        InputError: cannot be opened or unpacked.
    """
    try:
        return file.open()
    except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError) as error:
        raise InputError(
            f"{file.name}: expected a readable file, got a damaged one: copy it again"
        ) from error


def _walk(folder: Path) -> list[Path]:
    """Links to folders are not followed: they could lead round in a circle."""
    found: list[Path] = []
    for root, folders, names in os.walk(folder, onerror=partial(_unreadable, folder)):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(root) / name for name in names if not name.startswith(".")]
        if len(found) > MAX_FILES:
            raise InputError(_too_many(folder.name))
    return sorted(file for file in found if file.is_file())


def _unreadable(folder: Path, error: OSError) -> None:
    reason = (error.strerror or type(error).__name__).lower()
    raise InputError(
        f"{folder.name}: expected readable folders, got '{reason}': check permissions"
    ) from error


def _plain_file(path: Path) -> StoredFile:
    return StoredFile(path.name, str(path.parent), partial(_open_plain, path))


def _open_plain(path: Path) -> BinaryIO:
    return path.open("rb")


def _zip_members(path: Path) -> list[StoredFile]:
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{path.name}: expected an intact zip, got a damaged one: copy it again") from error
    members = [info for info in archive.infolist() if _is_visible_file(info)]
    sizes = [info.file_size for info in members]
    if len(members) > MAX_FILES:
        raise InputError(_too_many(path.name))
    if sum(sizes) > MAX_ZIP_BYTES or max(sizes, default=0) > MAX_MEMBER_BYTES:
        raise InputError(
            f"{path.name}: expected a zip of one study, got {sum(sizes) / 2**30:.3g} GB: unpack it"
        )
    if any(info.flag_bits & 1 for info in members):
        raise InputError(f"{path.name}: expected a zip without password, got an encrypted one: unpack it")
    return list(_stored_members(archive, sorted(members, key=lambda info: info.filename)))


def _is_visible_file(info: zipfile.ZipInfo) -> bool:
    parts = PurePosixPath(info.filename).parts
    mode = info.external_attr >> 16
    hidden = any(part.startswith((".", "__MACOSX")) for part in parts if part != "..")
    return not info.is_dir() and not hidden and not stat.S_ISLNK(mode)


def _stored_members(archive: zipfile.ZipFile, members: list[zipfile.ZipInfo]) -> Iterator[StoredFile]:
    for info in members:
        name = PurePosixPath(info.filename)
        yield StoredFile(name.name, str(name.parent), partial(_open_member, archive, info))


def _open_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> BinaryIO:
    """In memory, because headers are read back and forth. Longer than declared raises BadZipFile."""
    return cast(BinaryIO, io.BytesIO(archive.read(info)))


def _too_many(name: str) -> str:
    return f"{name}: expected at most {MAX_FILES} files, got more: give a smaller folder"
