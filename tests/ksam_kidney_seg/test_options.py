"""Options: the paper's defaults, the light network's, refusals."""

from __future__ import annotations

import json
from typing import Any

import pytest

from common.errors import ConfigError
from ksam.options import KSamOptions, find_options


def test_defaults_are_the_papers() -> None:
    options = find_options("vit_b", {})
    assert options == KSamOptions()
    assert (options.km, options.pm, options.pm_depth, options.lora_rank, options.prior) == (
        True,
        True,
        4,
        4,
        "off",
    )


def test_light_network_has_defaults_of_its_own() -> None:
    options = find_options("lite", {"pm_grid": 32})
    assert (options.km_widths, options.pm_grid, options.pm_depth, options.lora_rank) == ("narrow", 32, 4, 0)


def test_json_round_trip() -> None:
    options = find_options("lite", {"km_widths": [16, 8, 8], "lora_targets": ["q"], "prior": "both"})
    read = json.loads(json.dumps(options.as_json()))
    assert find_options(read.pop("backbone"), read) == options


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"km_width": "wide"}, "expected an option of KSAM, got 'km_width': did you mean 'km_widths'?"),
        ({"xyzzy": 1}, "got 'xyzzy': known are backbone, image_size"),
        ({"prior": "on"}, "prior: expected one of off, dense, merge, both, got 'on'"),
        ({"without_pm": "zeros"}, "without_pm: expected one of pooled, none, got 'zeros'"),
        ({"prior": "merge", "km": False}, "prior: expected Knowledge Merge for 'merge', got km false"),
        ({"km": False, "pm": False, "without_pm": "none"}, "expected a way for the knowledge prompt"),
        ({"lora_rank": -1}, "lora_rank: expected 0 or more"),
    ],
)
def test_refusals(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("?", r"\?")):
        find_options("lite", given)
