"""One thing, or what a setting says."""

from __future__ import annotations

import pytest

from common.errors import ConfigError, InputError, SeveralEligibleError
from common.io.eligible import check_several, take


@pytest.mark.parametrize("several", ["refuse", "best", "all"])
def test_one_thing_is_taken_whatever_the_setting(several):
    assert take(["a"], check_several(several), ["A"], "series", "x=1") == ["a"]


def test_all_takes_all_in_order():
    assert take([3, 1, 2], "all", ["c", "a", "b"], "series", "x=1") == [3, 1, 2]


def test_several_are_refused_with_their_labels_and_what_chooses():
    with pytest.raises(
        SeveralEligibleError, match=r"expected one series, got 2 \(A; B\): choose with x=1 or several=all$"
    ) as caught:
        take(["a", "b"], "refuse", ["A", "B"], "series", "x=1 or several=all")
    assert isinstance(caught.value, InputError)


def test_a_long_list_is_cut():
    labels = [f"label {number}" for number in range(9)]
    with pytest.raises(SeveralEligibleError, match=r"got 9 \(label 0; .*label 7 and others\)"):
        take(labels, "best", labels, "slide", "number=1")


def test_an_unknown_setting_is_refused():
    with pytest.raises(ConfigError, match="several: expected refuse, all, got best: choose one of them"):
        check_several("best", ("refuse", "all"))
