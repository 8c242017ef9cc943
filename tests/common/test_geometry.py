"""The convention um/px = 10 / x, and the ways people write a scale."""

from __future__ import annotations

import pytest

from common.errors import ConfigError
from common.geometry import magnification_from_mpp, mpp_from_magnification, parse_scale


@pytest.mark.parametrize(
    ("magnification", "mpp"), [(20, 0.5), (40, 0.25), (10, 1.0), (17, 0.588235294117647)]
)
def test_microns_and_x_factors(magnification: float, mpp: float) -> None:
    assert mpp_from_magnification(magnification) == pytest.approx(mpp)
    assert magnification_from_mpp(mpp) == pytest.approx(magnification)


@pytest.mark.parametrize(
    ("written", "mpp"),
    [
        ("x20", 0.5),
        ("20x", 0.5),
        ("20 X", 0.5),
        ("×40", 0.25),  # noqa: RUF001
        (20, 0.5),
        (12.5, 0.8),
        ("14", 10 / 14),
        ("0.5mpp", 0.5),
        ("0.5um", 0.5),
        ("0.25 um/px", 0.25),
        ("1µm", 1.0),
        ("2 microns", 2.0),
    ],
)
def test_scales_as_people_write_them(written: str | float, mpp: float) -> None:
    assert parse_scale(written) == pytest.approx(mpp)


@pytest.mark.parametrize("written", ["", "big", "x", "20xx", "0.5 mm", "1e", "--5", True])
def test_other_writings_are_refused(written: str | float) -> None:
    with pytest.raises(ConfigError, match="scale: expected 'x20'"):
        parse_scale(written)


@pytest.mark.parametrize("written", ["x0", "-20", "0um", "-1mpp", "101um", "x0.05", "nanum"])
def test_impossible_scales_are_refused(written: str) -> None:
    with pytest.raises(ConfigError, match="scale: expected"):
        parse_scale(written)


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan")])
def test_impossible_numbers_are_refused(value: float) -> None:
    with pytest.raises(ConfigError, match="scale: expected 0 < um/px"):
        mpp_from_magnification(value)
    with pytest.raises(ConfigError, match="scale: expected 0 < um/px"):
        magnification_from_mpp(value)
