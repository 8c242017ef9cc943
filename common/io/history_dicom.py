"""The clinical history in a DICOM header. Elements that hold what was read are never looked at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from .dicom_header import values_of
from .history_text import ClinicalHistory, build_history

_REQUEST = ("ReasonForTheRequestedProcedure", "ReasonForRequestedProcedureCodeSequence")

PLACES = (
    ("", "AdditionalPatientHistory"),
    *(("", keyword) for keyword in _REQUEST),
    *(("RequestAttributesSequence", keyword) for keyword in _REQUEST),
    *(("", keyword) for keyword in ("ReasonForStudy", "ReasonForVisit")),
    *(("", keyword) for keyword in ("AdmittingDiagnosesDescription", "AdmittingDiagnosesCodeSequence")),
    *(("", keyword) for keyword in ("PatientComments", "RequestedProcedureComments")),
    ("", "ImagingServiceRequestComments"),
)
"""Sequence (empty: top level) and element, the most telling first; the first that says something is used."""


def history_from_header(header: Dataset) -> ClinicalHistory | None:
    """The first of `PLACES` that says something, None if none does."""
    return history_from_headers([header])


def history_from_headers(headers: Iterable[Dataset]) -> ClinicalHistory | None:
    """The same over the headers of one study: a better place in a later header comes first."""
    known = list(headers)
    for sequence, keyword in PLACES:
        for header in known:
            text = "; ".join(_texts(header, sequence, keyword))
            if (history := build_history(text, _source(sequence, keyword))) is not None:
                return history
    return None


def _source(sequence: str, keyword: str) -> str:
    tag = Tag(tag_for_keyword(keyword) or 0)
    inside = f" in {sequence}" if sequence else ""
    return f"DICOM ({tag.group:04X},{tag.element:04X}) {keyword}{inside}"


def _texts(header: Dataset, sequence: str, keyword: str) -> Iterator[str]:
    """Texts of the element, or the meanings of its codes."""
    places = list(header.get(sequence) or []) if sequence else [header]
    for place in places:
        for value in values_of(place.get(keyword)):
            text = str(value.get("CodeMeaning") or "") if isinstance(value, Dataset) else str(value)
            if text.strip():
                yield text.strip()
