"""Places of a history in a DICOM header."""

from __future__ import annotations

from typing import Any

from pydicom.dataset import Dataset

from common.io.history_dicom import history_from_header


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
