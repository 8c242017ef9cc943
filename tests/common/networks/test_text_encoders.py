"""Text encoders: transformers' own answers, pooling, padding, freezing, engines, folders, refusals."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import SentencePieceUnigramTokenizer
from transformers import (
    BertConfig,
    BertModel,
    RobertaModel,
    XLMRobertaConfig,
    XLMRobertaModel,
    XLMRobertaTokenizer,
)

from common.engines.tensors import build_tensor_engine
from common.errors import ClassifierError, ConfigError
from common.networks import text_encoders
from common.networks.text_encoders import TextEncoder, build_text_encoder
from common.networks.text_folders import write_tiny_folder

CORPUS = [f"{what} in the {side} breast" for what in ("lump", "pain") for side in ("left", "right")] * 4
TEXTS = ["Lump in the left breast", "screening"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "tiny"
    write_tiny_folder(path, CORPUS)
    return path


@pytest.fixture
def encoder(folder: Path) -> TextEncoder:
    return build_text_encoder(folder, "tiny")


@torch.no_grad()
def test_the_first_token_of_transformers_network(folder: Path, encoder: TextEncoder) -> None:
    theirs = RobertaModel.from_pretrained(folder, add_pooling_layer=False).eval()
    tokens = encoder.tokenize(TEXTS)
    assert torch.allclose(encoder(**tokens), theirs(**tokens).last_hidden_state[:, 0], atol=1e-6)


@torch.no_grad()
def test_the_mean_of_tokens_has_length_1_and_leaves_padding_out() -> None:
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    body = BertModel(BertConfig(vocab_size=50, **sizes), add_pooling_layer=False).eval()
    encoder = TextEncoder("minilm", body, None).eval()
    ids = torch.tensor([[3, 4, 5, 0, 0]])
    mask = torch.tensor([[1, 1, 1, 0, 0]])
    mean = body(ids[:, :3]).last_hidden_state[0].mean(dim=0)
    assert torch.allclose(encoder(ids, mask)[0], mean / mean.norm(), atol=1e-6)


@torch.no_grad()
def test_padding_changes_nothing(encoder: TextEncoder) -> None:
    short, full = encoder.tokenize(TEXTS), encoder.tokenize(TEXTS, full=True)
    assert full["input_ids"].shape == (2, 90) and short["input_ids"].shape[1] < 40
    assert torch.allclose(encoder(**short), encoder(**full), atol=1e-5)


def test_tokens_stand_between_their_ends_and_long_texts_are_cut(encoder: TextEncoder) -> None:
    numbers = encoder.tokenize(["lump " * 500])["input_ids"][0]
    assert len(numbers) == 90 and numbers[0] == 0 and numbers[-1] == 2
    assert encoder.tokenize([""])["input_ids"].tolist() == [[0, 2]]
    assert encoder.tokenizer.decode(encoder.tokenize(["опухоль"])["input_ids"][0][1:-1]) == "опухоль"


def test_the_mask_token_is_one_token(encoder: TextEncoder) -> None:
    numbers = encoder.tokenize([f"lump in the {encoder.mask_token} breast"])["input_ids"][0].tolist()
    assert numbers.count(encoder.mask_token_id) == 1
    assert encoder.mask_token == "<mask>"


def test_a_tiny_folder_is_the_same_each_time(folder: Path, tmp_path: Path) -> None:
    write_tiny_folder(tmp_path, CORPUS)
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_vocabulary_and_merges_alone_are_a_tokenizer(
    folder: Path, encoder: TextEncoder, tmp_path: Path
) -> None:
    """As older folders of RoBERTa have them."""
    old = copy(folder, tmp_path)
    model = json.loads((old / "tokenizer.json").read_text())["model"]
    pairs = [pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]]
    (old / "vocab.json").write_text(json.dumps(model["vocab"]))
    (old / "merges.txt").write_text("\n".join(["#version: 0.2", *pairs]))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (old / name).unlink()
    again = build_text_encoder(old, "tiny")
    text = ["Lump in the <mask> breast, опухоль"]
    assert torch.equal(again.tokenize(text)["input_ids"], encoder.tokenize(text)["input_ids"])
    assert again.tokenizer_sha256 == encoder.tokenizer_sha256


def test_xlmr_reads_other_scripts(tmp_path: Path) -> None:
    corpus = ["Lump in the left breast since 2 months, mother had cancer.", "गांठ बाएं स्तन में", "опухоль груди"]
    pieces = SentencePieceUnigramTokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    settings = {"vocab_size": 150, "special_tokens": special, "unk_token": "<unk>", "show_progress": False}
    pieces.train_from_iterator(corpus * 8, **settings)
    vocabulary = json.loads(pieces._tokenizer.to_str())["model"]["vocab"]
    tokenizer = XLMRobertaTokenizer(vocab=[(piece, score) for piece, score in vocabulary])
    tokenizer.save_pretrained(str(tmp_path))
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = XLMRobertaConfig(
        vocab_size=len(tokenizer), max_position_embeddings=130, type_vocab_size=1, **sizes
    )
    XLMRobertaModel(config, add_pooling_layer=False).save_pretrained(str(tmp_path))
    encoder = build_text_encoder(tmp_path, "xlmr", trained_layers=1)
    numbers = encoder.tokenize([f"{text} <mask>" for text in corpus])["input_ids"]
    assert (numbers == encoder.mask_token_id).sum(dim=1).tolist() == [1, 1, 1]
    assert not (numbers == encoder.tokenizer.unk_token_id).any()


@pytest.mark.parametrize(("layers", "trained"), [(0, 0), (1, 1), (2, 2), (-1, 3)])
def test_the_last_layers_are_trained(encoder: TextEncoder, layers: int, trained: int) -> None:
    encoder.freeze(layers)
    encoder.train()
    parts = [encoder.body.embeddings, *encoder.body.encoder.layer]
    flags = [all(value.requires_grad for value in part.parameters()) for part in parts]
    assert flags == [False] * (3 - trained) + [True] * trained
    assert [part.training for part in parts] == flags


@torch.no_grad()
def test_torchscript_and_openvino_answer_alike(encoder: TextEncoder) -> None:
    """Engines pass floats; token numbers stay exact in bf16, which has 8 bits."""
    tokens, other = (list(encoder.tokenize(texts, full=True).values()) for texts in (TEXTS, [*TEXTS, "pain"]))
    wanted = encoder(*other)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(encoder, tokens)
    assert torch.allclose(traced(*other), wanted, atol=1e-5)
    numbers = [tensor.float() for tensor in tokens]
    for precision, most in (("fp32", 1e-4), ("bf16", 0.1)):
        engine = build_tensor_engine(encoder, numbers, "openvino", precision)
        assert (engine(*other) - wanted).abs().max() < most


def test_kinds_without_a_folder_have_the_published_sizes() -> None:
    sizes = {}
    for kind in ("roberta", "xlmr", "minilm"):
        with torch.device("meta"):
            sizes[kind] = sum(value.numel() for value in build_text_encoder(kind=kind).parameters())
    assert sizes == {"roberta": 124_055_040, "xlmr": 277_453_056, "minilm": 22_565_376}


def test_without_a_folder_no_text_is_read() -> None:
    encoder = build_text_encoder(kind="tiny")
    assert not encoder.reads and encoder.tokenizer_sha256 == ""
    with pytest.raises(
        ClassifierError, match="text: expected a tiny folder with its tokenizer, got an untrained"
    ):
        encoder.tokenize(["lump"])


def test_numbers_out_of_range_are_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match="text: expected one of roberta, xlmr, minilm, tiny, got 'bert'"):
        build_text_encoder(folder, "bert")
    with pytest.raises(ConfigError, match=r"text_trained_layers: expected -1 \(all\) to 2, got 3: take 2"):
        build_text_encoder(folder, "tiny", trained_layers=3)
    with pytest.raises(ConfigError, match="max_tokens: expected 4 to 128 for tiny, got 200: take 90"):
        build_text_encoder(folder, "tiny", max_tokens=200)


def copy(folder: Path, target: Path) -> Path:
    return Path(shutil.copytree(folder, target / "copy"))


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_broken_folders_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ClassifierError, match="expected a folder with config.json and model.safetensors, got 'no'"
    ):
        build_text_encoder(tmp_path / "no", "tiny")
    broken = copy(folder, tmp_path)
    edit(broken / "config.json", model_type="bert")
    with pytest.raises(
        ClassifierError, match="copy: expected a model of type roberta, got bert: set text to"
    ):
        build_text_encoder(broken, "tiny")
    (broken / "config.json").write_text("{")
    with pytest.raises(ClassifierError, match="copy: expected a folder that transformers reads, got"):
        build_text_encoder(broken, "tiny")


def test_missing_weights_are_refused(folder: Path, tmp_path: Path) -> None:
    """transformers would fill them with random numbers."""
    broken = copy(folder, tmp_path)
    state = load_file(broken / "model.safetensors")
    del state["encoder.layer.1.output.dense.weight"]
    save_file(state, broken / "model.safetensors", {"format": "pt"})
    with pytest.raises(ClassifierError, match=r"lacks encoder.layer.1.output.dense.weight \(1 in all\)"):
        build_text_encoder(broken, "tiny")


def test_a_tokenizer_of_another_model_is_refused(folder: Path, tmp_path: Path) -> None:
    broken = copy(folder, tmp_path)
    edit(broken / "tokenizer_config.json", mask_token=None)
    with pytest.raises(
        ClassifierError, match=r"expected a tokenizer of \d+ tokens that gives a sentence back"
    ):
        build_text_encoder(broken, "tiny")


def test_an_empty_tokenizer_is_refused(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What transformers makes of a vocabulary that it does not find."""
    broken = copy(folder, tmp_path)
    content = json.loads((broken / "tokenizer.json").read_text())
    kept = dict(sorted(content["model"]["vocab"].items(), key=lambda pair: pair[1])[:5])
    content["model"] |= {"vocab": kept, "merges": []}
    (broken / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(ClassifierError, match="has a mask token, got one of 5: bring all tokenizer files"):
        build_text_encoder(broken, "tiny")


@pytest.mark.weights("minilm")
@torch.no_grad()
def test_minilm_knows_what_is_alike() -> None:
    root = Path(text_encoders.__file__).resolve().parents[2]
    encoder = build_text_encoder(root / "bundles/mmbcd_mammo/models/encoders/minilm", "minilm", 0)
    found = encoder(**encoder.tokenize(["lump in the left breast", "left breast mass", "nice weather today"]))
    alike = found @ found.T
    assert alike.diagonal().tolist() == pytest.approx([1, 1, 1], abs=1e-5)
    assert alike[0, 1] > 0.6 > 0.2 > alike[0, 2]
