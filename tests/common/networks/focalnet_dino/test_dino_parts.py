"""Pieces of the detector against hand-worked numbers and torchvision."""

from __future__ import annotations

import math

import pytest
import torch
from torchvision.ops import generalized_box_iou

from common.errors import ConfigError
from common.networks.focalnet_dino.attention import DeformableAttention
from common.networks.focalnet_dino.boxes import generalised_iou, inverse_sigmoid, to_corners
from common.networks.focalnet_dino.build import SIZES, build_focalnet_dino
from common.networks.focalnet_dino.levels import build_levels
from common.networks.focalnet_dino.position import encode_boxes, encode_pixels
from common.networks.focalnet_dino.selection import propose


def test_generalised_iou_equals_torchvisions() -> None:
    torch.manual_seed(0)
    first, second = (to_corners(torch.rand(5, 4) * 0.4 + 0.2) for _ in range(2))
    expected = generalized_box_iou(first, second)
    torch.testing.assert_close(generalised_iou(first[:, None], second), expected, atol=1e-4, rtol=0)
    apart = generalised_iou(torch.tensor([0.0, 0, 0.5, 0.5]), torch.tensor([0.5, 0.5, 1.0, 1.0]))
    assert float(apart) == pytest.approx(-0.5, abs=1e-5)  # nothing in common, half of the hull is empty


def test_empty_boxes_have_finite_overlap() -> None:
    assert generalised_iou(torch.zeros(4), torch.zeros(4)).isfinite()


def test_inverse_sigmoid_is_finite_at_the_ends() -> None:
    values = inverse_sigmoid(torch.tensor([0.0, 0.25, 1.0]))
    torch.testing.assert_close(values, torch.tensor([-math.log(1000), -math.log(3), math.log(1000)]))


def test_positions_run_over_what_is_not_padding() -> None:
    padding = torch.zeros(1, 2, 4, dtype=torch.bool)
    padding[..., 3] = True
    encoded = encode_pixels(padding, 8, 20.0)[0]  # first half y, second half x; sin, cos of two wavelengths
    torch.testing.assert_close(
        encoded[0, :, 0], torch.tensor([math.pi, 2 * math.pi]).sin(), atol=1e-5, rtol=0
    )
    x = torch.arange(1, 4) * 2 * math.pi / 3
    torch.testing.assert_close(encoded[5, 0, :3], x.cos(), atol=1e-5, rtol=0)
    torch.testing.assert_close(encoded[6, 0, :3], (x / math.sqrt(20)).sin(), atol=1e-5, rtol=0)


def test_boxes_are_encoded_y_first() -> None:
    encoded = encode_boxes(torch.tensor([[[0.1, 0.2, 0.3, 0.4]]]), 4)[0, 0]
    assert encoded[::2].tolist() == pytest.approx([math.sin(2 * math.pi * v) for v in (0.2, 0.1, 0.3, 0.4)])


def test_tokens_know_their_place_in_the_image() -> None:
    """Of four columns three are image: centres at 1/6, 1/2, 5/6 of it, at 1/8, 3/8, 5/8 of the padded."""
    padding = torch.zeros(1, 1, 4, dtype=torch.bool)
    padding[..., 3] = True
    levels = build_levels([padding, torch.zeros(1, 1, 1, dtype=torch.bool)])
    centres = levels.centres()
    assert centres[0, :, 0].tolist() == pytest.approx([1 / 6, 1 / 2, 5 / 6, 7 / 6, 1 / 2])
    placed = levels.in_padded(centres)
    assert placed.shape == (1, 5, 2, 2)
    assert placed[0, :3, 0, 0].tolist() == pytest.approx([1 / 8, 3 / 8, 5 / 8])
    assert placed[0, :3, 1, 0].tolist() == pytest.approx([1 / 6, 1 / 2, 5 / 6])


def test_proposals_double_their_size_and_skip_the_padding() -> None:
    paddings = [torch.zeros(1, edge, edge, dtype=torch.bool) for edge in (4, 2)]
    paddings[0][0, 3] = True
    logits, used = propose(build_levels(paddings))
    assert used[0, :, 0].tolist() == [True] * 12 + [False] * 4 + [True] * 4
    boxes = logits.sigmoid()[0]
    assert boxes[0].tolist() == pytest.approx([1 / 8, 1 / 6, 0.05, 0.05])
    assert boxes[-1].tolist() == pytest.approx([3 / 4, 3 / 4, 0.1, 0.1])
    assert boxes[12].tolist() == [1.0] * 4


def test_attention_starts_in_rays() -> None:
    attention = DeformableAttention(SIZES["tiny"])
    offsets = attention.sampling_offsets.bias.view(4, 4, 2, 2)
    torch.testing.assert_close(offsets[1, 2], torch.tensor([[0.0, 1.0], [0.0, 2.0]]), atol=1e-6, rtol=0)


def test_large_is_the_published_one() -> None:
    """Paper of FocalNet-DINO and its configuration DINO_5scale_focalnet_large_fl4."""
    large = SIZES["large_fl4"]
    assert (large.embed, large.depths, large.levels, large.queries) == (192, (2, 2, 18, 2), 5, 900)
    assert (large.encoder_layers, large.decoder_layers, large.ffn, large.temperature) == (6, 6, 2048, 20)


def test_settings_of_a_config_are_taken() -> None:
    network = build_focalnet_dino("tiny", num_classes=2, depths=[1, 1, 1, 1], queries=7)
    assert network.sizes.depths == (1, 1, 1, 1)
    assert network.selection.tgt_embed.weight.shape == (7, 64)
    assert network.decoder.class_embed.out_features == 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": "huge"}, r"expected tiny or large_fl4, got 'huge'"),
        ({"querys": 5}, r"expected settings of DinoSizes, got querys"),
        ({"queries": 0}, r"queries: expected at least 1, got 0"),
        ({"depths": [1, 1]}, r"expected four numbers each, got \(1, 1\)"),
        ({"stages": [1, 4]}, r"stages: expected some of 0, 1, 2, 3 in order, got \(1, 4\)"),
        ({"stages": []}, r"stages: expected some of 0, 1, 2, 3 in order, got \(\)"),
        ({"levels": 2}, r"levels: expected at least the 3 stages, got 2"),
        ({"width": 72}, r"width: expected a multiple of 32 and of twice the 4 heads, got 72"),
        ({"box_noise": 2}, r"denoising: expected a number from 0 on and noises from 0 to 1, got 20, 0.5, 2"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(settings, message) -> None:
    with pytest.raises(ConfigError, match=message):
        build_focalnet_dino(**settings)
