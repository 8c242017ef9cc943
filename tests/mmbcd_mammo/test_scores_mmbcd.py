"""Scores of views become scores of breasts and studies by a stated rule."""

from __future__ import annotations

import math

import numpy as np
import pytest

from common.errors import ConfigError
from mmbcd.scores import combine, combine_by, to_score


def test_score_is_the_softmax_of_two_logits():
    logits = np.array([[0.0, 0.0], [1.0, 3.0], [1000.0, -1000.0]])
    expected = [0.5, math.exp(3) / (math.exp(1) + math.exp(3)), 0]
    np.testing.assert_allclose(to_score(logits), expected, atol=1e-12)


def test_views_without_a_score_have_no_say():
    assert combine([0.2, None, 0.7], "max") == 0.7
    assert combine([0.25, None, 0.75], "mean") == 0.5
    assert combine([None, None], "max") is None


def test_groups_keep_their_order():
    keys = [("a", "R"), ("a", "L"), ("a", "R"), ("b", "L")]
    found = combine_by(keys, [0.1, 0.4, 0.3, None], "max")
    assert list(found.items()) == [(("a", "R"), 0.3), (("a", "L"), 0.4), (("b", "L"), None)]


def test_unknown_rule_is_refused():
    with pytest.raises(ConfigError, match="rule: expected one of max, mean, got 'median': choose one"):
        combine([0.1], "median")
