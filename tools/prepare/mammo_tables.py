"""Tables of data sets: CSV, and XLSX without a spreadsheet package."""

from __future__ import annotations

import csv
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from common.errors import InputError

Row = dict[str, str]
_SPACE = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def find_table(source: Path, *patterns: str) -> Path:
    """The first file below a folder that fits a pattern. Raises InputError: none does."""
    for pattern in patterns:
        found = sorted(source.rglob(pattern))
        if found:
            return found[0]
    raise InputError(f"{source.name}: expected {' or '.join(patterns)}, got none: complete the download")


def read_rows(path: Path, columns: Sequence[str], delimiter: str = ",") -> list[Row]:
    """The rows of a table as texts by column; names of columns without spaces at their ends.

    Args:
        path: CSV, or XLSX (its first sheet).
        columns: that it must have.
        delimiter: of a CSV.

    Raises:
        InputError: unreadable, or without one of the columns.
    """
    unreadable = (OSError, KeyError, ValueError, zipfile.BadZipFile, ElementTree.ParseError)
    try:
        rows = _read_xlsx(path) if path.suffix.lower() == ".xlsx" else _read_csv(path, delimiter)
    except unreadable as error:
        raise InputError(
            f"{path.name}: expected a table, got an unreadable file: download it again"
        ) from error
    for column in columns:
        if not rows or column not in rows[0]:
            raise InputError(f"{path.name}: expected the column '{column}', got none: is it the right table?")
    return rows


def _read_csv(path: Path, delimiter: str) -> list[Row]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file, delimiter=delimiter)
        return [{str(key).strip(): str(value or "").strip() for key, value in row.items()} for row in rows]


def _read_xlsx(path: Path) -> list[Row]:
    """Cells of the first sheet; shared texts stand in a file of their own."""
    with zipfile.ZipFile(path) as archive:
        texts: list[str] = []
        if "xl/sharedStrings.xml" in archive.namelist():
            shared = ElementTree.fromstring(archive.read("xl/sharedStrings.xml"))
            texts = ["".join(part.text or "" for part in item.iter(f"{_SPACE}t")) for item in shared]
        sheet = ElementTree.fromstring(archive.read("xl/worksheets/sheet1.xml"))
    table = [
        {_column(cell.attrib["r"]): _text(cell, texts) for cell in row.iter(f"{_SPACE}c")}
        for row in sheet.iter(f"{_SPACE}row")
    ]
    head = table[0] if table else {}
    return [{name.strip(): row.get(place, "").strip() for place, name in head.items()} for row in table[1:]]


def _column(place: str) -> str:
    return re.sub(r"\d", "", place)


def _text(cell: ElementTree.Element, texts: Sequence[str]) -> str:
    if cell.attrib.get("t") == "inlineStr":
        return "".join(part.text or "" for part in cell.iter(f"{_SPACE}t"))
    value = cell.find(f"{_SPACE}v")
    text = "" if value is None else value.text or ""
    return texts[int(text)] if cell.attrib.get("t") == "s" else text
