"""Histories in HL7 v2 orders."""

from __future__ import annotations

import pytest

from common.errors import InputError
from common.io.history_hl7 import history_from_hl7, is_hl7

HEAD = "MSH|^~\\&|HIS|H|RIS|R|20240102101112||ORM^O01|1|P|2.5\rPID|1||4711^^^H||Secret^Name\r"


def obr(clinical: str = "", reason: str = "", end: str = "\r") -> str:
    """OBR with fields 13 and 31."""
    return "|".join(["OBR", "1", *[""] * 11, clinical, *[""] * 17, reason]) + end


def read(body: str, head: str = HEAD) -> tuple[str, str]:
    found = history_from_hl7(head + body, "order.hl7")
    return ("", "") if found is None else (found.text, found.source)


def test_relevant_clinical_information() -> None:
    assert read(obr("Lump in left breast")) == ("Lump in left breast", "HL7 OBR-13")


def test_all_places_are_joined_in_their_order() -> None:
    body = (
        obr("Lump left", "N63^Unspecified lump in breast^I10~R92.8^Abnormal^I10")
        + "NTE|1||Family history: mother\r"
        + "DG1|1|I10|Z80.3^Family history of breast cancer^I10||\r"
        + "OBX|1|ST|LMP^Last period||12 days ago\r"
    )
    assert read(body) == (
        "Lump left; Unspecified lump in breast; Abnormal; Last period: 12 days ago; Family history: mother; "
        "Family history of breast cancer",
        "HL7 OBR-13, OBR-31, OBX-5, NTE-3, DG1-3",
    )


@pytest.mark.parametrize("kind", ["OMI^O23^OMI_O23", "ORM", "OMG^O19", "ADT^A01"])
def test_kinds_of_order(kind: str) -> None:
    assert read(obr("pain"), HEAD.replace("ORM^O01", kind))[0] == "pain"


@pytest.mark.parametrize(
    "observation",
    ["&IMP", "1^Impression", "GDT", "18782-3^Study observation^LN", "BIRADS^BI-RADS", "59776-5"],
)
def test_what_was_read_before_is_left_out(observation: str) -> None:
    assert read(f"OBX|1|TX|{observation}||malignant\r" + obr("pain")) == ("pain", "HL7 OBR-13")


def test_other_marks_escapes_and_line_ends() -> None:
    head = "\x0bMSH#^~\\&#HIS#H#RIS#R#2024##ORM^O01#1#P#2.5\r\n"
    body = obr("Lump 2 \\S\\ 3 cm\\.br\\left \\T\\ right \\H\\\\X41\\ a\\F\\b", end="\r\n").replace("|", "#")
    assert read(body + "\x1c\r", head)[0] == "Lump 2 ^ 3 cm left & right A a|b"


def test_the_same_words_come_once() -> None:
    assert read(obr("pain", "pain") + obr("pain")) == ("pain", "HL7 OBR-13, OBR-31")


def test_an_order_that_says_nothing() -> None:
    assert read(obr()) == ("", "")


def test_coded_text_without_a_second_component() -> None:
    assert read(obr("", "lump~pain"))[0] == "lump; pain"


@pytest.mark.parametrize(("kind", "got"), [("ORU^R01", "ORU"), ("MDM^T02", "MDM"), ("", "no type")])
def test_results_are_refused(kind: str, got: str) -> None:
    with pytest.raises(
        InputError, match=rf"^order\.hl7: expected an HL7 order \(.*\), got {got}: give the or"
    ):
        read("OBX|1|TX|||cancer\r", HEAD.replace("ORM^O01", kind))


def test_two_patients_are_refused() -> None:
    with pytest.raises(InputError, match=r"^order\.hl7: expected one patient, got 2: give the order of one"):
        read("PID|1||4712^^^H\r" + obr("pain"))


def test_hl7_is_known_by_its_header() -> None:
    assert is_hl7(HEAD)
    assert is_hl7("\x0bMSH|")
    assert not is_hl7("MSHA")
    assert not is_hl7("Lump left")
