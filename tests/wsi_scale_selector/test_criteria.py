"""Each formula against a hand-worked number, and the invariances that it must have."""

from __future__ import annotations

import math

import numpy as np
import pytest

from common.errors import ConfigError
from scale_selector.criteria import CRITERIA, build_criterion

# x = (3, 4); w_1 = (1, 0), w_2 = (0, -2), w_3 = (3, 4): distances 3, -4, 5
FEATURES = np.array([[3.0, 4.0]])
WEIGHT = np.array([[1.0, 0.0, 3.0], [0.0, -2.0, 4.0]])
BIAS = np.array([1.0, 2.0, -5.0])
LOGITS = [4.0, -6.0, 20.0]
SUM = sum(math.exp(value) for value in LOGITS)
PROBABILITIES = [math.exp(value) / SUM for value in LOGITS]

HAND_WORKED = {
    "column_norm": [3.0, -4.0, 5.0],
    "column_norm_bias": [4.0, -3.0, 4.0],
    "matrix_norm": [3 / math.sqrt(30), -8 / math.sqrt(30), 25 / math.sqrt(30)],
    "absolute": [3.0, 4.0, 5.0],
    "cosine": [0.6, -0.8, 1.0],
    "max_softmax": PROBABILITIES,
    "entropy": [sum(p * math.log(p) for p in PROBABILITIES)],
    "activation": [5.0],
}
RNG = np.random.default_rng(7)
X, W, B = RNG.normal(size=(6, 9, 32)), RNG.normal(size=(32, 5)), RNG.normal(size=5)


def test_every_criterion_has_a_hand_worked_number():
    assert set(HAND_WORKED) == set(CRITERIA)


@pytest.mark.parametrize("name", HAND_WORKED)
def test_hand_worked(name):
    np.testing.assert_allclose(build_criterion(name)(FEATURES, WEIGHT, BIAS)[0], HAND_WORKED[name], rtol=1e-9)


@pytest.mark.parametrize("name", ["column_norm", "matrix_norm", "absolute", "cosine", "activation"])
def test_scaling_all_normals_changes_no_distance(name):
    np.testing.assert_allclose(CRITERIA[name](X, 3.7 * W, B), CRITERIA[name](X, W, B), rtol=1e-9)


@pytest.mark.parametrize("name", ["column_norm", "absolute", "cosine"])
def test_scaling_one_normal_changes_no_distance(name):
    np.testing.assert_allclose(
        CRITERIA[name](X, W * [1, 2, 5, 0.1, 9], B), CRITERIA[name](X, W, B), rtol=1e-9
    )


def test_scaling_one_normal_changes_the_matrix_norm():
    assert not np.allclose(
        CRITERIA["matrix_norm"](X, W * [1, 2, 5, 0.1, 9], B), CRITERIA["matrix_norm"](X, W, B)
    )


@pytest.mark.parametrize("name", ["column_norm", "matrix_norm", "absolute", "cosine", "activation"])
def test_bias_is_not_used(name):
    np.testing.assert_array_equal(CRITERIA[name](X, W, B + RNG.normal(size=5)), CRITERIA[name](X, W, B))


@pytest.mark.parametrize("name", ["max_softmax", "entropy"])
def test_adding_a_constant_to_the_bias_changes_no_softmax(name):
    np.testing.assert_allclose(CRITERIA[name](X, W, B + 4.2), CRITERIA[name](X, W, B), rtol=1e-9)


def test_bias_moves_the_hyperplane():
    moved = CRITERIA["column_norm_bias"](X, W, B + 1.0) - CRITERIA["column_norm_bias"](X, W, B)
    np.testing.assert_allclose(moved, np.broadcast_to(1 / np.linalg.norm(W, axis=0), moved.shape))


@pytest.mark.parametrize("name", ["cosine"])
def test_length_of_the_feature_does_not_matter(name):
    np.testing.assert_allclose(CRITERIA[name](2.5 * X, W, B), CRITERIA[name](X, W, B), rtol=1e-9)


def test_algorithm_1_line_by_line():
    """The paper's loops written out, against the vectorised form."""
    for point in X:
        best_scale, best_value = -1, -math.inf
        for scale, feature in enumerate(point):
            for column in W.T:
                value = sum(f * w for f, w in zip(feature, column, strict=True)) / math.sqrt(
                    sum(w * w for w in column)
                )
                if value > best_value:
                    best_scale, best_value = scale, value
        assert CRITERIA["column_norm"](point, W, B).max(axis=-1).argmax() == best_scale


def test_unknown_criterion():
    with pytest.raises(ConfigError, match="criterion: expected one of column_norm, .* got 'distance'"):
        build_criterion("distance")
