"""Encoders of short clinical texts in one interface: RoBERTa, XLM-R and MiniLM from folders of transformers.

| kind    | network, features     | sentence                 | folder                                      |
|---------|-----------------------|--------------------------|---------------------------------------------|
| roberta | 12 layers, 768        | first token (paper)      | roberta-base and its children               |
| xlmr    | 12 layers, 768        | first token              | xlm-roberta-base: 100 languages             |
| minilm  | 6 layers, 384         | mean of tokens, length 1 | all-MiniLM-L6-v2, as its makers use it      |
| tiny    | RoBERTa, 2 layers, 64 | first token              | `write_tiny_folder`; for phantoms and tests |

A folder holds `config.json`, `model.safetensors` (or `pytorch_model.bin`) and the tokenizer's files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from transformers import AutoConfig, AutoModel, PreTrainedTokenizerBase

from ..errors import ClassifierError, ConfigError
from .freezing import quiet_frozen
from .text_folders import TINY, read_folder

MAX_TOKENS = (
    90  # the released code of MMBCD; histories have 8 words on average, 45 at most (paper: section 2)
)
ALL_LAYERS = -1


@dataclass(frozen=True)
class TextKind:
    """What makes one kind.

    Attributes:
        model_type: as `config.json` says it.
        pooling: "first": the first token's embedding; "mean": of all tokens, brought to length 1.
        sizes: of an untrained network, where they differ from the configuration's defaults.
    """

    model_type: str
    pooling: str = "first"
    sizes: dict[str, Any] = field(default_factory=dict)


_LONG = {"max_position_embeddings": 514, "type_vocab_size": 1, "layer_norm_eps": 1e-5}

KINDS: dict[str, TextKind] = {
    "roberta": TextKind("roberta", sizes=_LONG | {"vocab_size": 50265}),
    "xlmr": TextKind("xlm-roberta", sizes=_LONG | {"vocab_size": 250002}),
    "minilm": TextKind(
        "bert", "mean", {"hidden_size": 384, "num_hidden_layers": 6, "intermediate_size": 1536}
    ),
    "tiny": TextKind("roberta", sizes=TINY),
}


class TextEncoder(nn.Module):
    """Token numbers in, one vector for each text out.

    Args:
        kind: name of it.
        body: transformers' network without a pooler.
        tokenizer: that belongs to it; None: the network is untrained and reads no text.
        max_tokens: longest text, both ends included.

    Attributes:
        size: D, number of features.
        sha256: of the folder's weights; empty: untrained.
        folder_name: the folder's name.
    """

    def __init__(
        self,
        kind: str,
        body: Any,
        tokenizer: PreTrainedTokenizerBase | None,
        max_tokens: int = MAX_TOKENS,
    ) -> None:
        super().__init__()
        self.kind, self.max_tokens = kind, max_tokens
        self.size: int = body.config.hidden_size
        self.body: Any = body
        self._tokenizer = tokenizer
        self._mean = KINDS[kind].pooling == "mean"
        self.sha256, self.folder_name = "", ""

    @property
    def reads(self) -> bool:
        """It has a tokenizer."""
        return self._tokenizer is not None

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """Raises ClassifierError: the network has none."""
        if self._tokenizer is None:
            raise ClassifierError(
                f"text: expected a {self.kind} folder with its tokenizer, got an untrained network without "
                "one: name the folder"
            )
        return self._tokenizer

    @property
    def mask_token(self) -> str:
        """What stands for a masked word in a text."""
        return str(self.tokenizer.mask_token)

    @property
    def mask_token_id(self) -> int:
        """Its number."""
        return int(self.tokenizer.mask_token_id)

    @property
    def tokenizer_sha256(self) -> str:
        """SHA-256 over vocabulary and numbers; empty without a tokenizer."""
        if self._tokenizer is None:
            return ""
        words = sorted(self._tokenizer.get_vocab().items(), key=lambda pair: pair[1])
        return hashlib.sha256(repr(words).encode()).hexdigest()

    def tokenize(self, texts: Sequence[str], full: bool = False) -> dict[str, torch.Tensor]:
        """Token numbers and where they are; longer texts are cut.

        Args:
            texts: B texts; an empty one is its two ends.
            full: pad to `max_tokens` (fixed shapes for an exported network), else to the longest text.

        Returns:
            "input_ids" and "attention_mask", (B, L) int64, L <= `max_tokens`.
        """
        found = self.tokenizer(
            list(texts),
            padding="max_length" if full else "longest",
            truncation=True,
            max_length=self.max_tokens,
            return_tensors="pt",
        )
        return {name: found[name] for name in ("input_ids", "attention_mask")}

    def freeze(self, trained_layers: int) -> None:
        """Leave all but the last layers untrained; -1: train the embeddings and all layers.

        Raises:
            ConfigError: there are not so many.
        """
        layers = list(self.body.encoder.layer)
        if not ALL_LAYERS <= trained_layers <= len(layers):
            raise ConfigError(
                f"text_trained_layers: expected -1 (all) to {len(layers)}, got {trained_layers}: take 2"
            )
        self.requires_grad_(trained_layers == ALL_LAYERS)
        for layer in layers[len(layers) - trained_layers :] if trained_layers > 0 else ():
            layer.requires_grad_(True)

    def train(self, mode: bool = True) -> TextEncoder:
        """As usual, but what is not trained stays in eval mode."""
        super().train(mode)
        quiet_frozen(self)
        return self

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Embeddings of texts.

        Args:
            input_ids: (B, L) whole numbers, of any type (engines pass floats).
            attention_mask: (B, L), 1 where there is a token.

        Returns:
            (B, D).
        """
        mask = attention_mask.long()
        tokens = self.body(input_ids=input_ids.long(), attention_mask=mask).last_hidden_state
        if not self._mean:
            return tokens[:, 0]
        weight = mask[..., None].to(tokens.dtype)
        return F.normalize((tokens * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1e-9), dim=-1)


def build_text_encoder(
    folder: str | Path | None = None,
    kind: str = "roberta",
    trained_layers: int = 2,
    max_tokens: int = MAX_TOKENS,
) -> TextEncoder:
    """An encoder in eval mode, on the CPU, from a local folder; nothing is downloaded.

    Args:
        folder: of transformers; None: an untrained network of that kind, which reads no text.
        kind: see the table above.
        trained_layers: see `TextEncoder.freeze` (released code of MMBCD: 2).
        max_tokens: longest text, both ends included.

    Raises:
        ConfigError: an unknown kind, more layers than there are, texts longer than the network's positions.
        ClassifierError: a folder that is not there, of another kind, with missing or other weights, or with
            a tokenizer that does not belong to the network.
    """
    if kind not in KINDS:
        raise ConfigError(f"text: expected one of {', '.join(KINDS)}, got '{kind}': correct the setting")
    encoder = _build_untrained(kind, max_tokens) if folder is None else _read(Path(folder), kind, max_tokens)
    positions = encoder.body.config.max_position_embeddings - 2  # RoBERTa's begin with 2
    if not 4 <= max_tokens <= positions:
        raise ConfigError(f"max_tokens: expected 4 to {positions} for {kind}, got {max_tokens}: take 90")
    encoder.freeze(trained_layers)
    return encoder.eval()


def _build_untrained(kind: str, max_tokens: int) -> TextEncoder:
    config = AutoConfig.for_model(KINDS[kind].model_type, **KINDS[kind].sizes)
    return TextEncoder(kind, AutoModel.from_config(config, add_pooling_layer=False), None, max_tokens)


def _read(folder: Path, kind: str, max_tokens: int) -> TextEncoder:
    found = read_folder(folder, KINDS[kind].model_type)
    encoder = TextEncoder(kind, found.body, found.tokenizer, max_tokens)
    encoder.sha256, encoder.folder_name = found.sha256, folder.name
    return encoder
