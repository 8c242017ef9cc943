"""Histories from headers and files, the latter told apart by content."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from common.errors import InputError
from common.io import history as history_module
from common.io.dicom_files import list_files
from common.io.history import (
    find_history,
    is_history_file,
    read_history,
)


def item(**elements: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


def write(folder: Path, name: str, content: str | bytes | dict[str, Any]) -> Path:
    folder.mkdir(exist_ok=True)
    data = json.dumps(content) if isinstance(content, dict) else content
    (folder / name).write_bytes(data if isinstance(data, bytes) else data.encode())
    return folder / name


@pytest.mark.parametrize(
    "content",
    [
        "Knoten rechts, M\u00fcdigkeit".encode(),
        "\ufeffKnoten rechts, M\u00fcdigkeit".encode(),
        "Knoten rechts, M\u00fcdigkeit".encode("utf-16"),
        "Knoten rechts, M\u00fcdigkeit".encode("cp1252"),
        {"history": "Knoten rechts, M\u00fcdigkeit"},
    ],
    ids=["utf-8", "with mark", "utf-16", "windows", "json"],
)
def test_texts_in_their_encodings(tmp_path: Path, content: bytes | dict[str, Any]) -> None:
    one = read_history(write(tmp_path, "history.any", content))
    assert one is not None
    assert (one.text, one.source) == ("Knoten rechts, M\u00fcdigkeit", "sidecar history.any")


def test_an_empty_file_is_no_history(tmp_path: Path) -> None:
    assert read_history(write(tmp_path, "history.txt", "\n")) is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x89PNG\0\0", r"expected text of at most 16 MB, got binary data: give text"),
        ("{history", r"expected JSON, got a damaged one: correct it"),
        ({"text": "lump"}, r'expected \{"history": "TEXT"\} or FHIR, got other JSON: correct it'),
        ({"history": 3}, r'expected \{"history": "TEXT"\} or FHIR, got other JSON'),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(InputError, match=rf"^h\.txt: {message}"):
        read_history(write(tmp_path, "h.txt", content))


def test_missing_and_huge_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"^h\.txt: expected a file with the history, got no such file"):
        read_history(tmp_path / "h.txt")
    monkeypatch.setattr(history_module, "MAX_BYTES", 10)
    with pytest.raises(InputError, match=r"^h\.txt: expected text of at most .* MB, got a larger one"):
        read_history(write(tmp_path, "h.txt", "x" * 11))


def test_files_beside_the_pictures_in_their_order(tmp_path: Path) -> None:
    """Written from the last to the first; the one written last must win. Other texts are not opened."""
    write(tmp_path, "report.txt", "malignant")
    write(tmp_path, "table.json", {"history": "of another"})
    assert find_history(list_files(tmp_path)) == (None, ())
    order = {"resourceType": "ServiceRequest", "reasonCode": [{"text": "d"}]}
    for name, content, text in (
        ("order.fhir.json", order, "d"),
        ("order.hl7", "MSH|^~\\&|||||||ORM^O01\rOBR|1" + "|" * 12 + "c\r", "c"),
        ("Clinical_History.json", {"history": "b"}, "b"),
        ("history.txt", "a", "a"),
    ):
        write(tmp_path, name, content)
        found, refused = find_history(list_files(tmp_path))
        assert found is not None
        assert (found.text, refused) == (text, ())
    found, _ = find_history(list_files(tmp_path), [item(PatientComments="header")])
    assert found is not None
    assert found.text == "header"


def test_a_refused_file_is_named_and_the_next_one_is_used(tmp_path: Path) -> None:
    write(tmp_path, "history.json", "{")
    write(tmp_path, "order.hl7", "MSH|^~\\&|||||||ORM^O01\rOBR|1" + "|" * 12 + "lump\r")
    found, refused = find_history(list_files(tmp_path))
    assert found is not None
    assert found.source == "HL7 OBR-13"
    assert refused == ("history.json: expected JSON, got a damaged one: correct it",)


def test_names_of_history_files(tmp_path: Path) -> None:
    for name in ("history.txt", "a.hl7", "fhir.json", "clinical-history.json", "x.txt", "x.json", "LCC.json"):
        write(tmp_path, name, "x")
    found = [file.name for file in list_files(tmp_path) if is_history_file(file)]
    assert found == ["a.hl7", "clinical-history.json", "fhir.json", "history.txt"]
