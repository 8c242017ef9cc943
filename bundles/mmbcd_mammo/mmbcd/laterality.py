"""The part of a clinical history that concerns one breast, by the words of the text alone.

The released code blanks the text of the healthy breast by its label, at test time too. Here both breasts get
the same text, without the clauses that speak of the other breast only: no label is needed, and training and
inference do the same (choice). The languages of `side_words` are understood, one in each text; a text in
another language, or with sides in two of them, stays as it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache

from .side_words import END_OF_PHRASE, LANGUAGES, SideWords

_LETTER = r"[\w\u0900-\u0963\u0971-\u097f]"
"""Vowel signs of Devanagari are no letters to `re`."""
_START, _END = rf"(?<!{_LETTER})", rf"(?!{_LETTER})"
_SIDE_END = rf"(?!{_LETTER}|['\u2019])"
_SMALL = r"(?<=(?-i:[a-z\u00df-\u00ff\u0430-\u0451\u0900-\u097f]))"
_CAPITAL = r"(?-i:[A-Z\u00c0-\u00de\u0401-\u042f])"
_EXAMINED = re.compile(r"\b([lr])\s?/\s?e\b", re.IGNORECASE)


@dataclass(frozen=True)
class _Rules:
    """The row of one language as regular expressions.

    Attributes:
        known: markers and sides, by which the language is told.
        plain: see `SideWords`.
        side: named groups "L", "R", "B" (both), "other" and "same".
        elsewhere: sides of other organs.
        topic: concerns the patient.
        sentence_end, clause_end, joined: where a text is cut.
    """

    known: re.Pattern[str]
    plain: re.Pattern[str]
    side: re.Pattern[str]
    elsewhere: re.Pattern[str]
    topic: re.Pattern[str]
    sentence_end: re.Pattern[str]
    clause_end: re.Pattern[str]
    joined: re.Pattern[str]


@cache
def _rules_of(language: str) -> _Rules:
    words = LANGUAGES[language]
    patterns = {
        "known": rf"{_START}(?:{words.markers}|{words.left}|{words.right}){_END}",
        "plain": rf"{_START}(?:{words.plain}){_END}",
        "side": _side_pattern(words),
        "elsewhere": _elsewhere_pattern(words),
        "topic": rf"{_START}(?:{words.general}){_END}",
        "sentence_end": _sentence_end_pattern(words),
        "clause_end": rf"\s*,\s*|\s+(?=(?:{words.contrasts}){_END})",
        "joined": rf"\s+(?:{words.joints}|&)\s+|\s*\+\s*",
    }
    return _Rules(**{name: re.compile(pattern, re.IGNORECASE) for name, pattern in patterns.items()})


def _side_pattern(words: SideWords) -> str:
    letters = f"(?-i:{words.left_letter}|{words.right_letter})"
    either = rf"{_START}(?:{words.left}|{words.right}|{letters}){_END}"
    parts = [
        rf"(?P<B>{either}\.?\s*(?:{words.pairs}|&|/|\+)\s*{either}|{_START}(?:{words.both}){_END})",
        rf"(?P<other>{_START}(?:{words.other}){_END})",
        rf"(?P<same>{_START}(?:{words.same}){_END})",
    ]
    for side, word, letter in (
        ("L", words.left, words.left_letter),
        ("R", words.right, words.right_letter),
    ):
        one = rf"\s*\(?(?-i:{letter}){_SIDE_END}"
        behind = rf"{_START}(?:{words.breast})(?:{_SMALL}{one}|{one}{END_OF_PHRASE})"
        parts.append(rf"(?P<{side}>{_START}(?:{word}){_SIDE_END}|\((?-i:{letter})\)|{behind})")
    return "|".join(parts)


def _elsewhere_pattern(words: SideWords) -> str:
    letter = rf"\((?-i:{words.left_letter}|{words.right_letter})\)"
    side = rf"(?:{_START}(?:{words.left}|{words.right}){_SIDE_END}|{letter})"
    between = rf"(?:(?!(?:{words.breast}|{words.pairs}){_END}){_LETTER}+\s+)"
    organ = rf"{_START}(?:{words.organs}){_END}"
    first = rf"{side}\.?[-\s]+{between}?{organ}"
    if not words.organ_first:
        return first
    return rf"{first}|{organ}[-\s]+{between}{{0,2}}{side}(?!\.?\s+(?:{words.breast}){_END})"


def _sentence_end_pattern(words: SideWords) -> str:
    ends = "".join(rf"(?<!\b{re.escape(short)})" for short in words.short.split()) + r"[.!?]+(?=\s|$)"
    if words.capital_ends:
        ends += rf"|[.!?]+(?=\s+{_CAPITAL})"
    return rf"\s*(?:[;|\n\u0964]+|{ends}|\s[-\u2013\u2022]\s|\s\(?\d[.)](?=\s))\s*"


def find_language(text: str) -> str:
    """Of `LANGUAGES` the one with the most known words in the text; the first one where nothing is known."""
    return max(LANGUAGES, key=lambda language: _count_known(text, language))


def _count_known(text: str, language: str) -> int:
    """Known words; -1 where the text has letters that the language has not."""
    letters = LANGUAGES[language].letters
    if letters is not None and any(
        letter.isalpha() and not letter.isascii() and letter not in letters for letter in text.lower()
    ):
        return -1
    return sum(1 for _ in _rules_of(language).known.finditer(text))


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
    language = find_language(text)
    rules = _rules_of(language)
    if _is_mixed(text, language):
        return [[Clause(text, "", frozenset(), False)]]
    uses_both = {found.lower() for found in _EXAMINED.findall(text)} == {"l", "r"}
    last: frozenset[str] = frozenset()
    sentences = []
    for sentence, end in _split(text, rules.sentence_end):
        clauses = []
        for piece, joint in _split(sentence, rules.clause_end):
            for part, inner in _split_joined(piece, rules):
                clause = _read_clause(part, inner or joint, last, uses_both, rules)
                last = clause.sides if len(clause.sides) == 1 else last
                clauses.append(clause)
        clauses[-1] = replace(clauses[-1], joint=end)
        sentences.append(clauses)
    return sentences


def _is_mixed(text: str, language: str) -> bool:
    """Sides are named in another language, too: nothing is certain then."""
    own = [found.span() for found in _rules_of(language).side.finditer(text)]
    foreign = (
        found.span()
        for other in LANGUAGES
        if other != language
        for found in _rules_of(other).plain.finditer(text)
    )
    return any(not any(start < b and a < end for a, b in own) for start, end in foreign)


def _split(text: str, pattern: re.Pattern[str]) -> list[tuple[str, str]]:
    """Pieces with what stands behind each of them."""
    pieces, start = [], 0
    for found in pattern.finditer(text):
        if found.start() > start:
            pieces.append((text[start : found.start()], found.group()))
            start = found.end()
    return [*pieces, (text[start:], "")] if start < len(text) or not pieces else pieces


def _split_joined(piece: str, rules: _Rules) -> list[tuple[str, str]]:
    """At "and" or "with", where both halves name a side of their own."""
    sides = [found.span() for found in rules.side.finditer(_mask(piece, rules))]
    pieces, start = [], 0
    for found in rules.joined.finditer(piece):
        before = any(start <= a and b <= found.start() for a, b in sides)
        after = any(a >= found.end() for a, _ in sides)
        if before and after and not any(a < found.start() < b for a, b in sides):
            pieces.append((piece[start : found.start()], found.group()))
            start = found.end()
    return [*pieces, (piece[start:], "")]


def _read_clause(text: str, joint: str, last: frozenset[str], uses_both: bool, rules: _Rules) -> Clause:
    sides: set[str] = set()
    for found in rules.side.finditer(_mask(text, rules)):
        kind = str(found.lastgroup)
        if kind in ("same", "other"):
            sides |= last if kind == "same" else frozenset("LR") - last if last else last
        else:
            sides |= {"L", "R"} if kind == "B" else {kind}
    if not sides and uses_both:
        sides = {found.upper() for found in _EXAMINED.findall(text)}
    is_general = not sides and bool(rules.topic.search(text) or rules.elsewhere.search(text))
    return Clause(text, joint, frozenset(sides), is_general)


def _mask(text: str, rules: _Rules) -> str:
    """Sides of other organs blanked, the length kept."""
    return rules.elsewhere.sub(lambda found: " " * len(found.group()), text)


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
