"""The network as a whole: its parts agree, it reads the prompt, everything that is trained learns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from toy_ksam import SIZE_PX, build_toy

from common.errors import ConfigError, InputError
from common.networks.sam import build_sam
from ksam.knowledge_sam import Knowledge, KSam
from ksam.options import find_options

VARIANTS: list[dict[str, Any]] = [
    {},
    {"km": False},
    {"pm": False},
    {"km": False, "pm": False},
    {"pm": False, "without_pm": "none"},
    {"prior": "both", "prior_position": True},
    {"prior": "dense", "km": False},
    {"prior": "merge"},
    {"pm_parser": "channels", "pm_out": "separable"},
    {"lora_rank": 2, "lora_targets": ("q", "v", "mlp")},
]


def wake(network: KSam) -> KSam:
    """Random numbers where a layer starts at zero."""
    torch.manual_seed(7)
    with torch.no_grad():
        for value in network.trainable_parameters():
            if not value.any():
                torch.nn.init.normal_(value, std=0.2)
    return network


def draw(count: int = 2, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Pictures, pictures of templates, masks."""
    generator = torch.Generator().manual_seed(seed)
    shape = (count, 3, SIZE_PX, SIZE_PX)
    image, template = (torch.randint(0, 256, shape, generator=generator).float() for _ in range(2))
    mask = (torch.rand(count, 1, SIZE_PX, SIZE_PX, generator=generator) > 0.5).float()
    return image, template, mask


@pytest.mark.parametrize("options", VARIANTS)
def test_variant_reads_the_mask_and_learns(options: dict[str, Any]) -> None:
    network, (image, template, mask) = wake(build_toy(**options)).train(), draw()
    logits = network(image, template, mask)
    assert logits.shape == (2, 1, SIZE_PX, SIZE_PX)
    assert (network(image, template, 1 - mask) - logits).abs().max() > 1e-5
    assert (network(image, image, mask) - logits).abs().max() > 1e-5
    logits.square().sum().backward()
    assert [name for name in network.trained_names if network.get_parameter(name).grad is None] == []
    others = {name for name, _ in network.named_parameters()} - set(network.trained_names)
    assert all(network.get_parameter(name).grad is None for name in others)


@pytest.mark.parametrize("options", VARIANTS)
def test_item_of_a_batch_equals_the_item_alone(options: dict[str, Any]) -> None:
    network, batch = wake(build_toy(**options)), draw(3)
    with torch.no_grad():
        torch.testing.assert_close(
            network(*batch)[1:2], network(*(x[1:2] for x in batch)), rtol=1e-3, atol=1e-4
        )


@pytest.mark.parametrize("options", [{}, {"prior": "both", "lora_rank": 2}])
def test_gradient_in_bf16_is_close_to_fp32(options: dict[str, Any]) -> None:
    network, (image, template, mask) = wake(build_toy(**options)), draw()
    features, known = (network.encode(x).detach() for x in (image, template))
    gradients = []
    for enabled in (False, True):
        network.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            logits = network.segment(features, network.read_prompt(known, template, mask))
        assert logits.dtype == torch.float32
        torch.nn.functional.binary_cross_entropy_with_logits(logits, mask).backward()
        gradients.append(
            torch.cat([x.grad.flatten() for x in network.trainable_parameters() if x.grad is not None])
        )
    assert torch.nn.functional.cosine_similarity(*gradients, dim=0) > 0.97


def test_forward_is_the_sum_of_its_steps() -> None:
    network, (image, template, mask) = wake(build_toy()), draw()
    with torch.no_grad():
        knowledge = network.read_prompt(network.encode(template), template, mask)
        assert torch.equal(network.segment(network.encode(image), knowledge), network(image, template, mask))


def test_task_features_are_sams_mask_convolutions() -> None:
    """DE1 is what SAM's own prompt encoder makes of the mask's logits, a cell's mask is its share."""
    network, (_, template, mask) = build_toy(), draw()
    with torch.no_grad():
        knowledge = network.read_prompt(network.encode(template), template, mask)
        expected = network.sam.prompt_encoder(None, None, 16 * mask - 8)[1]  # lite: S is 4 g
    torch.testing.assert_close(knowledge.task, expected)
    share = mask[1, 0].numpy().reshape(8, 4, 8, 4).mean(axis=(1, 3))
    np.testing.assert_allclose(knowledge.mask[1, 0].numpy(), share, rtol=1e-6)


def test_untrained_paper_network_decodes_the_pictures_own_features() -> None:
    """Knowledge Merge starts at zero, so the decoder sees IE, no_mask_embed and promptE."""
    network, (image, template, mask) = build_toy(), draw(1)
    with torch.no_grad():
        features = network.encode(image)
        knowledge = network.read_prompt(network.encode(template), template, mask)
        assert network.prompt_merge is not None
        position = network.sam.prompt_encoder.get_dense_pe()
        tokens = network.prompt_merge(features, *knowledge[:3], position)
        dense = network.sam.prompt_encoder.no_mask_embed.weight.view(1, -1, 1, 1).expand(1, -1, 8, 8)
        expected, _ = network.sam.mask_decoder(features, position, tokens, dense, multimask_output=False)
        torch.testing.assert_close(network.segment(features, knowledge), expected)


def test_pooled_tokens_are_means_inside_and_outside() -> None:
    network = build_toy(km=False, pm=False)
    knowledge = Knowledge(*(torch.randn(1, 256, 8, 8) for _ in range(3)), torch.rand(1, 1, 8, 8))
    with torch.no_grad():
        tokens = network._merge_prompt(knowledge.features, knowledge)[0]
    summed = sum(x[0].flatten(1).double().numpy() for x in knowledge[:3])
    share = knowledge.mask.flatten().double().numpy()
    for row, weights in zip(tokens.numpy(), (share, 1 - share), strict=True):
        np.testing.assert_allclose(row, np.average(summed, axis=1, weights=weights), rtol=1e-4, atol=1e-5)


def test_one_template_for_many_pictures_and_many_for_one() -> None:
    network, (image, template, mask) = wake(build_toy()), draw(3)
    with torch.no_grad():
        features = network.encode(image)
        knowledge = network.read_prompt(network.encode(template), template, mask)
        first = Knowledge(*(x[:1] for x in knowledge))
        for many, single in (
            (
                network.segment(features, first),
                [network.segment(features[i : i + 1], first) for i in range(3)],
            ),
            (
                network.segment(features[:1], knowledge),
                [
                    network.segment(features[:1], Knowledge(*(x[i : i + 1] for x in knowledge)))
                    for i in range(3)
                ],
            ),
        ):
            torch.testing.assert_close(many, torch.cat(single), rtol=1e-3, atol=1e-4)


def test_bank_is_the_mean_over_explicit_prompts() -> None:
    network, (image, *_) = wake(build_toy(prior="both")), draw(2)
    _, templates, masks = draw(6, seed=1)
    images, masks = templates.unflatten(0, (3, 2)), masks.unflatten(0, (3, 2))
    network.set_bank(images, masks, ("a", "b", "c"))
    with torch.no_grad():
        logits = network(image)
        for structure in range(3):
            each = [
                network(image, images[structure, k : k + 1], masks[structure, k : k + 1]) for k in range(2)
            ]
            torch.testing.assert_close(
                logits[:, structure : structure + 1], torch.stack(each).mean(dim=0), rtol=1e-3, atol=1e-4
            )


def test_kept_bank_features_follow_bank_and_weights() -> None:
    network, (image, templates, masks) = wake(build_toy(lora_rank=1)), draw()
    network.set_bank(templates[None], masks[None])
    with torch.no_grad():
        first = network(image)
        assert network.encode_bank() is network.encode_bank()
        network.set_bank(templates[:1, None], masks[:1, None])
        assert not torch.equal(network(image), first)
        network.set_bank(templates[None], masks[None])
        before = network.encode_bank()
        state = {key: value + 0.1 if "lora" in key else value for key, value in network.state_dict().items()}
        network.load_state_dict(state)
        assert not torch.equal(network.encode_bank(), before)
        before = network.encode_bank()
        network.train()
        assert network.encode_bank() is not network.encode_bank()
        network.eval()
        assert network.encode_bank() is not before


def test_placeholder_bank_answers_for_checks_of_the_format() -> None:
    image, *_ = draw()
    network = KSam(build_toy().sam, build_toy().options, structures=3)
    assert network.eval()(image).shape == (2, 3, SIZE_PX, SIZE_PX)
    assert network.bank.is_placeholder
    assert network.card.purpose == "untrained"


def test_light_delta_stays_below_20_mb() -> None:
    with torch.device("meta"):
        network = KSam(build_sam("lite"), find_options("lite", {}))
    assert 2 * sum(value.numel() for value in network.trainable_parameters()) / 1e6 < 17


def test_refuses_shapes() -> None:
    network, (image, template, mask) = build_toy(), draw()
    with pytest.raises(InputError, match=r"image: expected \(B, 3, 32, 32\), got \(2, 3, 32, 16\)"):
        network(image[..., :16], template, mask)
    with pytest.raises(InputError, match=r"knowledge_mask: expected \(B, 1, 32, 32\), got \(2, 3, 32, 32\)"):
        network(image, template, image)
    with pytest.raises(InputError, match=r"expected one template or as many as pictures \(2\), got 3"):
        network(image, *draw(3)[1:])


def test_refuses_half_a_prompt_and_an_empty_bank() -> None:
    network, (image, template, _) = build_toy(), draw()
    with pytest.raises(InputError, match="expected a picture and its mask, got one of them"):
        network(image, template)
    with pytest.raises(InputError, match="expected a knowledge prompt or a filled bank, got neither"):
        network(image)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"km_grid": 4}, "km_grid: expected a multiple of 4, at least 8, that divides 8"),
        ({"prior": "both", "prior_grid": 5}, "prior_grid: expected a number that divides 8"),
        ({"prior": "both", "prior_cells": 3}, "that prior_cells divides, got 8 with 3 cells"),
    ],
)
def test_refuses_grids(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_toy(**options)
