"""PrAdaptor against loops, its sizes and refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from einops import EinopsError
from loop_layers import convolve, gelu, mean_areas, to_array

from common.errors import ConfigError
from common.layers.pr_adaptor import PrAdaptor


def count(module: torch.nn.Module) -> int:
    return sum(value.numel() for value in module.parameters())


def test_parameters_of_the_papers_size() -> None:
    adaptor = PrAdaptor(512, 128)
    assert count(adaptor.image) == 305
    assert count(adaptor) - count(adaptor.image) == 2


@pytest.mark.parametrize("ratio", [1, 2, 4])
def test_equals_loops(ratio: int) -> None:
    torch.manual_seed(ratio)
    adaptor = PrAdaptor(8, 8 // ratio, hidden=5, logit=3.0).double()
    torch.nn.init.normal_(adaptor.image[1].weight)
    torch.nn.init.normal_(adaptor.image[1].bias)
    image, mask = torch.rand(2, 3, 8, 8).double() * 255, torch.rand(2, 1, 8, 8).double()
    picture, logits = adaptor(image, mask)
    for item in range(2):
        x = convolve(adaptor.image[0], to_array(image[item]) / 127.5 - 1)
        centred = x - x.mean(axis=0)
        x = centred / np.sqrt((centred**2).mean(axis=0) + 1e-6)
        x = (
            x * to_array(adaptor.image[1].weight)[:, None, None]
            + to_array(adaptor.image[1].bias)[:, None, None]
        )
        np.testing.assert_allclose(to_array(picture[item]), convolve(adaptor.image[3], gelu(x)), atol=1e-9)
        np.testing.assert_allclose(
            to_array(logits[item]), 6 * mean_areas(to_array(mask[item]), ratio) - 3, atol=1e-9
        )


def test_mask_becomes_logits() -> None:
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., :4, :] = 1
    logits = PrAdaptor(8, 4)(torch.zeros(1, 3, 8, 8), mask)[1]
    assert logits[0, 0, :, 0].tolist() == [8, 8, -8, -8]


def test_thin_structure_leaves_a_trace() -> None:
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., 5] = 1
    logits = PrAdaptor(16, 4)(torch.zeros(1, 3, 16, 16), mask)[1]
    assert logits[0, 0, 0].tolist() == [-8, -4, -8, -8]


@pytest.mark.parametrize("sizes", [(512, 64), (512, 100), (64, 128)])
def test_refuses_other_ratios(sizes: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match=r"map_size: expected \d+ pixels divided by 1, 2 or 4"):
        PrAdaptor(*sizes)


def test_refuses_two_masks_in_one() -> None:
    with pytest.raises(EinopsError, match="B 1 H W"):
        PrAdaptor(8, 4)(torch.zeros(1, 3, 8, 8), torch.zeros(1, 2, 8, 8))
