"""Vision encoders: timm's own answers, what is frozen, sizes, TorchScript, OpenVINO, refusals."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import timm
import torch
from torch import nn

from common.engines.tensors import build_tensor_engine
from common.errors import ClassifierError, ConfigError
from common.networks.freezing import is_frozen
from common.networks.vision_encoders import ENCODERS, build_vision_encoder


@torch.no_grad()
def test_dino_is_timms_with_its_pixels(tmp_path: Path) -> None:
    theirs = timm.create_model("vit_small_patch16_224.dino", pretrained=False, img_size=32).eval()
    torch.save(theirs.state_dict(), tmp_path / "dino_deitsmall16_pretrain.pth")
    ours = build_vision_encoder("dino_vits16", tmp_path / "dino_deitsmall16_pretrain.pth", image_size=32)
    image, pixels = torch.rand(2, 3, 32, 32), timm.get_pretrained_cfg("vit_small_patch16_224.dino")
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (pixels.mean, pixels.std))
    assert torch.equal(ours(image), theirs((image - mean) / std))
    assert ours.size == 384 and ours.file_name == "dino_deitsmall16_pretrain.pth" and len(ours.sha256) == 64


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("dinov2_vits14", "vit_small_patch14_dinov2.lvd142m"),
        ("vit_b16", "vit_base_patch16_224.augreg_in1k"),
        ("resnet50", "resnet50.a1_in1k"),
        ("clip_vit_b16", "vit_base_patch16_clip_quickgelu_224.openai"),
        ("clip_resnet50", "resnet50_clip.openai"),
        ("dino_vits8", "vit_small_patch8_224.dino"),
        ("dino_vitb16", "vit_base_patch16_224.dino"),
    ],
)
def test_architecture_and_pixels_are_timms(name: str, published: str) -> None:
    """Names and shapes of all tensors but heads, and the pixels' mean and deviation."""
    with torch.device("meta"):
        theirs = timm.create_model(published.partition(".")[0], pretrained=False)
        sizes = ENCODERS[name]
        ours = sizes.make(**sizes.arguments)
    shapes = [
        {
            key: value.shape
            for key, value in network.state_dict().items()
            if not key.startswith(("head.", "fc."))
        }
        for network in (ours, theirs)
    ]
    for table in shapes:
        table.pop("pos_embed", None)  # of another size of picture
    assert shapes[0] == shapes[1]
    config = timm.get_pretrained_cfg(published)
    assert sizes.pixels == (tuple(config.mean), tuple(config.std))


@pytest.mark.parametrize("name", ["tiny", "tiny_resnet"])
def test_a_state_dict_of_the_encoder_itself_is_read_back(name: str, tmp_path: Path) -> None:
    one = build_vision_encoder(name, frozen_blocks=0)
    torch.save(one.state_dict(), tmp_path / "own.pt")
    two = build_vision_encoder(name, tmp_path / "own.pt", frozen_blocks=0)
    image = torch.rand(1, 3, one.image_size, one.image_size)
    assert torch.equal(one(image), two(image)) and one(image).shape == (1, one.size)


@pytest.mark.parametrize(("name", "blocks"), [("tiny", 4), ("tiny_resnet", 4)])
def test_the_first_blocks_are_frozen(name: str, blocks: int) -> None:
    encoder = build_vision_encoder(name, frozen_blocks=blocks - 1).train()
    first, last = encoder.blocks[0], encoder.blocks[-1]
    assert len(encoder.blocks) == blocks
    assert is_frozen(first) and not first.training and last.training and not is_frozen(last)
    encoder(torch.rand(2, 3, encoder.image_size, encoder.image_size)).sum().backward()
    trained = {key for key, value in encoder.named_parameters() if value.grad is not None}
    assert trained == {key for key, value in encoder.named_parameters() if value.requires_grad}
    assert not any("patch_embed" in key or "conv1.0" in key for key in trained)


def test_all_blocks_frozen_is_the_whole_encoder_and_none_is_none() -> None:
    assert is_frozen(build_vision_encoder("tiny", frozen_blocks=4))
    assert all(value.requires_grad for value in build_vision_encoder("tiny", frozen_blocks=0).parameters())


def test_batch_statistics_of_frozen_blocks_stay() -> None:
    encoder = build_vision_encoder("tiny_resnet", frozen_blocks=2).train()
    norms = [next(m for m in block.modules() if isinstance(m, nn.BatchNorm2d)) for block in encoder.blocks]
    before = [norm.running_mean.clone() for norm in norms if norm.running_mean is not None]
    encoder(torch.rand(2, 3, 96, 96))
    after = [norm.running_mean for norm in norms if norm.running_mean is not None]
    same = [torch.equal(one, two) for one, two in zip(before, after, strict=True)]
    assert same == [True, True, False, False]


@torch.no_grad()
@pytest.mark.parametrize("name", ["tiny", "tiny_resnet"])
def test_torchscript_and_openvino_answer_alike_for_any_number_of_pictures(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder = build_vision_encoder(name, frozen_blocks=0)
    example, images = (torch.rand(count, 3, encoder.image_size, encoder.image_size) for count in (2, 5))
    wanted = encoder(images)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(encoder, example)
    assert torch.allclose(traced(images), wanted, atol=1e-5)
    engine = build_tensor_engine(encoder, [example], "openvino", "fp32")
    assert torch.allclose(engine(images), wanted, atol=1e-4)


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="vision: expected one of dino_vits16.*, got 'dino': correct"):
        build_vision_encoder("dino")
    with pytest.raises(
        ConfigError, match="image_size: expected a multiple of 8 pixels for tiny, got 60: take 64"
    ):
        build_vision_encoder("tiny", frozen_blocks=0, image_size=60)
    with pytest.raises(
        ConfigError, match="image_size: expected 224 for clip_resnet50, got 256: leave it out"
    ):
        build_vision_encoder("clip_resnet50", image_size=256)
    with pytest.raises(ConfigError, match="frozen_blocks: expected 0 to 4 for tiny, got 9: take 4"):
        build_vision_encoder("tiny")
    torch.save(build_vision_encoder("tiny_resnet", frozen_blocks=0).state_dict(), tmp_path / "a.pt")
    with pytest.raises(
        ClassifierError, match="a.pt: expected the tensors of VisionTransformer, but it lacks"
    ):
        build_vision_encoder("tiny", tmp_path / "a.pt", frozen_blocks=0)
