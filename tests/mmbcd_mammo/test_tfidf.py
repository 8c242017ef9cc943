"""tf-idf of clinical histories against numbers worked by hand."""

from __future__ import annotations

import math

import pytest

from mmbcd.tfidf import find_relevant, find_terms, find_words, score_terms


def test_words_are_letters_of_any_script_without_grammar() -> None:
    assert find_words("C/o LUMP in the L breast x 2 months, опухоль; no pain") == [
        "lump",
        "breast",
        "months",
        "опухоль",
        "no",
        "pain",
    ]


def test_bigrams_are_neighbours() -> None:
    assert find_terms("lump in the left breast", 2) == ["lump left", "left breast"]
    assert find_terms("lump", 2) == []


def test_scores_by_hand() -> None:
    """Three histories. idf: "screening" ln(4/3) + 1, "lump" the same by df 2, "pain" ln(4/2) + 1."""
    two, one = math.log(4 / 3) + 1, math.log(4 / 2) + 1
    scores = score_terms(["screening", "lump lump pain", "screening lump"])
    long = math.hypot(2 * two, one)
    assert scores == pytest.approx(
        {
            "screening": (1 + 1 / math.sqrt(2)) / 3,
            "lump": (2 * two / long + 1 / math.sqrt(2)) / 3,
            "pain": one / long / 3,
        }
    )
    assert list(scores) == ["screening", "lump", "pain"]


def test_equal_scores_stand_in_alphabetical_order() -> None:
    assert find_relevant(["pain", "lump", "mass"], 2) == ("lump", "mass")


def test_no_histories_have_no_words() -> None:
    assert score_terms([]) == {} and score_terms(["", "12"]) == {}
