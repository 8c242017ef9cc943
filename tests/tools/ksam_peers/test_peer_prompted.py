"""SAM with oracle prompts: batches against single calls, what is trained, and absent structures."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from experiment.ksam_peers.base import enlarge
from experiment.ksam_peers.oracle import OraclePrompt
from experiment.ksam_peers.prompted import PromptedPeer, PromptedSam, build_prompted
from toy_backbones import build_toy, random_images
from toy_peers import make_context, shrink_backbones, write_backbone

from common.errors import ConfigError


def make_truth() -> torch.Tensor:
    """(2, 2, 64, 64): picture 0 shows both structures, picture 1 the second only."""
    truth = torch.zeros(2, 2, 64, 64)
    truth[0, 0, 5:20, 8:30] = truth[0, 1, 40:50, 41:60] = truth[1, 1, 12:33, 3:9] = 1
    return truth


def test_a_batch_equals_single_boxes() -> None:
    sam = build_toy("tiny")
    network, image, truth = PromptedSam(sam, OraclePrompt("box")), random_images(2, 64), make_truth()
    with torch.no_grad():
        found = network(image, truth)
        for picture, structure, box in (
            (0, 0, [8, 5, 30, 20]),
            (0, 1, [41, 40, 60, 50]),
            (1, 1, [3, 12, 9, 33]),
        ):
            alone = enlarge(sam(image[picture : picture + 1], torch.tensor([box]).float()), 64)[0, 0]
            torch.testing.assert_close(found[picture, structure], alone, rtol=1e-4, atol=1e-4)
    assert (found[1, 0] < -10).all()


def test_a_point_equals_sam_with_that_point() -> None:
    sam, truth = build_toy("tiny"), torch.zeros(1, 1, 64, 64)
    truth[0, 0, 30, 20] = 1
    with torch.no_grad():
        found = PromptedSam(sam, OraclePrompt("point"))(random_images(1, 64), truth)
        points = (torch.tensor([[[20.5, 30.5]]]), torch.ones(1, 1))
        torch.testing.assert_close(found, enlarge(sam(random_images(1, 64), points=points), 64))
    assert (PromptedSam(sam, OraclePrompt("point"))(random_images(1, 64), truth * 0) < -10).all()


def test_answers_differ_from_each_other_but_not_from_run_to_run(tmp_path: Path) -> None:
    network = PromptedSam(build_toy("tiny"), OraclePrompt("box", 200))
    peer = PromptedPeer(network, make_context(tmp_path, answers=3), False)
    with torch.no_grad():
        first, second = (peer.segment(random_images(1, 64), make_truth()[0]) for _ in range(2))
    assert list(first) == ["prompt 1", "prompt 2", "prompt 3"] and peer.trained is None
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["prompt 1"], first["prompt 2"])


@pytest.mark.parametrize(("train", "encoder"), [("decoder", "none"), ("lora", "lora"), ("all", "every")])
def test_what_is_trained(train: str, encoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shrink_backbones(monkeypatch)
    weights = str(write_backbone(tmp_path / "lite.pth"))
    peer = build_prompted(make_context(tmp_path / "d"), weights, "lite", "box", 20, train)
    assert peer.trained is not None and peer.image_size == 32
    names = {name: value.requires_grad for name, value in peer.trained.named_parameters()}
    own = {name: wanted for name, wanted in names.items() if "image_encoder" in name}
    assert all(wanted for name, wanted in names.items() if "mask_decoder" in name)
    expected = {"none": 0, "lora": sum("lora" in name for name in own), "every": len(own)}
    assert sum(own.values()) == expected[encoder] and any(own.values()) == (encoder != "none")


def test_refusals() -> None:
    with pytest.raises(ConfigError, match="train: expected null, decoder, lora, all, got 'head': choose one"):
        PromptedSam(build_toy("tiny"), OraclePrompt("box"), "head")


def test_gradients_reach_the_decoder_only() -> None:
    sam = build_toy("tiny").requires_grad_(False)
    PromptedSam(sam, OraclePrompt("box"), "decoder")(random_images(2, 64), make_truth()).sum().backward()
    grad = sam.mask_decoder.mask_tokens.weight.grad
    assert grad is not None and grad[0].any()
    assert all(value.grad is None for value in sam.image_encoder.parameters())
