"""The clinical history in an HL7 v2 order (ORM, OMI). Results (ORU, MDM) are refused: they hold readings."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..errors import InputError
from .history_text import ClinicalHistory, build_history

ORDERS = ("ORM", "OMI", "OMG", "ADT")
"""Kinds of message that are read."""

_READING = re.compile(
    r"IMPRESSION|CONCLUSION|FINDING|REPORT|BI-?RADS|\b(?:GDT|IMP|REC|ADT|ADDENDUM)\b"
    r"|\b(?:18782-3|19005-8|59776-5|18748-4|24606-6|18783-1)\b",
    re.IGNORECASE,
)
"""Names and codes (LOINC, observation suffixes) of an OBX that holds what was read."""

Segment = list[str]


def is_hl7(text: str) -> bool:
    """It begins with a message header."""
    return re.match(r"[\s\x0b]*MSH[^\w\s]", text) is not None


def history_from_hl7(text: str, name: str) -> ClinicalHistory | None:
    """OBR-13, OBR-31, OBX-5 and NTE-3, DG1-3 and DG1-4 of one message, in this order, joined.

    Args:
        name: of the file, for messages.

    Raises:
        InputError: not an order, or several patients.
    """
    segments, marks = _split(text)
    kind = _component(_field(segments[0], 9), marks, 0).upper()
    if kind not in ORDERS:
        known, got = ", ".join(ORDERS), kind or "no type"
        raise InputError(f"{name}: expected an HL7 order ({known}), got {got}: give the order")
    patients = {_field(one, 3) for one in segments if one[0] == "PID"}
    if len(patients) > 1:
        raise InputError(f"{name}: expected one patient, got {len(patients)}: give the order of one")
    found = {source: text for source, text in _texts(segments, marks) if text}
    joined = "; ".join(dict.fromkeys(found.values()))
    return build_history(joined, f"HL7 {', '.join(found)}")


def _split(text: str) -> tuple[list[Segment], str]:
    """Segments as lists in which index n is field n, and the marks of MSH-2."""
    lines = [line.strip("\x0b\x1c \t") for line in re.split(r"[\r\n]+", text)]
    lines = [line for line in lines if line]
    bar = lines[0][3]
    segments = [line.split(bar) for line in lines]
    segments[0].insert(1, bar)
    return segments, _field(segments[0], 2) or "^~\\&"


def _field(segment: Segment, number: int) -> str:
    return segment[number] if number < len(segment) else ""


def _component(field: str, marks: str, number: int) -> str:
    parts = field.split(marks[0])
    return parts[number] if number < len(parts) else ""


def _texts(segments: list[Segment], marks: str) -> Iterator[tuple[str, str]]:
    """Pairs of place and text, in the order of `history_from_hl7`."""
    for kind, number in (("OBR", 13), ("OBR", 31), ("OBX", 5), ("NTE", 3), ("DG1", 3), ("DG1", 4)):
        wanted = [one for one in segments if one[0] == kind and not (kind == "OBX" and _is_reading(one))]
        texts = [
            _observation(one, marks) if kind == "OBX" else _words(_field(one, number), marks)
            for one in wanted
        ]
        yield f"{kind}-{number}", "; ".join(dict.fromkeys(filter(None, texts)))


def _is_reading(segment: Segment) -> bool:
    return _READING.search(_field(segment, 3)) is not None


def _observation(segment: Segment, marks: str) -> str:
    """ "name: value" of an OBX with text."""
    if _field(segment, 2) not in ("", "TX", "ST", "FT", "CWE", "CE", "NM", "IS"):
        return ""
    name, value = (_words(_field(segment, number), marks) for number in (3, 5))
    return f"{name}: {value}" if name and value else value


def _words(field: str, marks: str) -> str:
    """The text of each repetition: of a coded field the second component, or else the first."""
    repetitions = field.split(marks[1]) if len(marks) > 1 else [field]
    texts = [_component(one, marks, 1) or _component(one, marks, 0) for one in repetitions]
    return "; ".join(filter(None, (_unescape(text, marks).strip() for text in texts)))


def _unescape(text: str, marks: str) -> str:
    r"""HL7's escapes: \F\ \S\ \T\ \R\ \E\ for the marks, \.br\ for a line, \Xhh\ for bytes; others vanish."""
    escape = marks[2] if len(marks) > 2 else "\\"
    names = {"F": "|", "S": marks[0], "R": marks[1:2], "E": escape, "T": marks[3:4]}

    def put(found: re.Match[str]) -> str:
        code = found[1]
        if code.startswith("X"):
            return (
                bytes.fromhex(code[1:]).decode("latin-1")
                if re.fullmatch(r"X(?:[\dA-Fa-f]{2})+", code)
                else " "
            )
        return names.get(code, " ")

    mark = re.escape(escape)
    return re.sub(rf"{mark}([^{mark}\s]{{1,40}}){mark}", put, text)
