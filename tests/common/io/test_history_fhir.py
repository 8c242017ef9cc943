"""Histories in FHIR bundles; reports in them are never read."""

from __future__ import annotations

from typing import Any

import pytest

from common.errors import InputError
from common.io.history_fhir import MAX_DEPTH, history_from_fhir


def read(content: dict[str, Any]) -> tuple[str, str]:
    found = history_from_fhir(content, "order.json")
    return ("", "") if found is None else (found.text, found.source)


def bundle(*resources: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "entry": [{"resource": one} for one in resources]}


def request(**elements: Any) -> dict[str, Any]:
    return {"resourceType": "ServiceRequest", "status": "active", **elements}


CONDITION = {"resourceType": "Condition", "id": "c1", "code": {"text": "Lump of left breast"}}
FAMILY = {
    "resourceType": "FamilyMemberHistory",
    "id": "f1",
    "relationship": {"coding": [{"display": "mother"}]},
    "condition": [{"code": {"text": "breast cancer"}}, {"code": {"coding": [{"code": "x"}]}}],
}
REPORT = {
    "resourceType": "DiagnosticReport",
    "id": "d1",
    "conclusion": "malignant",
    "code": {"text": "malignant"},
}


def test_reason_codes_by_text_or_display() -> None:
    reasons = [{"text": "lump"}, {"coding": [{"code": "1"}, {"display": "pain"}]}]
    assert read(request(reasonCode=reasons)) == ("lump; pain", "FHIR ServiceRequest.reasonCode")


def test_references_are_looked_up() -> None:
    order = request(reasonReference=[{"reference": "Condition/c1"}], supportingInfo=[{"reference": "urn:f"}])
    content = bundle(order, CONDITION)
    content["entry"].append({"fullUrl": "urn:f", "resource": FAMILY})
    assert read(content) == (
        "Lump of left breast; family history: mother, breast cancer",
        "FHIR ServiceRequest.reasonReference, ServiceRequest.supportingInfo",
    )


def test_contained_resources() -> None:
    order = request(reasonReference=[{"reference": "#c1"}], contained=[CONDITION])
    assert read(order) == ("Lump of left breast", "FHIR ServiceRequest.reasonReference")


def test_reasons_of_r5() -> None:
    order = request(
        reason=[{"concept": {"text": "pain"}}, {"reference": {"reference": "Condition/c1"}}],
    )
    text, source = read(bundle(order, CONDITION))
    assert (text, source) == ("pain; Lump of left breast", "FHIR ServiceRequest.reason")


def test_what_stands_in_the_bundle_unreferred() -> None:
    content = bundle(request(note=[{"text": "please urgently"}]), CONDITION, FAMILY)
    assert read(content) == (
        "please urgently; Lump of left breast; family history: mother, breast cancer",
        "FHIR ServiceRequest.note, Condition, FamilyMemberHistory",
    )


def test_a_questionnaire() -> None:
    answers = {
        "resourceType": "QuestionnaireResponse",
        "item": [
            {"text": "Patient name?", "answer": [{"valueString": "Secret Name"}]},
            {"text": "Date of birth", "answer": [{"valueDate": "1960-01-01"}]},
            {
                "text": "Lump felt?",
                "answer": [{"valueBoolean": True, "item": [nested("Since", "valueString")]}],
            },
            {"linkId": "hrt", "answer": [{"valueBoolean": False}]},
            {"text": "Side", "answer": [{"valueCoding": {"display": "left"}}]},
            {"text": "Weeks", "answer": [{"valueQuantity": {"value": 3, "unit": "wk"}}, {"valueInteger": 4}]},
            {"text": "Unanswered"},
            {"text": "A file", "answer": [{"valueAttachment": {"url": "x"}}]},
        ],
    }
    assert read(bundle(answers)) == (
        "Lump felt: yes; Since: May; hrt: no; Side: left; Weeks: 3 wk, 4",
        "FHIR QuestionnaireResponse",
    )


def nested(question: str, kind: str) -> dict[str, Any]:
    return {"text": question, "answer": [{kind: "May"}]}


def test_questions_nested_without_end() -> None:
    question: dict[str, Any] = nested("last", "valueString")
    for _ in range(MAX_DEPTH + 5):
        question = {"text": "group", "item": [question]}
    assert read(bundle({"resourceType": "QuestionnaireResponse", "item": [question]}, CONDITION))[1] == (
        "FHIR Condition"
    )


def test_reports_are_never_read() -> None:
    observation = {"resourceType": "Observation", "id": "o1", "valueString": "malignant"}
    order = request(
        supportingInfo=[
            {"reference": "DiagnosticReport/d1", "display": "malignant"},
            {"reference": "Observation/o1", "display": "malignant"},
        ]
    )
    assert read(bundle(order, REPORT, observation)) == ("", "")
    assert read(REPORT) == ("", "")


def test_a_reference_to_elsewhere_gives_its_display() -> None:
    assert (
        read(request(reasonReference=[{"reference": "Condition/9", "display": "mastalgia"}]))[0]
        == "mastalgia"
    )


@pytest.mark.parametrize(
    "void",
    [
        {"status": "entered-in-error"},
        {"verificationStatus": {"coding": [{"code": "refuted"}]}},
    ],
)
def test_what_was_withdrawn_says_nothing(void: dict[str, Any]) -> None:
    assert read(bundle(request(), {**CONDITION, **void})) == ("", "")
    assert read({**request(reasonCode=[{"text": "lump"}]), "status": "revoked"}) == ("", "")


def test_two_patients_are_refused() -> None:
    one = request(subject={"reference": "Patient/1"})
    two = {**CONDITION, "subject": {"reference": "Patient/2"}}
    with pytest.raises(
        InputError, match=r"^order\.json: expected one patient, got 2: give the bundle of one"
    ):
        read(bundle(one, two))


@pytest.mark.parametrize("content", [{"resourceType": "Patient"}, {"resourceType": "Bundle"}])
def test_other_resources_are_refused(content: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"^order\.json: expected a FHIR ServiceRequest or .*, got neither"):
        read(content)


@pytest.mark.parametrize("broken", ["x", 3, None, [], {"entry": 3}, [{"resource": 3}]])
def test_malformed_elements_say_nothing(broken: Any) -> None:
    content = bundle(
        CONDITION, request(reasonCode=broken, note=broken, supportingInfo=broken, contained=broken)
    )
    assert read(content)[0] == "Lump of left breast"
