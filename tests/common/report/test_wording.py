"""Words that all reports share."""

from __future__ import annotations

from common.report.wording import capitalise, describe_details, join_words, to_plain, weights_note


def test_weights_are_named_unless_clinical():
    assert weights_note({"purpose": "clinical"}) == ""
    assert weights_note({"purpose": "demonstration"}) == "demonstration weights, not for diagnosis"


def test_words_are_joined():
    assert [join_words(list("abc"[:count])) for count in range(4)] == ["", "a", "a and b", "a, b and c"]
    assert join_words(["a", "b"], "or") == "a or b"
    assert (capitalise("left breast of A"), capitalise("")) == ("Left breast of A", "")


def test_values_become_text():
    assert to_plain({"a": [1, None], "b": 0.123456}) == "a 1, none, b 0.1235"


def test_details_leave_out_what_is_empty():
    record = {
        "weights": {"name": "toy"},
        "engine": {"engine": "torch"},
        "settings": {"templates": 3, "consistency": None},
        "versions": {"torch": "2"},
        "seconds": {},
    }
    details = dict(describe_details(record))
    assert details["Settings"] == [("templates", "3"), ("consistency", "none")]
    assert list(details) == ["Weights", "Engine", "Settings", "Versions"]
