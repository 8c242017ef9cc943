"""PerSAM: guided attention and cosine maps against loops, the cascade, the guide switched off again."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from experiment.ksam_peers.base import enlarge
from experiment.ksam_peers.persam import GuidedAttention, PerSamPeer, build_persam
from segment_anything.modeling.transformer import Attention
from toy_backbones import build_toy, random_images
from toy_peers import make_context, shrink_backbones, write_backbone


def attend(
    attention: Attention, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, bias: np.ndarray
) -> np.ndarray:
    """One sample, written out head by head and token by token."""
    heads, rows = attention.num_heads, []
    q, k, v = attention.q_proj(q), attention.k_proj(k), attention.v_proj(v)
    width = q.shape[1] // heads
    for token in q:
        parts = []
        for head in range(heads):
            own = slice(head * width, (head + 1) * width)
            scores = np.array([float(token[own] @ key[own]) / math.sqrt(width) for key in k]) + bias
            shares = np.exp(scores - scores.max())
            parts += [(shares / shares.sum()) @ v[:, own].numpy()]
        rows.append(np.concatenate(parts))
    return attention.out_proj(torch.from_numpy(np.stack(rows)).float()).numpy()


@torch.no_grad()
def test_guided_attention_equals_a_loop() -> None:
    torch.manual_seed(0)
    attention = Attention(16, 2, downsample_rate=2)
    q, k, v = torch.randn(1, 3, 16), torch.randn(1, 5, 16), torch.randn(1, 5, 16)
    guided = GuidedAttention(attention)
    torch.testing.assert_close(guided(q, k, v), attention(q, k, v))
    guided.bias = torch.randn(1, 1, 1, 5)
    wanted = attend(attention, q[0], k[0], v[0], guided.bias.flatten().numpy())
    np.testing.assert_allclose(guided(q, k, v)[0].numpy(), wanted, atol=1e-5)


def make_peer(folder: Path, **changes: bool) -> PerSamPeer:
    return PerSamPeer(build_toy("tiny"), make_context(folder), **changes)


@torch.no_grad()
def test_the_map_is_the_mean_of_cosines_over_the_foreground(tmp_path: Path) -> None:
    peer = make_peer(tmp_path)
    template, concept = peer.templates[0], peer.concepts[0]
    features = peer.sam.image_encoder(template.image)[0]
    picture = peer.sam.image_encoder(random_images(1, 64))[0]
    share = torch.nn.functional.avg_pool2d(template.masks[:1], 64 // features.shape[-1])[0]
    total, weight = np.zeros(picture.shape[1:]), 0.0
    for y, x in torch.nonzero(share).tolist():
        cosine = torch.cosine_similarity(picture, features[:, y, x, None, None], dim=0)
        total, weight = total + float(share[y, x]) * cosine.numpy(), weight + float(share[y, x])
    found = torch.einsum("c,cyx->yx", concept.direction[0], torch.nn.functional.normalize(picture, dim=0))
    np.testing.assert_allclose(found.numpy(), total / weight, atol=1e-4)


@torch.no_grad()
def test_without_its_additions_it_is_sam_with_two_points(tmp_path: Path) -> None:
    peer, image = make_peer(tmp_path, guided=False, refine=False), random_images(1, 64)
    found = peer.segment(image, torch.zeros(2, 64, 64))
    assert list(found) == [template.id for template in peer.templates]
    name, concept = peer.templates[0].id, peer.concepts[0]
    features = peer.sam.image_encoder(image)
    unit = torch.nn.functional.normalize(features, dim=1)[0]
    similarity = torch.einsum("nc,cyx->nyx", concept.direction, unit).numpy()
    for place, one in enumerate(similarity):
        points = [np.unravel_index(choose(one), one.shape) for choose in (np.argmax, np.argmin)]
        at = torch.tensor(
            [[[(x + 0.5) * 64 / len(one), (y + 0.5) * 64 / len(one)] for y, x in points]]
        ).float()
        alone = enlarge(peer.sam(image, points=(at, torch.tensor([[1.0, 0.0]]))), 64)[0, 0]
        torch.testing.assert_close(found[name][place], alone, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_the_guide_changes_the_answer_and_is_off_afterwards(tmp_path: Path) -> None:
    peer, image = make_peer(tmp_path, refine=False), random_images(1, 64)
    box = torch.tensor([[5.0, 5, 30, 30]])
    before = peer.sam(image, box)
    guided = peer.segment(image, torch.zeros(2, 64, 64))
    torch.testing.assert_close(peer.sam(image, box), before)
    peer.guided = False
    plain = peer.segment(image, torch.zeros(2, 64, 64))
    assert not torch.allclose(guided[peer.templates[0].id], plain[peer.templates[0].id])


@torch.no_grad()
def test_boxes_of_the_cascade(tmp_path: Path) -> None:
    peer = make_peer(tmp_path)
    logits = torch.full((2, 1, 32, 32), -1.0)  # half of 64 pixels
    logits[0, 0, 4:10, 6:9] = 1
    points = torch.tensor([[[1.0, 1], [2, 2]], [[20.0, 30], [2, 2]]])
    assert peer._find_boxes(logits, points).tolist() == [[12, 8, 18, 20], [18, 28, 22, 32]]


def test_the_whole_cascade_over_a_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shrink_backbones(monkeypatch)
    weights = str(write_backbone(tmp_path / "lite.pth"))
    peer = build_persam(make_context(tmp_path / "d"), weights, "lite")
    found = peer.segment(random_images(1, 32), torch.zeros(2, 32, 32))
    assert all(logits.shape == (2, 32, 32) and logits.isfinite().all() for logits in found.values())
    assert not any(value.requires_grad for value in found.values())
