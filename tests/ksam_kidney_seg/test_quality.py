"""The way there and back: whole for a template that suits, nothing for one that does not."""

import pytest
import torch
from toy_prompts import SIZE, ToyNetwork

from ksam.quality import round_trip_dice


def square(value: float, columns: int) -> torch.Tensor:
    image = torch.zeros(1, 3, SIZE, SIZE)
    image[:, :, 2:4, 2 : 2 + columns] = value
    return image


def round_trip(slice_value: float, template_mask: torch.Tensor) -> float:
    network, image, template = ToyNetwork(), square(slice_value, 3), square(50, 3)
    knowledge = network.read_prompt(template, template, template_mask)
    logits = network.segment(image, knowledge)
    return round_trip_dice(network, image, image, logits, template, template_mask)


def test_a_template_that_suits_leads_back() -> None:
    assert round_trip(60, (square(50, 3)[:, :1] > 0).float()) == 1


def test_a_mask_that_says_less_than_the_colour_leads_back_to_more() -> None:
    mask = (square(50, 1)[:, :1] > 0).float()
    assert round_trip(50, mask) == pytest.approx(2 * 2 / (6 + 2))


def test_an_empty_prediction_leads_nowhere() -> None:
    assert round_trip(200, (square(50, 3)[:, :1] > 0).float()) == 0
