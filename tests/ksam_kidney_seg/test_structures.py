"""Structures: reading, families, label values."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from common.errors import ConfigError
from ksam.structures import (
    Code,
    Structure,
    check_structures,
    find_children,
    find_depth,
    mask_of,
    parse_structures,
    read_structures,
    structure_from_dict,
    structure_to_dict,
    values_of,
)

LABELS = Path(__file__).parents[2] / "bundles/ksam_kidney_seg/configs/labels.json"
EYE = Structure("eye", 3, None, (1, 2, 3))
DISC = Structure("disc", 1, None, (4, 5, 6), "eye")
CUP = Structure("cup", 2, None, (7, 8, 9), "disc")
FAMILY = (DISC, CUP, EYE)


def test_the_bundles_structures_are_coded():
    cortex, medulla, artery = read_structures(LABELS)
    assert [row.name for row in (cortex, medulla, artery)] == ["cortex", "medulla", "artery"]
    assert [row.value for row in (cortex, medulla, artery)] == [1, 2, 3]
    codes = [row.code.value for row in (cortex, medulla, artery) if row.code]
    assert codes == ["50403003", "30737000", "2841007"]


def test_rows_come_back():
    row = {
        "name": "disc",
        "value": 1,
        "code": {"scheme": "SCT", "value": "81016008", "meaning": "Optic disc structure"},
        "color": [1, 2, 3],
        "parent": "eye",
    }
    structure = structure_from_dict(row)
    assert structure.code == Code("SCT", "81016008", "Optic disc structure")
    assert structure_to_dict(structure) == row
    assert structure_from_dict(json.loads(json.dumps(structure_to_dict(CUP)))) == CUP


def test_structures_without_colour_get_different_ones():
    rows = [{"name": "a", "value": 2}, {"name": "b", "value": 1}]
    first, second = parse_structures(rows, "x")
    assert (first.name, second.name) == ("b", "a") and first.color != second.color


def test_a_structure_includes_what_lies_in_it():
    labels = np.array([0, 1, 2, 3])
    assert mask_of(labels, EYE, FAMILY).tolist() == [False, True, True, True]
    assert mask_of(labels, DISC, FAMILY).tolist() == [False, True, True, False]
    assert values_of(CUP, FAMILY) == [2]
    assert [find_depth(row, FAMILY) for row in FAMILY] == [1, 2, 0]
    assert find_children(None, FAMILY) == (2,) and find_children("disc", FAMILY) == (1,)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({}, "expected a list of structures, got dict"),
        ([1], "expected a list of structures"),
        ([{"name": "background", "value": 0}], "expected at least one structure, got none"),
        ([{"name": " ", "value": 1}], "expected a name for every structure, got ' '"),
        ([{"name": "a", "value": 256}], "expected a whole value from 1 to 255 for a, got 256"),
        ([{"name": "a", "value": True}], "expected a whole value"),
        ([{"name": "a", "value": 1, "code": {"value": "1"}}], "expected null or scheme, value and meaning"),
        ([{"name": "a", "value": 1, "color": [1, 2]}], "expected three numbers from 0 to 255 as the color"),
        ([{"name": "a", "value": 1}, {"name": "a", "value": 2}], "expected a name of its own"),
        ([{"name": "a", "value": 1}, {"name": "b", "value": 1}], "expected a value of its own"),
        ([{"name": "a", "value": 1, "parent": "b"}], "expected a structure as the parent of a, got 'b'"),
        ([{"name": "a", "value": 1, "parent": "a"}], "expected a tree of parents above a, got a circle"),
    ],
)
def test_rows_that_contradict_are_refused(rows, message):
    with pytest.raises(ConfigError, match=message):
        parse_structures(rows, "labels.json")


def test_unreadable_file_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="labels.json: expected a readable JSON list of structures"):
        read_structures(tmp_path / "labels.json")


def test_no_structures_are_refused():
    with pytest.raises(ConfigError, match="expected at least one structure"):
        check_structures([])
