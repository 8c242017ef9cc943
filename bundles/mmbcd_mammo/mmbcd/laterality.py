"""The part of a clinical history that concerns one breast, by the words of the text alone.

The released code blanks the text of the healthy breast by its label, at test time too. Here both breasts get
the same text, without the clauses that speak of the other breast only: no label is needed, and training and
inference do the same (choice). English and its usual abbreviations are understood; text in other languages
stays as it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

_OTHER_ORGAN = (
    r"shoulders?|knees?|hips?|arms?|elbows?|wrists?|hands?|thumbs?|fingers?|legs?|foot|feet|ankles?|eyes?|ears?"
    r"|kidneys?|renal|nephrectomy|lungs?|ovar\w+|adnexa\w*|thyroid|lobe|atri\w+|ventric\w+|hemicolectomy|colon"
    r"|inguinal|groin|iliac|neck|face|cheek|thigh|calf|flank|lower limb|upper limb|hand(?:ed)?"
)
_NO_SIDE = {
    "right": r"now|away|after|before|from the|up to",
    "left": r"untreated|alone|over|behind|the (?:country|hospital|job)",
}
_QUADRANT = r"(?:uoq|uiq|loq|liq|ouq|olq|iuq|ilq)"

_PART = rf"[-\s./]*(?:breast|brst|side|sided|axilla|nipple|{_QUADRANT})"

_WORDS = {
    "B": r"bilateral(?:ly)?|bilat|b\s?/\s?l\b|bil\b|both|either (?:breast|side)|[lr]\s?[<>=]\s?[lr]\b",
    "L": rf"left|lt|l(?={_PART})|\(l\)|lcw",
    "R": rf"right|rt|r(?={_PART})|\(r\)|rcw",
}
_GENERAL = (
    r"famil\w*|f/?h(?:/o)?|mother|father|sister|brother|aunt|grandmother|daughter|cousin|maternal|paternal"
    r"|screening|routine|annual|check-?up|baseline|brca\w*|h\.?r\.?t|hormon\w+|ocp|contracepti\w+|menopaus\w*"
    r"|(?:post|peri)-?meno\w*|lmp|menarche|parity|para|p\d+l\d+|lactat\w+|pregnan\w+|diabet\w*|dm|htn"
    r"|hypertens\w*|asthma|smok\w+|asymptomatic|no (?:complaints?|symptoms?|history)|nil|known case|k/?c/?o"
    r"|years? old|age[ds]?|female|lady|woman|elsewhere|metasta\w+|unknown primary|lymphoma|thyroid|ovar\w+"
    r"|endometri\w+|high risk|dense|density"
)
"""Topics that concern the patient and not one breast, wherever they stand in a sentence."""

_EITHER = r"(?:left|lt|l|right|rt|r)"

_SIDE = re.compile(
    rf"(?P<adjacent>\b{_EITHER}\b\.?\s*(?:and|&|or|/|\+|as well as)\s*\b{_EITHER}\b)"
    rf"|(?P<B>\b(?:{_WORDS['B']}))"
    rf"|(?P<other>\b(?:contralateral|opposite (?:breast|side)|other (?:breast|side))\b)"
    rf"|(?P<same>\b(?:ipsilateral|same (?:breast|side))\b)"
    rf"|(?P<L>(?<![\w])(?:{_WORDS['L']})(?![\w'])(?!\s+(?:{_NO_SIDE['left']})\b))"
    rf"|(?P<R>(?<![\w])(?:{_WORDS['R']})(?![\w'])(?!\s+(?:{_NO_SIDE['right']})\b))"
    rf"|(?P<quadrant>\b[lr]{_QUADRANT}\b)",
    re.IGNORECASE,
)
_ELSEWHERE = re.compile(
    rf"\b(?:left|right|lt|rt)\b\.?[-\s]+(?:sided\s+)?(?:\w+\s+)?(?:{_OTHER_ORGAN})\b", re.IGNORECASE
)
_EXAMINED = re.compile(r"\b([lr])\s?/\s?e\b", re.IGNORECASE)
_TOPIC = re.compile(rf"\b(?:{_GENERAL})\b", re.IGNORECASE)

_ABBREVIATED = r"(?<!\blt)(?<!\brt)(?<!\bl)(?<!\br)(?<!\bdr)(?<!\bno)(?<!\bvs)(?<!\bbilat)(?<!\bbil)"
_SENTENCE_END = re.compile(
    rf"\s*(?:[;|\n]+|{_ABBREVIATED}[.!?]+(?=\s|$)|\s[-\u2013\u2022]\s|\s\(?\d[.)](?=\s))\s*", re.IGNORECASE
)
_CLAUSE_END = re.compile(r"\s*,\s*|\s+(?=(?:but|while|whereas)\b)", re.IGNORECASE)
_JOINED = re.compile(r"\s+(?:and|&|with|plus)\s+|\s*\+\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Clause:
    """A piece of the text.

    Attributes:
        text: as it stands there.
        joint: what stands between it and the next one.
        sides: subset of "L", "R"; empty if it names none.
        general: concerns the patient, not a breast.
    """

    text: str
    joint: str
    sides: frozenset[str]
    general: bool


def history_for_breast(text: str, laterality: str) -> str:
    """The text without the clauses that concern the other breast only.

    A clause without a side belongs to the side named before it in its sentence, or else after it, unless it
    speaks of the patient ("family history", "diabetic"). Returns the text itself when nothing is left out,
    and "" when nothing is left.

    Args:
        text: one line.
        laterality: "R" or "L".
    """
    sentences = [_inherit(sentence) for sentence in _split_sentences(text)]
    clauses = [clause for sentence in sentences for clause in sentence]
    pieces: list[tuple[str, str]] = []
    for clause in clauses:
        if not clause.sides or laterality in clause.sides:
            pieces.append((clause.text, clause.joint))
        elif pieces:
            pieces[-1] = pieces[-1][0], clause.joint
    if len(pieces) == len(clauses):
        return text
    return "".join(text + joint for text, joint in pieces).strip(" ,;|+&-\u2013")


def named_sides(text: str) -> frozenset[str]:
    """The breasts that a text names: subset of "L", "R"; empty for a text without sides."""
    return frozenset().union(*(clause.sides for sentence in _split_sentences(text) for clause in sentence))


def _split_sentences(text: str) -> list[list[Clause]]:
    uses_both = {found.lower() for found in _EXAMINED.findall(text)} == {"l", "r"}
    last: frozenset[str] = frozenset()
    sentences = []
    for sentence, end in _split(text, _SENTENCE_END):
        clauses = []
        for piece, joint in _split(sentence, _CLAUSE_END):
            for part, inner in _split_joined(piece):
                clause = _read_clause(part, inner or joint, last, uses_both)
                last = clause.sides if len(clause.sides) == 1 else last
                clauses.append(clause)
        clauses[-1] = replace(clauses[-1], joint=end)
        sentences.append(clauses)
    return sentences


def _split(text: str, pattern: re.Pattern[str]) -> list[tuple[str, str]]:
    """Pieces with what stands behind each of them."""
    pieces, start = [], 0
    for found in pattern.finditer(text):
        if found.start() > start:
            pieces.append((text[start : found.start()], found.group()))
            start = found.end()
    return [*pieces, (text[start:], "")] if start < len(text) or not pieces else pieces


def _split_joined(piece: str) -> list[tuple[str, str]]:
    """At "and" or "with", where both halves name a side of their own."""
    for found in _JOINED.finditer(piece):
        before, after = piece[: found.start()], piece[found.end() :]
        adjacent = any(one.start() < found.start() < one.end() for one in _SIDE.finditer(piece))
        if not adjacent and _SIDE.search(_mask(before)) and _SIDE.search(_mask(after)):
            return [(before, found.group()), *_split_joined(after)]
    return [(piece, "")]


def _read_clause(text: str, joint: str, last: frozenset[str], uses_both: bool) -> Clause:
    sides: set[str] = set()
    for found in _SIDE.finditer(_mask(text)):
        kind = found.lastgroup
        if kind in ("adjacent", "B"):
            sides |= {"L", "R"}
        elif kind == "quadrant":
            sides.add(found.group()[0].upper())
        elif kind in ("same", "other"):
            sides |= last if kind == "same" else frozenset("LR") - last if last else last
        else:
            sides.add(str(kind))
    if not sides and uses_both:
        sides = {found.upper() for found in _EXAMINED.findall(text)}
    return Clause(text, joint, frozenset(sides), not sides and _is_general(text))


def _is_general(text: str) -> bool:
    return bool(_TOPIC.search(text) or _ELSEWHERE.search(text))


def _mask(text: str) -> str:
    """Sides of other organs blanked, the length kept."""
    return _ELSEWHERE.sub(lambda found: " " * len(found.group()), text)


def _inherit(sentence: list[Clause]) -> list[Clause]:
    """Clauses without a side get that of the nearest one before them, else after them."""
    sided = [n for n, clause in enumerate(sentence) if clause.sides]
    if not sided:
        return sentence
    filled = []
    for n, clause in enumerate(sentence):
        before = [k for k in sided if k <= n]
        source = sentence[before[-1] if before else sided[0]]
        filled.append(clause if clause.sides or clause.general else replace(clause, sides=source.sides))
    return filled
