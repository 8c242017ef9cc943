import math

import pytest
import torch
from torch.nn import functional as F

from common.errors import ConfigError
from common.layers.match_features import PATCH, GridUNet, MatchFeatures


def test_features_stand_beside_what_came_in():
    torch.manual_seed(0)
    module = MatchFeatures(8, channels=16, widths=(16, 24), detail=8)
    features, image = torch.randn(2, 16, 8, 8), torch.rand(2, 3, 32, 32) * 255
    found = module(features, image)
    assert found.shape == (2, 16 + 16 + 8, 8, 8)
    assert torch.equal(found[:, :16], features)


def test_detail_of_a_token_comes_from_its_own_pixels_and_their_neighbours():
    torch.manual_seed(0)
    module = MatchFeatures(8, channels=16, widths=(16, 24), detail=8)
    image = torch.full((1, 3, 32, 32), 127.5)
    changed = image.clone()
    changed[..., :PATCH, :PATCH] = 255
    moved = module.detail(F.pixel_unshuffle(changed / 127.5 - 1, PATCH)) - module.detail.bias.view(
        1, -1, 1, 1
    )
    assert moved[..., :2, :2].abs().amin(dim=1).min() > 0
    assert moved[..., 2:, :].abs().max() == 0
    full = module(torch.zeros(1, 16, 8, 8), changed) - module(torch.zeros(1, 16, 8, 8), image)
    assert full[:, -8:, 2:, :].abs().max() == 0


def test_large_pictures_are_averaged_to_four_pixels_for_each_token():
    torch.manual_seed(0)
    module = MatchFeatures(8, channels=16, widths=(16, 24), detail=8)
    features, small = torch.randn(1, 16, 8, 8), torch.rand(1, 3, 32, 32) * 255
    large = small.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert torch.allclose(module(features, large), module(features, small), atol=1e-5)


def test_place_is_the_centre_of_each_token():
    place = MatchFeatures(8, channels=16, widths=(16, 24)).place[0]
    assert place[0, 0, 0] == pytest.approx(-1 + 1 / 8)
    assert place[1, -1, 0] == pytest.approx(1 - 1 / 8)
    assert place[3, 0, 5] == pytest.approx(math.cos(math.pi * (5.5 / 4 - 1)), abs=1e-6)


def test_the_u_net_keeps_its_grid_and_learns_at_every_level():
    module = GridUNet(5, (8, 16, 24))
    found = module(torch.randn(2, 5, 12, 12))
    assert found.shape == (2, 8, 12, 12)
    found.square().sum().backward()
    assert all(value.grad is not None and value.grad.abs().sum() > 0 for value in module.parameters())


@pytest.mark.parametrize("widths", [(16,), (16, 20), (8, 8, 8, 8, 8)])
def test_widths_that_do_not_fit_are_refused(widths):
    with pytest.raises(ConfigError, match="match_widths: expected two or more multiples of 8"):
        MatchFeatures(8, channels=16, widths=widths)
