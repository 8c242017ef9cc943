"""A split by patient: seeded, complete, and refused where a patient stands on two sides."""

from __future__ import annotations

from collections import Counter

import pytest
from prepare.reading import read_names, read_pairs, read_values
from prepare.split import draw_parts, normal_part, read_fractions, read_parts

from common.errors import ConfigError, InputError

PATIENTS = [f"p{number}" for number in range(40)]


def test_a_seed_draws_the_same_parts_in_any_order():
    parts = draw_parts(PATIENTS, (0.7, 0.15, 0.15), 3)
    assert Counter(parts.values()) == {"training": 28, "validation": 6, "test": 6}
    assert parts == draw_parts(PATIENTS[::-1] * 2, (0.7, 0.15, 0.15), 3)
    assert parts != draw_parts(PATIENTS, (0.7, 0.15, 0.15), 4)


def test_no_part_stays_empty_while_there_are_patients():
    assert set(draw_parts(PATIENTS[:3], (0.9, 0.05, 0.05), 0).values()) == {"training", "validation", "test"}
    assert set(draw_parts(PATIENTS[:5], (0, 0, 1), 0).values()) == {"test"}
    assert set(draw_parts(PATIENTS[:1], (0.7, 0.15, 0.15), 0).values()) == {"training"}


def test_a_given_split_is_read(tmp_path):
    path = tmp_path / "split.csv"
    path.write_text("name,part\na,train\nb,val\nc,test\n")
    assert read_parts(path) == {"a": "training", "b": "validation", "c": "test"}
    assert normal_part(" Valid ") == "validation"
    assert normal_part("holdout") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("patient,side\na,train\n", "expected the columns name and part"),
        ("name,part\na,holdout\n", "expected training, validation, test, got 'holdout'"),
        ("name,part\na,train\na,test\n", "expected one part for each name, got two for one"),
    ],
)
def test_refused_splits(tmp_path, text, message):
    path = tmp_path / "split.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_parts(path)
    with pytest.raises(InputError, match="expected a CSV of the split, got no such file"):
        read_parts(tmp_path / "none.csv")


@pytest.mark.parametrize("text", ["0.5,0.5", "a,b,c", "0.5,0.6,0.2", "1.5,-0.5,0"])
def test_refused_fractions(text):
    with pytest.raises(ConfigError, match="fractions: expected three shares with sum 1"):
        read_fractions(text)


def test_lists_on_the_command_line():
    assert read_names(" a, b ,") == ("a", "b")
    assert read_values("1=disc,2=disc, 2=cup") == ((1, "disc"), (2, "disc"), (2, "cup"))
    assert read_values("0,255", "background", named=False) == ((0, ""), (255, ""))
    with pytest.raises(ConfigError, match="rename: expected LEFT=RIGHT with commas, got 'cortex'"):
        read_pairs("cortex", "rename")
    with pytest.raises(ConfigError, match="labels: expected whole numbers from 0"):
        read_values("one=cortex")
