"""Options of MMBCD: the three presets as the table says them, and refusals."""

from __future__ import annotations

import re

import pytest

import mmbcd.options
from common.errors import ConfigError
from mmbcd.options import PRESETS, MmbcdOptions, find_options


def test_the_default_preset_is_the_dataclass() -> None:
    assert find_options() == MmbcdOptions() == find_options("default", {})


@pytest.mark.parametrize("preset", list(PRESETS))
def test_options_go_through_json(preset: str) -> None:
    options = find_options(preset, {"rois": 5})
    given = options.as_json()
    assert find_options(given.pop("preset"), given) == options


def test_the_table_in_the_docstring_is_true() -> None:
    """Numbers and names of its cells are those of the presets."""
    rows = [line.strip("|").split("|") for line in (mmbcd.options.__doc__ or "").splitlines() if "|" in line]
    names = [re.sub("`", "", cell).strip() for cell in rows[0]][1:]
    checked = 0
    for cells in rows[2:]:
        field = cells[0].strip()
        for preset, cell in zip(names, cells[1:], strict=True):
            options = find_options(preset).as_json()
            if field not in options or field == "prompt" or field == "projection":
                continue
            shown = cell.split()[0].strip(",")
            assert str(options[field]).lower() == shown or float(options[field]) == float(shown), (
                field,
                preset,
            )
            checked += 1
    assert checked == 30


def test_the_attention_of_each_preset() -> None:
    found = {
        name: (
            o.attention_projections,
            o.attention_heads,
            o.attention_dropout,
            o.projection,
            o.projection_norm,
        )
        for name in PRESETS
        for o in [find_options(name)]
    }
    assert found == {
        "paper": (False, 1, 0.0, 0, "layer"),
        "released_code": (True, 1, 0.3, 256, "batch"),
        "default": (True, 4, 0.1, 256, "layer"),
    }


def test_without_text_there_is_no_attention() -> None:
    assert not find_options(given={"use_text": False}).uses_attention
    assert not find_options(given={"use_attention": False}).uses_attention


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"vison": "tiny"}, "expected an option of MMBCD, got 'vison': did you mean 'vision'"),
        ({"qqq": 1}, "got 'qqq': known are preset, vision"),
        ({"missing_history": "no"}, "missing_history: expected one of learned, empty, got 'no'"),
        ({"projection_norm": "group"}, "projection_norm: expected one of batch, layer, got 'group'"),
        ({"mask_rate": 1.2}, "mask_rate: expected a number from 0 to 1, got 1.2: correct it"),
        ({"rois": 0}, r"rois: expected a number from 1 to 1e\+06, got 0"),
        ({"prompt": "no place"}, "prompt: expected a text with {text} once, got another"),
    ],
)
def test_refusals(given: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        find_options("default", given)


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(
        ConfigError, match="preset: expected one of default, released_code, paper, got 'best'"
    ):
        find_options("best")
