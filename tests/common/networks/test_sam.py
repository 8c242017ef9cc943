"""SAM against segment_anything's own modules with the same weights; the decoder against single pictures."""

from __future__ import annotations

import warnings
from functools import partial

import pytest
import torch
from segment_anything import sam_model_registry
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, TwoWayTransformer
from torch import nn
from toy_backbones import TOY_TINY, TOY_VIT, TOYS, build_toy, random_images

from common.errors import ConfigError
from common.networks.sam import BACKBONES, build_sam, find_backbone
from common.networks.sam_vit import VitEncoder, VitSizes

IMAGENET = torch.tensor([123.675, 116.28, 103.53]), torch.tensor([58.395, 57.12, 57.375])


def normalise(image: torch.Tensor) -> torch.Tensor:
    """As segment_anything does before its encoder."""
    mean, std = (values.view(3, 1, 1) for values in IMAGENET)
    return (image - mean) / std


def test_vit_equals_segment_anything() -> None:
    ours = build_toy("vit")
    norm = partial(nn.LayerNorm, eps=1e-6)
    encoder = partial(ImageEncoderViT, use_rel_pos=True, window_size=14, norm_layer=norm)
    theirs = encoder(256, 16, 3, 32, 3, 2, global_attn_indexes=(1,)).eval()
    theirs.load_state_dict(ours.image_encoder.state_dict())
    image = random_images(2, 256)
    with torch.no_grad():
        found, expected = ours.image_encoder(image), theirs(normalise(image))
    assert found.shape == (2, 256, 16, 16)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


@pytest.mark.slow
def test_vit_b_equals_segment_anything_at_1024() -> None:
    torch.manual_seed(0)
    theirs, ours = sam_model_registry["vit_b"](), build_sam("vit_b", 1024)
    assert set(ours.state_dict()) == set(theirs.state_dict())
    with torch.no_grad():
        for value in theirs.parameters():
            value.add_(0.02 * torch.randn_like(value))
        ours.load_state_dict(theirs.state_dict())
        image, box = random_images(1, 1024), torch.tensor([[100.0, 200, 600, 700]])
        expected = theirs.image_encoder(normalise(image))
        torch.testing.assert_close(ours.image_encoder(image), expected, rtol=0, atol=1e-4)
        sparse, dense = theirs.prompt_encoder(None, box, None)
        place = theirs.prompt_encoder.get_dense_pe()
        logits = theirs.mask_decoder(expected, place, sparse, dense, multimask_output=False)[0]
        torch.testing.assert_close(ours(image, box), logits, rtol=1e-3, atol=1e-3)


@pytest.fixture(scope="module")
def decoding() -> tuple[MaskDecoder, nn.Module, torch.Tensor, torch.Tensor]:
    """segment_anything's decoder, a toy SAM with its weights, features of two pictures, prompts of two."""
    sam = build_toy("tiny")
    theirs = MaskDecoder(transformer_dim=256, transformer=TwoWayTransformer(2, 256, 8, 2048)).eval()
    theirs.load_state_dict(sam.mask_decoder.state_dict())
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2, 256, 16, 16, generator=generator)
    return theirs, sam, features, torch.randn(2, 3, 256, generator=generator)


@torch.no_grad()
def test_decoder_gives_each_picture_its_own_prompt(decoding) -> None:
    theirs, sam, features, prompts = decoding
    place = sam.prompt_encoder.get_dense_pe()
    dense = sam.prompt_encoder(None, None, None)[1]
    for multimask in (False, True):
        pairs = [
            theirs(features[i : i + 1], place, prompts[i : i + 1], dense, multimask_output=multimask)
            for i in range(2)
        ]
        found = sam.mask_decoder(features, place, prompts, dense, multimask_output=multimask)
        for ours, expected in zip(found, zip(*pairs, strict=True), strict=True):
            torch.testing.assert_close(ours, torch.cat(expected), rtol=0, atol=1e-5)


@torch.no_grad()
def test_decoder_gives_one_picture_all_prompts(decoding) -> None:
    theirs, sam, features, prompts = decoding
    place = sam.prompt_encoder.get_dense_pe()
    dense = sam.prompt_encoder(None, None, None)[1]
    expected = theirs(features[:1], place, prompts, dense.expand(2, -1, -1, -1), multimask_output=False)[0]
    torch.testing.assert_close(sam.decode(features[:1], prompts, dense), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", sorted(TOYS))
@torch.no_grad()
def test_trace_takes_another_batch(kind: str) -> None:
    network, image = build_toy(kind), random_images(3, TOYS[kind][1])
    boxes = torch.tensor([[4.0, 4, 30, 40], [1, 2, 3, 4], [8, 8, 60, 60]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecation of TorchScript, and shapes that the encoders read
        traced = torch.jit.trace(network, (image[:1], boxes[:1]))
    torch.testing.assert_close(traced(image, boxes), network(image, boxes), rtol=0, atol=1e-4)


@pytest.mark.parametrize("kind", sorted(TOYS))
@torch.no_grad()
def test_points_and_boxes_reach_the_decoder(kind: str) -> None:
    network, image = build_toy(kind), random_images(1, TOYS[kind][1])
    points = torch.tensor([[[10.0, 20.0]]]), torch.ones(1, 1)
    answers = [
        network(image),
        network(image, points=points),
        network(image, torch.tensor([[5.0, 5, 20, 30]])),
    ]
    assert {tuple(answer.shape) for answer in answers} == {(1, 1, 64, 64)}
    assert not torch.allclose(answers[0], answers[1]) and not torch.allclose(answers[1], answers[2])


def test_sizes_and_normalisation_of_every_backbone() -> None:
    with torch.device("meta"):
        built = {name: build_sam(name) for name in BACKBONES}
    assert {name: (sam.image_size, sam.grid) for name, sam in built.items()} == {
        "vit_b": (512, 32),
        "medsam": (512, 32),
        "lite": (256, 64),
    }
    assert sum(value.numel() for value in built["lite"].parameters()) == 9_791_300
    for name, sam in built.items():
        assert not any("pixel" in key for key in sam.state_dict())
        pixels = BACKBONES[name].pixels
        assert pixels == (((0.0,) * 3, (255.0,) * 3) if name != "vit_b" else pixels)
    torch.testing.assert_close(torch.tensor(BACKBONES["vit_b"].pixels), torch.stack(IMAGENET))


def test_batch_statistics_are_never_learnt() -> None:
    encoder = build_toy("tiny").image_encoder.train()
    before = {name: value.clone() for name, value in encoder.named_buffers()}
    encoder(random_images(2, 64))
    assert all(torch.equal(value, before[name]) for name, value in encoder.named_buffers())
    assert encoder.training


def test_training_after_inference_mode() -> None:
    network = build_toy("tiny")
    with torch.inference_mode():
        network(random_images(1, 64))
    network(random_images(1, 64)).mean().backward()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("vit_h",), "backbone: expected one of vit_b, medsam, lite, got 'vit_h': correct the setting"),
        (("vit_b", 500), "image_size: expected a multiple of 16 pixels, got 500: take 496"),
        ((TOY_TINY, 2), "image_size: expected a multiple of 4 pixels, got 2: take 4"),
        ((TOY_VIT, 0), "image_size: expected a multiple of 16 pixels, got 0: take 16"),
    ],
)
def test_refusals(arguments: tuple, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_sam(*arguments)


def test_numbers_of_a_name() -> None:
    assert isinstance(find_backbone("medsam"), VitSizes)
    assert isinstance(build_toy("vit").image_encoder, VitEncoder)
