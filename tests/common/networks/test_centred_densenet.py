"""The centred DenseNet is the same function."""

from __future__ import annotations

import torch
from torch import nn
from torchvision.models import DenseNet

from common.networks.centred_densenet import Floor, centre_stems


def test_same_function_with_a_centred_stem():
    torch.manual_seed(0)
    network = DenseNet(growth_rate=4, block_config=(2, 2), num_init_features=8, num_classes=3).eval()
    for norm in [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]:
        nn.init.uniform_(norm.running_mean, -1, 2)
        nn.init.uniform_(norm.running_var, 0.1, 1)
        nn.init.normal_(norm.bias)
    image = torch.rand(2, 3, 64, 64)
    wrapped = nn.Sequential(nn.Identity(), network)
    with torch.no_grad():
        expected, before = wrapped(image), network.features[:4](image)
        centred = centre_stems(wrapped)
        torch.testing.assert_close(centred(image), expected, atol=1e-4, rtol=1e-4)
        mean = network.features.denseblock1.denselayer1.norm1.running_mean
        torch.testing.assert_close(centred[1].features[:4](image), before - mean.reshape(1, -1, 1, 1))
        torch.testing.assert_close(wrapped(image), expected)  # the original is as it was


def test_floor_is_a_relu_whose_zero_has_moved():
    image = torch.tensor([[-3.0, 0.5], [1.0, -1.0]]).reshape(1, 2, 1, 2)
    expected = torch.tensor([[-1.0, 0.5], [2.0, 2.0]]).reshape(1, 2, 1, 2)
    torch.testing.assert_close(Floor(torch.tensor([-1.0, 2.0]))(image), expected)


def test_other_networks_are_left_alone():
    network = nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2))
    assert centre_stems(network) is network
