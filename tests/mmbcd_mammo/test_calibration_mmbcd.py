"""Calibration: known temperatures are found again, isotonic against hand-worked steps, files round trip."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from common.errors import ConfigError, InputError
from common.networks.sam_weights import hash_file
from mmbcd.calibration import (
    Calibration,
    LevelCalibration,
    OperatingPoint,
    Scoring,
    choose_operating_point,
    fit_isotonic,
    fit_level,
    fit_temperature,
    read_calibration,
    write_calibration,
)


def sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-values))


def test_temperature_is_found_again():
    rng = np.random.default_rng(0)
    margins = rng.normal(0, 2, 40_000)
    labels = rng.random(40_000) < sigmoid(margins)
    for temperature in (0.5, 1.0, 2.5):
        assert fit_temperature(sigmoid(margins * temperature), labels) == pytest.approx(temperature, rel=0.05)


def test_temperature_by_hand():
    level = LevelCalibration("temperature", temperature=2.0)
    score = sigmoid(np.array([3.0, -1.0]))
    np.testing.assert_allclose(level(score), sigmoid(np.array([1.5, -0.5])), rtol=1e-12)


def test_isotonic_by_hand():
    """0.2 is malignant and 0.3 not: both pool to one half; ends stay 1 / (2 * 5) away from certainty."""
    knots = fit_isotonic(np.array([0.1, 0.2, 0.3, 0.8, 0.8]), np.array([0, 1, 0, 1, 1]))
    np.testing.assert_allclose(knots, [(0.1, 0.1), (0.2, 0.5), (0.3, 0.5), (0.8, 0.9)])
    level = LevelCalibration("isotonic", knots=knots)
    np.testing.assert_allclose(level(np.array([0.0, 0.15, 0.25, 0.55, 1.0])), [0.1, 0.3, 0.5, 0.7, 0.9])


def test_isotonic_never_falls():
    rng = np.random.default_rng(1)
    scores, labels = rng.random(300), rng.integers(0, 2, 300)
    level = fit_level(scores, labels, "isotonic")
    assert (np.diff(level(np.linspace(0, 1, 500))) >= 0).all()


def test_operating_point_by_hand():
    scores = np.array([0.9, 0.8, 0.6, 0.4, 0.7, 0.5, 0.3, 0.1])
    labels = np.array([1, 1, 1, 1, 0, 0, 0, 0])
    point = choose_operating_point(scores, labels, 0.75)
    assert (point.threshold, point.sensitivity, point.specificity) == (0.6, 0.75, 0.75)
    assert choose_operating_point(scores, labels, 1).threshold == 0.4
    assert "at least 0.75" in point.rule


def test_file_round_trip(tmp_path: Path):
    scores, labels = [0.9, 0.7, 0.2, 0.4], [1, 0, 0, 1]
    levels = {
        name: fit_level(scores, labels, name_method)
        for name, name_method in (("image", "temperature"), ("breast", "isotonic"))
    }
    calibration = Calibration(levels, "ab" * 32, "max", "mean", "phantoms")
    write_calibration(calibration, tmp_path / "calibration.json")
    assert read_calibration(tmp_path / "calibration.json") == calibration


def test_nothing_is_calibrated_without_a_file():
    calibration = read_calibration(None)
    assert calibration.probability("image", 0.4) is None and calibration.is_suspicious("image", 0.4) is None


def test_probability_and_call():
    level = LevelCalibration("temperature", 1.0, operating_point=OperatingPoint(0.3, "", 1.0, 1.0))
    calibration = Calibration({"image": level})
    assert calibration.probability("image", 0.3) == pytest.approx(0.3)
    assert calibration.probability("image", None) is None and calibration.probability("breast", 0.3) is None
    assert (
        calibration.is_suspicious("image", 0.3) is True and calibration.is_suspicious("image", 0.29) is False
    )
    assert calibration.is_suspicious("image", None) is None


def test_other_weights_and_rules_are_refused():
    calibration = Calibration({}, "a" * 64)
    calibration.check("a" * 64, "max", "max")
    with pytest.raises(
        ConfigError, match="expected one fitted for the weights bbbbbbbb, got one for aaaaaaaa"
    ):
        calibration.check("b" * 64, "max", "max")
    with pytest.raises(
        ConfigError, match="expected the rules mean and max for breast and study, got max and max"
    ):
        calibration.check("a" * 64, "mean", "max")


@pytest.mark.parametrize(
    "content",
    [
        "no json",
        "[]",
        '{"levels": {"image": {"method": "temperature"}}}',
        '{"levels": {"image": {"method": "temperature", "temperature": -1}}}',
        '{"levels": {"image": {"method": "isotonic", "knots": []}}}',
        '{"levels": {"image": {"method": "isotonic", "knots": [[0.2, 0.5], [0.1, 0.6]]}}}',
        '{"levels": {"view": {"method": "temperature", "temperature": 1}}}',
        '{"levels": {}, "colour": 1}',
        '{"levels": {}, "weights_sha256": 7}',
        '{"levels": {"image": {"method": "temperature", "temperature": 1, "operating_point": '
        '{"threshold": "x", "rule": "", "sensitivity": 1, "specificity": 1}}}}',
        None,
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, content: str | None):
    path = tmp_path / "calibration.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(
        InputError, match=r"calibration\.json: expected a calibration as evaluate\.json writes"
    ):
        read_calibration(path)


def test_threshold_out_of_range_is_refused(tmp_path: Path):
    point = {"threshold": 3, "rule": "", "sensitivity": 1, "specificity": 1}
    content = {"levels": {"image": {"method": "temperature", "temperature": 1, "operating_point": point}}}
    (tmp_path / "c.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"c\.json: expected a calibration"):
        read_calibration(tmp_path / "c.json")


def test_bad_settings_are_refused():
    with pytest.raises(ConfigError, match="expected one of temperature, isotonic, got 'platt'"):
        fit_level([0.1, 0.2], [0, 1], "platt")
    with pytest.raises(InputError, match="expected malignant and other cases, got 2 of one kind"):
        fit_level([0.1, 0.2], [1, 1])
    with pytest.raises(ConfigError, match="sensitivity: expected above 0 up to 1, got 1.5"):
        fit_level([0.1, 0.2], [0, 1], sensitivity=1.5)


def test_the_own_calibration_goes_with_its_own_weights_and_rules_only(tmp_path: Path):
    own = tmp_path / "calibration.json"
    levels = {"breast": LevelCalibration("temperature", temperature=2.0)}
    write_calibration(Calibration(levels, weights_sha256="a" * 64, fitted_on="phantoms"), own)
    for sha256, rule, fitted in (("a", "max", True), ("b", "max", False), ("a", "mean", False)):
        scoring = Scoring("auto", rule, own=own)
        scoring.settle(sha256 * 64)
        assert bool(scoring.calibration.levels) == fitted
    named, none = Scoring(own, own=own), Scoring(None, own=own)
    with pytest.raises(ConfigError, match="calibration: expected one fitted for the weights bbbbbbbb, got"):
        named.settle("b" * 64)
    none.settle("a" * 64)
    assert none.calibration.levels == {}


def test_the_calibration_of_the_bundle_was_fitted_for_its_weights():
    models = Path(__file__).resolve().parents[2] / "bundles/mmbcd_mammo/models"
    scoring = Scoring("auto", own=models / "calibration.json")
    scoring.settle(hash_file(models / "mmbcd.safetensors"))
    assert set(scoring.calibration.levels) == {"image", "breast", "study"}
    assert "phantoms" in scoring.calibration.fitted_on
