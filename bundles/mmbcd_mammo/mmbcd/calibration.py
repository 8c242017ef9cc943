"""From a raw score to a calibrated probability and a decision; fitted on validation patients by evaluation.

Images, breasts and studies are calibrated apart: the highest of several calibrated probabilities is not a
calibrated probability. A level that was never fitted has none, and the result says so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import isotonic_regression, minimize_scalar

from common.errors import ConfigError, InputError
from common.io.files import write_json

from .scores import LEVELS, check_rule

AUTO = "auto"
METHODS = ("temperature", "isotonic")
MAX_LOG_TEMPERATURE = 3.0
"""Temperatures from 0.05 to 20 are tried (choice: beyond, the scores say nothing)."""


@dataclass(frozen=True)
class OperatingPoint:
    """Where a score becomes a call.

    Attributes:
        threshold: raw score 0..1; at or above it the case is called suspicious.
        rule: how it was chosen, in words.
        sensitivity, specificity: on the cases it was chosen on.
    """

    threshold: float
    rule: str
    sensitivity: float
    specificity: float


@dataclass(frozen=True)
class LevelCalibration:
    """Calibration of one level.

    Attributes:
        method: "temperature": sigmoid(logit(score) / T); "isotonic": a rising line through the knots.
        temperature: T > 0; None with isotonic.
        knots: (score, probability) in rising order; empty with temperature.
        operating_point: None where none was chosen.
        cases, malignant: how many it was fitted on.
    """

    method: str
    temperature: float | None = None
    knots: tuple[tuple[float, float], ...] = ()
    operating_point: OperatingPoint | None = None
    cases: int = 0
    malignant: int = 0

    def __call__(self, scores: np.ndarray | float) -> np.ndarray:
        """Calibrated probabilities 0..1 of raw scores 0..1, same shape."""
        if self.method == "temperature":
            return _sigmoid(_logit(scores) / (self.temperature or 1.0))
        places, values = zip(*self.knots, strict=True)
        return np.interp(np.asarray(scores, float), places, values)


@dataclass(frozen=True)
class Calibration:
    """Content of calibration.json.

    Attributes:
        levels: of `scores.LEVELS`; a missing one is not calibrated.
        weights_sha256: of the weights it was fitted for; "" where none are named.
        breast_rule, study_rule: how views and breasts were combined.
        fitted_on: name of the cases.
    """

    levels: Mapping[str, LevelCalibration] = field(default_factory=dict)
    weights_sha256: str = ""
    breast_rule: str = "max"
    study_rule: str = "max"
    fitted_on: str = ""

    def check(self, weights_sha256: str, breast_rule: str, study_rule: str) -> None:
        """Raises ConfigError: fitted for other weights or with other rules."""
        if self.weights_sha256 and self.weights_sha256 != weights_sha256:
            raise ConfigError(
                f"calibration: expected one fitted for the weights {weights_sha256[:8] or 'without sha256'}, "
                f"got one for {self.weights_sha256[:8]}: run evaluate.json with these weights"
            )
        wanted, own = (breast_rule, study_rule), (self.breast_rule, self.study_rule)
        if own != wanted:
            raise ConfigError(
                f"calibration: expected the rules {' and '.join(wanted)} for breast and study, got "
                f"{' and '.join(own)}: run evaluate.json with these rules, or choose those"
            )

    def probability(self, level: str, score: float | None) -> float | None:
        """None where there is no score, or the level was never fitted."""
        fitted = self.levels.get(level)
        return None if fitted is None or score is None else float(fitted(score))

    def is_suspicious(self, level: str, score: float | None) -> bool | None:
        """None where there is no score or no operating point."""
        point = getattr(self.levels.get(level), "operating_point", None)
        return None if point is None or score is None else bool(score >= point.threshold)


class Scoring:
    """How scores are combined and calibrated.

    Args:
        calibration: calibration.json; None: raw scores only; "auto": `own` where it was fitted for these
            weights and rules, else raw scores.
        breast_rule, study_rule: of `scores.RULES`.
        own: the bundle's calibration.json.

    Raises:
        ConfigError: an unknown rule.
        InputError: the file cannot be read.
    """

    def __init__(
        self,
        calibration: str | Path | None = None,
        breast_rule: str = "max",
        study_rule: str = "max",
        own: str | Path | None = None,
    ) -> None:
        self.breast_rule = check_rule(breast_rule, "breast_rule")
        self.study_rule = check_rule(study_rule, "study_rule")
        self._is_auto = calibration == AUTO
        self.calibration = read_calibration(own if self._is_auto else calibration)

    def settle(self, weights_sha256: str) -> None:
        """Keep the calibration if it was fitted for these weights and rules.

        Raises:
            ConfigError: one was named, and it was fitted for others.
        """
        if not self.calibration.levels:
            return
        try:
            self.calibration.check(weights_sha256, self.breast_rule, self.study_rule)
        except ConfigError:
            if not self._is_auto:
                raise
            self.calibration = Calibration()


def read_calibration(path: str | Path | None) -> Calibration:
    """Read calibration.json; without a path nothing is calibrated.

    Raises:
        InputError: not there, not JSON, or not what `write_calibration` writes.
    """
    if path is None:
        return Calibration()
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        levels = {level: _to_level(row) for level, row in content.pop("levels").items()}
        calibration = Calibration(levels=levels, **content)
        is_sound = set(levels) <= set(LEVELS) and all(map(_is_sound, levels.values()))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(_unreadable(path)) from error
    if not is_sound or not isinstance(calibration.weights_sha256, str):
        raise InputError(_unreadable(path))
    return calibration


def write_calibration(calibration: Calibration, path: str | Path) -> None:
    """Raises OutputError."""
    write_json(path, asdict(calibration))


def fit_level(
    scores: Sequence[float], labels: Sequence[int], method: str = "temperature", sensitivity: float = 0.9
) -> LevelCalibration:
    """Fit one level on validation cases.

    Args:
        scores: (N,) raw, 0..1.
        labels: (N,) 0 or 1.
        method: of `METHODS`.
        sensitivity: that the operating point must reach.

    Raises:
        ConfigError: an unknown method.
        InputError: one class only.
    """
    if method not in METHODS:
        raise ConfigError(f"calibration: expected one of {', '.join(METHODS)}, got '{method}': choose one")
    values, truth = np.asarray(scores, float), np.asarray(labels, int)
    if len(np.unique(truth)) != 2:
        raise InputError(
            f"calibration: expected malignant and other cases, got {len(truth)} of one kind: add cases"
        )
    point = choose_operating_point(values, truth, sensitivity)
    tempered = method == "temperature"
    return LevelCalibration(
        method=method,
        temperature=fit_temperature(values, truth) if tempered else None,
        knots=() if tempered else fit_isotonic(values, truth),
        operating_point=point,
        cases=len(truth),
        malignant=int(truth.sum()),
    )


def fit_temperature(scores: np.ndarray, labels: np.ndarray) -> float:
    """The T with the smallest cross-entropy of sigmoid(logit(score) / T)."""
    margins, signs = _logit(scores), np.where(np.asarray(labels) == 1, 1.0, -1.0)

    def cross_entropy(log_temperature: float) -> float:
        return float(np.logaddexp(0, -signs * margins / np.exp(log_temperature)).mean())

    limits = (-MAX_LOG_TEMPERATURE, MAX_LOG_TEMPERATURE)
    return float(np.exp(minimize_scalar(cross_entropy, bounds=limits, method="bounded").x))


def fit_isotonic(scores: np.ndarray, labels: np.ndarray) -> tuple[tuple[float, float], ...]:
    """Knots of the rising line with the smallest squared error (pool adjacent violators).

    Probabilities stay 1 / (2 N) away from 0 and 1 (choice: N cases cannot prove certainty).
    """
    places, groups = np.unique(scores, return_inverse=True)
    weights = np.bincount(groups).astype(float)
    means = np.bincount(groups, weights=np.asarray(labels, float)) / weights
    low = 1 / (2 * len(labels))
    levels = np.clip(isotonic_regression(means, weights=weights).x, low, 1 - low)
    kept = np.ones(len(places), bool)  # inside a plateau knots say nothing
    kept[1:-1] = (levels[1:-1] != levels[:-2]) | (levels[1:-1] != levels[2:])
    return tuple(zip(places[kept].tolist(), levels[kept].tolist(), strict=True))


def choose_operating_point(
    scores: np.ndarray, labels: np.ndarray, sensitivity: float = 0.9
) -> OperatingPoint:
    """The highest threshold that still calls the wanted share of the malignant cases.

    Raises:
        ConfigError: a sensitivity outside 0..1.
    """
    if not 0 < sensitivity <= 1:
        raise ConfigError(f"sensitivity: expected above 0 up to 1, got {sensitivity}: correct it")
    positive = np.sort(np.asarray(scores)[np.asarray(labels) == 1])[::-1]
    threshold = float(positive[int(np.ceil(sensitivity * len(positive) - 1e-9)) - 1])
    negative = np.asarray(scores)[np.asarray(labels) == 0]
    return OperatingPoint(
        threshold=threshold,
        rule=f"highest threshold with a sensitivity of at least {sensitivity:g}",
        sensitivity=float((positive >= threshold).mean()),
        specificity=float((negative < threshold).mean()),
    )


def _to_level(row: dict[str, Any]) -> LevelCalibration:
    point = row.pop("operating_point", None)
    knots = tuple((float(place), float(value)) for place, value in row.pop("knots", ()))
    return LevelCalibration(
        **row, knots=knots, operating_point=None if point is None else OperatingPoint(**point)
    )


def _is_sound(level: LevelCalibration) -> bool:
    """The numbers of the method are there, in range and in rising order."""
    point = level.operating_point
    if point is not None and not 0 <= point.threshold <= 1:
        return False
    if level.method == "temperature":
        return isinstance(level.temperature, (int, float)) and level.temperature > 0
    knots = np.array(level.knots, float).reshape(-1, 2)
    rising = (np.diff(knots[:, 0]) > 0).all() and (np.diff(knots[:, 1]) >= 0).all()
    return (
        level.method == "isotonic"
        and len(knots) > 0
        and bool(rising and (knots >= 0).all() and (knots <= 1).all())
    )


def _unreadable(path: Path) -> str:
    return (
        f"{path.name}: expected a calibration as evaluate.json writes it, got something else or no file: "
        "run evaluate.json, or set calibration to null"
    )


def _logit(scores: np.ndarray | float) -> np.ndarray:
    clipped = np.clip(np.asarray(scores, float), 1e-9, 1 - 1e-9)
    return np.log(clipped) - np.log1p(-clipped)


def _sigmoid(margins: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-margins))
