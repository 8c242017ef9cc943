"""Folders of transformers with a text encoder and its tokenizer: read from disk only, and checked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from tokenizers import AddedToken, ByteLevelBPETokenizer
from tokenizers.processors import RobertaProcessing
from torch import nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoTokenizer,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaModel,
)
from transformers.utils import logging

from ..errors import ClassifierError
from .sam_weights import hash_file

TINY: dict[str, Any] = {
    "vocab_size": 2000,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 128,
    "max_position_embeddings": 130,
    "type_vocab_size": 1,
    "layer_norm_eps": 1e-5,
}
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_PROBE = "Lump in the left breast since 2 months, mother had cancer."
_SPECIAL = {"bos": "<s>", "pad": "<pad>", "eos": "</s>", "unk": "<unk>", "mask": "<mask>"}  # RoBERTa's order


class TextFolder(NamedTuple):
    """body: transformers' network without a pooler; sha256: of its weights."""

    body: nn.Module
    tokenizer: PreTrainedTokenizerBase
    sha256: str


def read_folder(folder: Path, model_type: str) -> TextFolder:
    """Network and tokenizer of a local folder, in fp32; nothing is downloaded.

    Args:
        folder: with `config.json`, `model.safetensors` or `pytorch_model.bin`, and the tokenizer's files.
        model_type: that `config.json` must name.

    Raises:
        ClassifierError: not there, not readable, of another type, tensors missing, or see `read_tokenizer`.
    """
    weights = next((folder / name for name in _WEIGHTS if (folder / name).is_file()), None)
    if weights is None or not (folder / "config.json").is_file():
        raise ClassifierError(
            f"text: expected a folder with config.json and {_WEIGHTS[0]}, got '{folder.name}' without: get "
            "one with tools/weights.py, or save one with transformers' save_pretrained"
        )
    config = load_local(AutoConfig, folder)
    if config.model_type != model_type:
        raise ClassifierError(
            f"{folder.name}: expected a model of type {model_type}, got {config.model_type}: set text to the "
            "kind that the folder is"
        )
    body = load_network(AutoModel, folder, add_pooling_layer=False, dtype=torch.float32)
    return TextFolder(body, read_tokenizer(folder, config.vocab_size), hash_file(weights))


def read_tokenizer(folder: Path, vocabulary: int) -> PreTrainedTokenizerBase:
    """The folder's tokenizer, tried on a sentence: of some broken folders transformers makes an empty one.

    Args:
        folder: of transformers.
        vocabulary: number of tokens that the network knows.

    Raises:
        ClassifierError: not readable, of another vocabulary, without a mask token, or it loses the sentence.
    """
    tokenizer = load_local(AutoTokenizer, folder)
    text = tokenizer.decode(tokenizer(_PROBE)["input_ids"], skip_special_tokens=True)
    whole = "".join(text.lower().split()) == "".join(_PROBE.lower().split())
    marked = None not in (tokenizer.mask_token_id, tokenizer.pad_token_id)
    if not (vocabulary // 2 <= len(tokenizer) <= vocabulary and whole and marked):
        raise ClassifierError(
            f"{folder.name}: expected a tokenizer of {vocabulary} tokens that gives a sentence back and has "
            f"a mask token, got one of {len(tokenizer)}: bring all tokenizer files of the model"
        )
    return tokenizer


def write_tiny_folder(folder: str | Path, corpus: Iterable[str], seed: int = 0) -> None:
    """A small untrained RoBERTa with a byte-level BPE tokenizer of its own, as a folder of transformers.

    Args:
        folder: made if it is not there.
        corpus: texts that the tokenizer is trained on; any other text stays readable, as bytes.
        seed: of the weights; the caller's random state stays as it is.
    """
    pairs = ByteLevelBPETokenizer()
    size, special = TINY["vocab_size"], list(_SPECIAL.values())
    pairs.train_from_iterator(corpus, size, min_frequency=2, special_tokens=special, show_progress=False)
    first, last = ((_SPECIAL[name], pairs.token_to_id(_SPECIAL[name])) for name in ("bos", "eos"))
    pairs.post_processor = RobertaProcessing(last, first, add_prefix_space=False)
    named: dict[str, Any] = {f"{name}_token": token for name, token in _SPECIAL.items()}
    named["mask_token"] = AddedToken("<mask>", lstrip=True)  # takes the space before it, as RoBERTa's does
    PreTrainedTokenizerFast(
        tokenizer_object=pairs._tokenizer, cls_token="<s>", sep_token="</s>", model_max_length=128, **named
    ).save_pretrained(str(folder))
    with torch.random.fork_rng(devices=[]), _quiet():
        torch.manual_seed(seed)
        config = RobertaConfig(**(TINY | {"vocab_size": pairs.get_vocab_size()}))
        RobertaModel(config, add_pooling_layer=False).save_pretrained(str(folder))


def load_network(reader: Any, folder: Path, **settings: Any) -> nn.Module:
    """A network of transformers from a local folder, with all of its tensors.

    Args:
        reader: class with `from_pretrained`.
        folder: with `config.json` and weights; tensors that the network does not have are left out.
        **settings: of `from_pretrained`.

    Raises:
        ClassifierError: see `load_local`, or tensors are missing.
    """
    network, report = load_local(reader, folder, output_loading_info=True, **settings)
    lacking = sorted(map(str, (*report["missing_keys"], *report["mismatched_keys"])))
    if lacking:
        weights = next((name for name in _WEIGHTS if (folder / name).is_file()), "the folder")
        raise ClassifierError(
            f"{folder.name}: expected all tensors of its config.json, but {weights} lacks {lacking[0]} "
            f"({len(lacking)} in all): get the folder again"
        )
    return network


def load_local(reader: Any, folder: Path, **settings: Any) -> Any:
    """What a class of transformers reads in a local folder; nothing is downloaded.

    Raises:
        ClassifierError: not there, or not readable.
    """
    try:
        with _quiet():
            return reader.from_pretrained(str(folder), local_files_only=True, **settings)
    except Exception as error:  # transformers raises whatever its many readers meet
        raise ClassifierError(
            f"{folder.name}: expected a folder that transformers reads, got '{str(error)[:120]}': get it "
            "again"
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' progress bars and its report on tensors that are not needed."""
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
