"""CLIP: loss and scores against hand-worked ones, its text half against transformers and OpenAI's names."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from experiment.mmbcd_peers.base import Batch, spell_out
from experiment.mmbcd_peers.clip import ANSWERS, SCALE, ClipNetwork, ClipPeer, build_clip, share_targets
from experiment.mmbcd_peers.clip_text import build_clip_text, rename_openai
from toy_mammo_peers import CLIP_PX, write_clip, write_llava
from transformers import AutoTokenizer, CLIPModel

from common.errors import ClassifierError, ConfigError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return write_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture
def peer(folder: Path) -> ClipPeer:
    torch.manual_seed(0)
    return build_clip({"text": str(folder)}, "tiny", image_size=CLIP_PX)


def make_batch(count: int = 3) -> Batch:
    torch.manual_seed(1)
    present = torch.ones(count, 2, dtype=torch.bool)
    present[0, 1] = False
    histories = ["lump in the left breast", "", ""][:count]
    return Batch(
        torch.rand(count, 2, 3, CLIP_PX, CLIP_PX), present, histories, torch.tensor([1, 0, 0][:count]) > 0
    )


def test_prompts_are_those_of_equation_4(peer: ClipPeer) -> None:
    assert peer.write_prompts(["lump", ""], [True, False]) == [
        "Cancer:Yes; Indication:lump",
        "Cancer:No; Indication:",
    ]
    with pytest.raises(ConfigError, match="prompt: expected {answer} and {text} once each, got others"):
        ClipPeer(peer.network, "Cancer:{answer}")


def test_embeddings_are_those_of_clip(folder: Path) -> None:
    encoder, whole = build_clip_text(folder).eval(), CLIPModel.from_pretrained(str(folder)).eval()
    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    texts = ["Cancer:Yes; Indication:lump in the left breast", "Cancer:No; Indication:"]
    for text, found in zip(texts, encoder(texts), strict=True):  # alone, without padding
        given = tokenizer([text], return_tensors="pt")
        wanted = whole.get_text_features(**{n: given[n] for n in ("input_ids", "attention_mask")})
        assert torch.allclose(found, wanted.pooler_output[0], atol=1e-5)
    assert encoder(["lump " * 500]).shape == (1, encoder.size)  # cut at the end


def test_openai_names(folder: Path, tmp_path: Path) -> None:
    """The text half of a CLIP written under OpenAI's names comes back as it was."""
    wide = write_clip(tmp_path / "wide", width=64, embedding=40)
    state = {k: v for k, v in build_clip_text(wide).body.state_dict().items() if "position_ids" not in k}
    official = {"text_projection": state["text_projection.weight"].T, "logit_scale": torch.tensor(1.0)}
    official["token_embedding.weight"] = state["text_model.embeddings.token_embedding.weight"]
    official["positional_embedding"] = state["text_model.embeddings.position_embedding.weight"]
    for end in ("weight", "bias"):
        official[f"ln_final.{end}"] = state[f"text_model.final_layer_norm.{end}"]
        for layer in range(2):
            own, theirs = f"text_model.encoder.layers.{layer}", f"transformer.resblocks.{layer}"
            parts = [state[f"{own}.self_attn.{part}_proj.{end}"] for part in "qkv"]
            official[f"{theirs}.attn.in_proj_{end}"] = torch.cat(parts)
            for a, b in (
                ("self_attn.out_proj", "attn.out_proj"),
                ("layer_norm1", "ln_1"),
                ("layer_norm2", "ln_2"),
                ("mlp.fc1", "mlp.c_fc"),
                ("mlp.fc2", "mlp.c_proj"),
            ):
                official[f"{theirs}.{b}.{end}"] = state[f"{own}.{a}.{end}"]
    renamed = rename_openai(official | {"visual.conv1.weight": torch.zeros(1)})
    assert set(renamed) == set(state) and all(torch.equal(renamed[name], state[name]) for name in state)
    torch.save(official, tmp_path / "RN50.pt")
    read = build_clip_text(folder, tmp_path / "RN50.pt")  # of other sizes than the folder
    text = ["Cancer:Yes; Indication:lump"]
    assert read.size == 40 and torch.allclose(read(text), build_clip_text(wide)(text), atol=1e-6)
    torch.save({"visual.conv1.weight": torch.zeros(1)}, tmp_path / "half.pt")
    with pytest.raises(ClassifierError, match="half.pt: expected the whole of OpenAI's CLIP, got a"):
        build_clip_text(folder, tmp_path / "half.pt")


def test_marks_in_a_history_are_words(folder: Path) -> None:
    encoder = build_clip_text(folder)
    assert spell_out(["lump</s> left <s>breast"], encoder.tokenizer) == ["lump left breast"]
    assert torch.equal(encoder(["lump </s> left"]), encoder(["lump left"]))


def test_regions_that_are_not_there_do_not_count(peer: ClipPeer) -> None:
    batch = make_batch()
    found = peer.network.embed_pictures(batch.crops, batch.present)
    other = batch.crops.clone()
    other[0, 1] = 1.0
    assert torch.equal(found, peer.network.embed_pictures(other, batch.present))
    features = peer.network.vision(batch.crops[1])  # both are there: the largest of each feature
    wanted = peer.network.projection(features.amax(0))
    assert torch.allclose(found[1], wanted / wanted.norm(), atol=1e-5)


def test_the_same_prompt_shares_the_target(peer: ClipPeer) -> None:
    targets = share_targets(["a", "b", "a"])
    assert targets.tolist() == [[0.5, 0, 0.5], [0, 1, 0], [0.5, 0, 0.5]]
    batch = make_batch()
    pictures = peer.network.embed_pictures(batch.crops, batch.present)
    texts = peer.network.embed_texts(peer.write_prompts(batch.histories, [True, False, False]))
    logits = (pictures @ texts.T / 0.07).detach().double().numpy()
    wanted = 0.0
    shared = np.array([[1, 0, 0], [0, 0.5, 0.5], [0, 0.5, 0.5]])
    for table in (logits, logits.T):
        logs = table - np.log(np.exp(table).sum(1, keepdims=True))
        wanted += -(shared * logs).sum(1).mean() / 2
    assert math.exp(SCALE) == pytest.approx(1 / 0.07)
    assert peer.find_loss(batch).item() == pytest.approx(wanted, rel=1e-4)


@torch.no_grad()
def test_the_nearer_prompt_wins(peer: ClipPeer) -> None:
    batch = make_batch()
    scores = peer.score(batch)
    pictures = peer.network.embed_pictures(batch.crops, batch.present)
    for row, history in enumerate(batch.histories):
        prompts = [f"Cancer:{answer}; Indication:{history}" for answer in ANSWERS]
        no, yes = (peer.network.embed_texts(prompts) @ pictures[row] / 0.07).tolist()
        assert scores[row] == pytest.approx(1 / (1 + math.exp(no - yes)), rel=1e-3)
    empty = batch._replace(present=torch.zeros(3, 2, dtype=torch.bool))
    assert np.isnan(peer.score(empty)).all()


def test_clips_own_weights_need_no_projection(folder: Path) -> None:
    built = build_clip({"text": str(folder)}, "tiny", image_size=CLIP_PX)
    assert tuple(built.network.projection.weight.shape) == (24, 128)
    built.network.vision.name, built.network.vision.size = "clip_vit_b16", 24
    own = ClipNetwork(built.network.vision, built.network.text)
    assert isinstance(own.projection, torch.nn.Identity)


def test_refusals_of_folders(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ClassifierError, match="nowhere: expected a folder that transformers reads"):
        build_clip_text(tmp_path / "nowhere")
    with pytest.raises(ClassifierError, match="llava: expected a CLIP, got a model of type llava"):
        build_clip_text(write_llava(tmp_path / "llava"))
    large = AutoTokenizer.from_pretrained(str(folder))
    large.add_tokens([f"word{number}" for number in range(600)])
    other = write_clip(tmp_path / "other")
    large.save_pretrained(str(other))
    with pytest.raises(ClassifierError, match="other: expected a tokenizer of at most"):
        build_clip_text(other)
