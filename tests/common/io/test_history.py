"""Histories as text, from headers, and from files told apart by content."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from common.errors import InputError
from common.io import history as history_module
from common.io.dicom_files import list_files
from common.io.history import (
    MAX_CHARACTERS,
    find_history,
    given_history,
    history_from_header,
    is_history_file,
    read_history,
)

CONTROL = "Control characters were removed from the history."
READING = "A part headed as reading (findings, impression, conclusion) was left out."


def test_the_text_stays_out_of_repr_and_logs(caplog: pytest.LogCaptureFixture) -> None:
    one = given_history("Lump in the left breast")
    assert one is not None
    logging.getLogger("x").warning("%s %r", one, [one])
    assert "Lump" not in caplog.text
    assert repr(one) == "ClinicalHistory(source='given', length=23)"


@pytest.mark.parametrize("text", ["", "  \n", "-", "N/A", "n.a.", "None", "not available", "???", "\0\x1b"])
def test_a_text_that_says_nothing_is_no_history(text: str) -> None:
    assert given_history(text) is None


@pytest.mark.parametrize(
    ("text", "clean", "notes"),
    [
        ("Lump\r\n left\tbreast ", "Lump left breast", ()),
        ("Lump\0left\x1b[31m", "Lump left [31m", (CONTROL,)),
        ("lu\u200bmp\u202e left", "lump left", (CONTROL,)),
        ("Mu\u0308tter: Brustkrebs", "Mütter: Brustkrebs", ()),
        ("\u092c\u093e\u090f\u0902 \u0938\u094d\u0924\u0928", None, ()),
        ("Lump left. IMPRESSION: BI-RADS 5", "Lump left.", (READING,)),
        ("Findings: mass. Indication: lump left", "Indication: lump left", (READING,)),
        ("Follow-up of BI-RADS 3, findings in 2020", "Follow-up of BI-RADS 3, findings in 2020", ()),
    ],
)
def test_clean_text(text: str, clean: str | None, notes: tuple[str, ...]) -> None:
    one = given_history(text)
    assert one is not None
    assert one.text == (text if clean is None else clean)
    assert one.notes == notes


def test_a_text_of_reading_alone_is_no_history() -> None:
    assert given_history("CONCLUSION: malignant. BI-RADS: 5") is None


def test_a_hundred_thousand_characters_are_cut() -> None:
    one = given_history("word " * 20_000)
    assert one is not None
    assert one.length == MAX_CHARACTERS - 1
    assert one.notes == (f"Of 99999 characters the first {MAX_CHARACTERS} were kept.",)
    assert given_history("x" * 100_000).length == MAX_CHARACTERS  # type: ignore[union-attr]


def item(**elements: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


def test_places_in_a_header_in_their_order() -> None:
    """Each place is filled from the last to the first; the one filled last must win every time."""
    places: list[tuple[str, Any, str]] = [
        ("ImagingServiceRequestComments", "a", "(0040,2400) ImagingServiceRequestComments"),
        ("RequestedProcedureComments", "b", "(0040,1400) RequestedProcedureComments"),
        ("PatientComments", "c", "(0010,4000) PatientComments"),
        (
            "AdmittingDiagnosesCodeSequence",
            [item(CodeMeaning="d")],
            "(0008,1084) AdmittingDiagnosesCodeSequence",
        ),
        ("AdmittingDiagnosesDescription", ["e", "e2"], "(0008,1080) AdmittingDiagnosesDescription"),
        ("ReasonForVisit", "f", "(0032,1066) ReasonForVisit"),
        ("ReasonForStudy", "g", "(0032,1030) ReasonForStudy"),
        (
            "RequestAttributesSequence",
            [item(ReasonForRequestedProcedureCodeSequence=[item(CodeMeaning="h")])],
            "(0040,100A) ReasonForRequestedProcedureCodeSequence in RequestAttributesSequence",
        ),
        (
            "RequestAttributesSequence",
            [item(), item(ReasonForTheRequestedProcedure="i")],
            "(0040,1002) ReasonForTheRequestedProcedure in RequestAttributesSequence",
        ),
        (
            "ReasonForRequestedProcedureCodeSequence",
            [item(CodeMeaning="j"), item(CodeMeaning="j2")],
            "(0040,100A) ReasonForRequestedProcedureCodeSequence",
        ),
        ("ReasonForTheRequestedProcedure", "k", "(0040,1002) ReasonForTheRequestedProcedure"),
        ("AdditionalPatientHistory", "l", "(0010,21B0) AdditionalPatientHistory"),
    ]
    header = Dataset()
    for number, (keyword, value, source) in enumerate(places):
        setattr(header, keyword, value)
        found = history_from_header(header)
        assert found is not None
        letter = "abcdefghijkl"[number]
        assert found.source == f"DICOM {source}"
        assert found.text == {"e": "e; e2", "j": "j; j2"}.get(letter, letter)


def test_what_was_read_is_never_looked_at() -> None:
    header = item(
        AdditionalPatientHistory="n/a",
        InterpretationText="malignant",
        Impressions="malignant",
        ResultsComments="malignant",
        InterpretationDiagnosisDescription="malignant",
        ImageComments="malignant",
        StudyDescription="malignant",
        RequestedProcedureDescription="bilateral mammography",
    )
    assert history_from_header(header) is None


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
