"""The clinical history of a study: given, in a DICOM header, or in a file beside the pictures."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath

from pydicom.dataset import Dataset

from ..errors import InputError
from .ct_types import StoredFile
from .dicom_files import open_file
from .history_dicom import history_from_header, history_from_headers
from .history_fhir import history_from_fhir
from .history_hl7 import history_from_hl7, is_hl7
from .history_text import MAX_CHARACTERS, ClinicalHistory, build_history, given_history

__all__ = [
    "MAX_CHARACTERS",
    "ClinicalHistory",
    "find_history",
    "given_history",
    "history_from_header",
    "is_history_file",
    "read_history",
]

NAMES = ("history", "clinical_history", "clinical-history", "clinicalhistory")
"""Names (without suffix) of a text or JSON file that holds the history. Other texts may be reports."""

MAX_BYTES = 16 * 2**20
"""Larger files are no histories."""


def find_history(
    files: Sequence[StoredFile], headers: Iterable[Dataset] = ()
) -> tuple[ClinicalHistory | None, tuple[str, ...]]:
    """The first that says something: the headers, then `files` as text, JSON, HL7 v2 and FHIR, in this order.

    Args:
        files: those beside the pictures; ones that are not histories by their names are not opened.

    Returns:
        The history or None, and why files that look like one were refused.
    """
    history = history_from_headers(headers)
    refused = []
    for file in sorted(filter(is_history_file, files), key=_rank) if history is None else ():
        try:
            history = _read(file)
        except InputError as error:
            refused.append(str(error))
        if history is not None:
            break
    return history, tuple(refused)


def is_history_file(file: StoredFile) -> bool:
    """By its name: history.txt, history.json (see `NAMES`), NAME.hl7, NAME.fhir.json, fhir.json."""
    return _rank(file) < 4


def _rank(file: StoredFile) -> int:
    """Place in the order of `find_history`; 4 for other files."""
    name = file.name.lower()
    stem, suffix = PurePath(name).stem, PurePath(name).suffix
    kinds = (
        suffix == ".txt" and stem in NAMES,
        suffix == ".json" and stem in NAMES,
        suffix == ".hl7",
        name.endswith((".fhir.json", "fhir.json", "servicerequest.json")),
    )
    return next((rank for rank, fits in enumerate(kinds) if fits), 4)


def read_history(path: str | Path) -> ClinicalHistory | None:
    """A history from a text, JSON, HL7 v2 or FHIR file, told apart by content; None when it says nothing.

    Raises:
        InputError: no such file, not text, too large, a result instead of an order, or JSON without history.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path.name}: expected a file with the history, got no such file: check the path")
    return _read(StoredFile(path.name, str(path.parent), lambda: path.open("rb")))


def _read(file: StoredFile) -> ClinicalHistory | None:
    text = _decode(file)
    if is_hl7(text):
        return history_from_hl7(text, file.name)
    if not text.lstrip().startswith("{"):
        return build_history(text, f"sidecar {file.name}")
    try:
        content = json.loads(text)
    except ValueError as error:
        raise InputError(f"{file.name}: expected JSON, got a damaged one: correct it") from error
    if "resourceType" in content:
        return history_from_fhir(content, file.name)
    if not isinstance(content.get("history"), str):
        raise InputError(f'{file.name}: expected {{"history": "TEXT"}} or FHIR, got other JSON: correct it')
    return build_history(content["history"], f"sidecar {file.name}")


def _decode(file: StoredFile) -> str:
    """UTF-8, UTF-16 with its mark, or Windows' Latin. Raises InputError: not text, or too large."""
    with open_file(file) as stream:
        content = stream.read(MAX_BYTES + 1)
    wide = content[:2] in (b"\xff\xfe", b"\xfe\xff")
    if len(content) > MAX_BYTES or (b"\0" in content and not wide):
        what = "a larger one" if len(content) > MAX_BYTES else "binary data"
        raise InputError(f"{file.name}: expected text of at most {MAX_BYTES >> 20} MB, got {what}: give text")
    for encoding in ("utf-16",) if wide else ("utf-8-sig", "cp1252"):
        try:
            return content.decode(encoding)
        except ValueError:
            continue
    return content.decode("latin-1")
