"""Dice and HD95 by hand."""

from __future__ import annotations

import numpy as np
import pytest

from ksam.scores import measure


def test_squares_by_hand() -> None:
    """Two 4 x 4 squares, one moved by 2 columns: half is shared; no surface distance is above 2."""
    truth, moved = np.zeros((2, 12, 12), bool)
    truth[2:6, 2:6] = True
    moved[2:6, 4:8] = True
    dice, distance = measure(moved, truth, None)
    assert dice == pytest.approx(0.5) and distance == pytest.approx(2.0)
    assert measure(moved, truth, (1.0, 3.0))[1] == pytest.approx(6.0)  # columns of 3 mm
    assert measure(truth, truth, None) == (1.0, 0.0)
    assert np.isnan(measure(moved, truth, None, hd95=False)[1])


def test_volumes_in_millimetres() -> None:
    """A plane moved by one slice of 5 mm."""
    truth, moved = np.zeros((2, 8, 8, 4), bool)
    truth[2:6, 2:6, 1] = True
    moved[2:6, 2:6, 2] = True
    assert measure(moved, truth, (1.0, 1.0, 5.0)) == (0.0, pytest.approx(5.0))


def test_empty_masks() -> None:
    some, none = np.ones((4, 4), bool), np.zeros((4, 4), bool)
    dice, distance = measure(none, some, None)
    assert dice == 0.0 and np.isnan(distance)
    assert np.isnan(measure(some, none, None)).all() and np.isnan(measure(none, none, None)).all()
