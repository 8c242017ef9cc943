"""LLaVA: what it is asked and learns from, what of it is trained, and how its words are read."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from experiment.mmbcd_peers.base import PICTURE, Batch
from experiment.mmbcd_peers.llava import PROMPT, LlavaPeer, build_llava, read_answer
from toy_mammo_peers import IMAGE, LLAVA_PX, write_clip, write_llava

from common.errors import ClassifierError, ConfigError
from common.networks.freezing import trained_names


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return write_llava(tmp_path_factory.mktemp("llava"))


def build(folder: Path, **changes: Any) -> LlavaPeer:
    torch.manual_seed(0)
    given = {"rank": 4, "alpha": 8, "dropout": 0.0, "half": False, "checkpointing": False}
    return build_llava({"folder": str(folder)}, **given | changes)


def make_batch() -> Batch:
    """A bright picture of a patient with a lump, a dark one of a patient without a history."""
    crops = torch.zeros(2, 1, 3, LLAVA_PX, LLAVA_PX)
    crops[0] = 0.9
    present = torch.ones(2, 1, dtype=torch.bool)
    return Batch(crops, present, ["lump in the left breast", ""], torch.tensor([True, False]))


def test_the_question(folder: Path) -> None:
    peer = build(folder, max_tokens=3)
    assert (peer.sees, peer.has_confidence, peer.image_size) == (PICTURE, False, LLAVA_PX)
    asked = peer.write_prompts(["{image} <image></s> lump", "", "lump " * 50])
    assert all(prompt.startswith(f"USER: {IMAGE * 4}\n") for prompt in asked)  # (32 / 16) ** 2 patches
    assert "history: none given\n" in asked[1] and asked[0].count(IMAGE) == 4 and "</s>" not in asked[0]
    numbers = peer.reader.tokenizer(asked[2].partition("history: ")[2].partition("\n")[0])["input_ids"]
    assert len(numbers) == 3
    with pytest.raises(ConfigError, match="prompt: expected {image} and {text} once each"):
        LlavaPeer(peer.network, peer.reader, False, PROMPT.replace("{image}", ""))


def test_only_the_answer_is_learned(folder: Path) -> None:
    """The loss is that of the answer's tokens, worked out one mammogram at a time without padding."""
    peer, batch = build(folder), make_batch()
    tokenizer = peer.reader.tokenizer
    wanted, count = 0.0, 0
    prompts = peer.write_prompts(batch.histories)
    for row, (prompt, word) in enumerate(zip(prompts, ("Yes", "No"), strict=True)):
        asked = tokenizer(prompt)["input_ids"]
        said = [*tokenizer(word, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
        pixels = (batch.crops[row] - peer.reader.mean) / peer.reader.std
        with torch.no_grad():
            logits = peer.network(input_ids=torch.tensor([asked + said]), pixel_values=pixels).logits[0]
        logs = logits.log_softmax(dim=-1)
        wanted -= sum(float(logs[len(asked) - 1 + n, token]) for n, token in enumerate(said))
        count += len(said)
    assert peer.find_loss(batch).item() == pytest.approx(wanted / count, rel=1e-4)


def test_what_is_trained(folder: Path) -> None:
    names = trained_names(build(folder).network)
    adapted = [name for name in names if "lora" in name]
    assert len(adapted) == 2 * 2 * 7 and all("language_model" in name for name in adapted)
    assert all("multi_modal_projector" in name for name in set(names) - set(adapted))
    assert len(names) == len(adapted) + 4
    assert len(trained_names(build(folder, train_projector=False).network)) == len(adapted)
    few = trained_names(build(folder, layers=["q_proj"], train_projector=False).network)
    assert len(few) == 2 * 2 and all(".q_proj." in name for name in few)


def test_the_frozen_part_is_halved_and_the_trained_part_is_not(folder: Path) -> None:
    peer = build(folder, half=True, checkpointing=True)
    kinds = {(value.requires_grad, value.dtype) for value in peer.network.parameters()}
    assert kinds == {(True, torch.float32), (False, torch.bfloat16)}
    peer.network.train()
    peer.find_loss(make_batch()).backward()
    assert all(v.grad is not None for v in peer.network.parameters() if v.requires_grad)
    plain = build(folder, half=True)
    plain.network.train()
    plain.find_loss(make_batch()).backward()
    pairs = zip(peer.network.named_parameters(), plain.network.parameters(), strict=True)
    for (name, one), other in pairs:  # computed again in the backward pass, the same numbers
        if one.requires_grad:
            assert torch.allclose(one.grad, other.grad, atol=1e-3), name


def test_it_learns_to_answer(folder: Path) -> None:
    peer, batch = build(folder, rank=8, alpha=16), make_batch()
    assert np.isnan(peer.score(batch)).all()  # random words
    optimizer = torch.optim.Adam([v for v in peer.network.parameters() if v.requires_grad], lr=0.01)
    peer.network.train()
    for _ in range(25):
        optimizer.zero_grad()
        loss = peer.find_loss(batch)
        loss.backward()
        optimizer.step()
    peer.network.eval()
    assert peer.score(batch).tolist() == [1.0, 0.0]


def test_words() -> None:
    assert [read_answer(text) for text in ("Yes", " yes.", "NO, it does not", "no")] == [1.0, 1.0, 0.0, 0.0]
    assert all(math.isnan(read_answer(text)) for text in ("", "Nothing", "Perhaps, yes", "yesterday"))


def test_refusals_of_folders(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ClassifierError, match="clip: expected a LLaVA-1.5 of transformers .* of type clip"):
        build(write_clip(tmp_path / "clip"))
    with pytest.raises(ClassifierError, match="nowhere: expected a folder that transformers reads"):
        build(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="LoRA: expected a rank from 1 and layers of q_proj.*got 0"):
        build(folder, rank=0)
    with pytest.raises(ConfigError, match="LoRA: expected a rank .*and magic: correct them"):
        build(folder, layers=["magic"], train_projector=False)
    broken = write_llava(tmp_path / "broken")
    content = json.loads((broken / "config.json").read_text())
    (broken / "config.json").write_text(json.dumps(content | {"image_token_index": 5000}))
    with pytest.raises(ClassifierError, match="broken: expected a tokenizer with token .* for pictures"):
        build(broken)
