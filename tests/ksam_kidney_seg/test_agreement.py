"""Averages and agreement against numbers worked out by hand."""

import numpy as np
import pytest
import torch

from common.errors import ConfigError
from ksam.agreement import combine, count_overlaps, expected_dice


def test_the_mean_probability_and_its_spread() -> None:
    probabilities = torch.tensor([0.9, 0.6, 0.0001])
    answer = combine(probabilities.logit().reshape(3, 1, 1))
    assert answer.logits.sigmoid().item() == pytest.approx(probabilities.mean().item())
    assert answer.disagreement.item() == pytest.approx(np.std([0.9, 0.6, 0.0001]))


def test_one_sure_template_does_not_outvote_the_others() -> None:
    members = torch.tensor([3.0, 3.0, -20.0]).reshape(3, 1, 1)
    assert combine(members).logits.item() > 0
    assert combine(members, "logit").logits.item() < 0


def test_one_template_alone_stands_as_it_is() -> None:
    answer = combine(torch.full((1, 1, 1), 30.0))
    assert answer.logits.item() == 30
    assert answer.disagreement.item() == 0
    assert np.isnan(expected_dice(answer.overlaps))


def test_overlaps_count_pixels_of_each_pair() -> None:
    masks = torch.tensor([[[1, 1, 0, 0]], [[0, 1, 1, 0]], [[0, 0, 0, 0]]]).bool()
    counts = count_overlaps(masks)
    np.testing.assert_array_equal(counts, [[2, 4], [0, 2], [0, 2]])
    assert expected_dice(counts) == pytest.approx((0.5 + 0 + 0) / 3)


def test_empty_answers_agree() -> None:
    assert expected_dice(count_overlaps(torch.zeros(2, 3, 3).bool())) == 1


def test_overlaps_below_one_pixel_of_the_slice_count_as_they_are() -> None:
    """Network pixels of a region are smaller than those of the slice: 2 of 3 of a quarter pixel each."""
    assert expected_dice(0.25 * np.array([[2.0, 3.0]])) == pytest.approx(2 / 3)


def test_an_unknown_average_is_refused() -> None:
    with pytest.raises(ConfigError, match="average: expected probability or logit, got 'median'"):
        combine(torch.zeros(2, 1, 1), "median")
