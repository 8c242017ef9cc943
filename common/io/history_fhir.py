"""The clinical history in FHIR (R4, R5): a ServiceRequest, alone or in a bundle with what it refers to.

Reports are never read: neither DiagnosticReport nor Observation, ImagingStudy or DocumentReference.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from ..errors import InputError
from .history_text import ClinicalHistory, build_history

Resource = dict[str, Any]

_VOID = ("entered-in-error", "revoked", "refuted", "not-done", "cancelled")
"""States in which a resource says nothing about the patient."""

_PERSONAL = re.compile(
    r"\bname\b|birth|address|phone|e-?mail|insurance|\b(?:patient|record) ?(?:id|number)", re.I
)
"""Questions whose answers name the patient."""

MAX_DEPTH = 10
"""Nested questions of a questionnaire beyond this are not looked at."""


def history_from_fhir(content: Resource, name: str) -> ClinicalHistory | None:
    """Reasons, notes and supporting information of the requests, then what else stands in the bundle, joined.

    Args:
        content: a resource with `resourceType`.
        name: of the file, for messages.

    Raises:
        InputError: several patients, or neither a bundle nor a resource that is read.
    """
    resources = _resources(content)
    if not any(
        one.get("resourceType") in (*_READERS, "ServiceRequest", "DiagnosticReport") for one in resources
    ):
        raise InputError(
            f"{name}: expected a FHIR ServiceRequest or a bundle with one, got neither: give the order"
        )
    patients = {_patient(one) for one in resources} - {""}
    if len(patients) > 1:
        raise InputError(f"{name}: expected one patient, got {len(patients)}: give the bundle of one")
    found: dict[str, list[str]] = {}
    for source, text in _texts([one for one in resources if not _is_void(one)]):
        if text and all(text not in others for others in found.values()):
            found.setdefault(source, []).append(text)
    joined = "; ".join(text for texts in found.values() for text in texts)
    return build_history(joined, f"FHIR {', '.join(found)}")


def _resources(content: Resource) -> list[Resource]:
    """The resources of a bundle and those contained in them, each with the addresses it is known by."""
    entries = content.get("entry") if content.get("resourceType") == "Bundle" else [{"resource": content}]
    found = []
    for entry in _items(entries):
        resource = entry.get("resource")
        if not isinstance(resource, dict):
            continue
        found.append({**resource, "_addresses": (entry.get("fullUrl"), _local(resource))})
        for inner in _items(resource.get("contained")):
            found.append({**inner, "_addresses": (f"#{inner.get('id')}",)})
    return found


def _texts(resources: list[Resource]) -> Iterator[tuple[str, str]]:
    """Pairs of place and text, the requests' own first."""
    requests = [one for one in resources if one.get("resourceType") == "ServiceRequest"]
    for keys in (("reasonCode",), ("reasonReference", "reason"), ("note",), ("supportingInfo",)):
        for request in requests:
            for key in keys:
                for item in _items(request.get(key)):
                    yield f"ServiceRequest.{key}", _said(item, resources)
    for kind, read in _READERS.items():
        for one in resources:
            if one.get("resourceType") == kind:
                yield kind, read(one)


def _said(item: Resource, resources: list[Resource]) -> str:
    """A note, a concept, or the resource that is referred to; of a report not even its name."""
    if "concept" in item:  # R5: a concept or a reference
        return _concept(item["concept"])
    item = item["reference"] if isinstance(item.get("reference"), dict) else item
    address = item.get("reference")
    if address is None:
        return _concept(item)
    for one in resources:
        if address in one["_addresses"]:
            read = _READERS.get(str(one.get("resourceType")))
            return read(one) if read else ""
    return str(item.get("display") or "") if str(address).split("/")[0] in _READERS else ""


def _condition(resource: Resource) -> str:
    notes = [str(note.get("text") or "") for note in _items(resource.get("note"))]
    return ", ".join(filter(None, (_concept(resource.get("code")), *notes)))


def _family(resource: Resource) -> str:
    conditions = [_concept(item.get("code")) for item in _items(resource.get("condition"))]
    known = ", ".join(filter(None, conditions))
    relative = _concept(resource.get("relationship"))
    return f"family history: {', '.join(filter(None, (relative, known)))}" if known else ""


def _questionnaire(resource: Resource) -> str:
    return "; ".join(_answers(_items(resource.get("item")), 0))


def _answers(items: list[Resource], depth: int) -> Iterator[str]:
    for item in items if depth < MAX_DEPTH else []:
        question = str(item.get("text") or item.get("linkId") or "")
        answers = _items(item.get("answer"))
        said = ", ".join(filter(None, map(_answer, answers)))
        if said and not _PERSONAL.search(question):
            yield f"{question.rstrip('?: ')}: {said}"
        for nested in (item, *answers):
            yield from _answers(_items(nested.get("item")), depth + 1)


def _answer(answer: Resource) -> str:
    for key, value in answer.items():
        if key == "valueBoolean":
            return "yes" if value else "no"
        if key in ("valueCoding", "valueQuantity") and isinstance(value, dict):
            return " ".join(str(value.get(part)) for part in ("display", "value", "unit") if value.get(part))
        if key.startswith("value") and isinstance(value, (str, int, float)):
            return str(value)
    return ""


_READERS: dict[str, Callable[[Resource], str]] = {
    "Condition": _condition,
    "FamilyMemberHistory": _family,
    "QuestionnaireResponse": _questionnaire,
}


def _concept(value: Any) -> str:
    """The text of a CodeableConcept or annotation, else its codings' displays."""
    if not isinstance(value, dict):
        return ""
    shown = [str(coding.get("display") or "") for coding in _items(value.get("coding"))]
    return str(value.get("text") or next(filter(None, shown), ""))


def _is_void(resource: Resource) -> bool:
    states = [str(resource.get("status") or "")]
    verification = resource.get("verificationStatus")
    codings = _items(verification.get("coding")) if isinstance(verification, dict) else []
    return any(state in _VOID for state in (*states, *(str(coding.get("code")) for coding in codings)))


def _patient(resource: Resource) -> str:
    """Address of the patient that a resource is about."""
    subject = resource.get("subject") or resource.get("patient")
    return str(subject.get("reference") or "") if isinstance(subject, dict) else ""


def _local(resource: Resource) -> str:
    return f"{resource.get('resourceType')}/{resource.get('id')}"


def _items(value: Any) -> list[Resource]:
    """The objects of a JSON array (or a single one)."""
    values = value if isinstance(value, list) else [value]
    return [one for one in values if isinstance(one, dict)]
