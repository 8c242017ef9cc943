"""CLIP's text encoder: from a folder of transformers, or with the text half of a file of OpenAI."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoTokenizer, CLIPTextModelWithProjection, PreTrainedTokenizerBase

from common.errors import ClassifierError
from common.networks.state_dict import State, load_state
from common.networks.text_folders import load_local, load_network
from common.networks.vision_names import read_checkpoint

from .base import spell_out

_MODEL_TYPES = ("clip", "clip_text_model")
_HEAD_SIZE = 64  # of all text encoders that OpenAI has published
_NAMES = (
    (r"^token_embedding\.", "text_model.embeddings.token_embedding."),
    (r"^positional_embedding$", "text_model.embeddings.position_embedding.weight"),
    (r"^transformer\.resblocks\.(\d+)\.", r"text_model.encoder.layers.\1."),
    (r"\.attn\.out_proj\.", ".self_attn.out_proj."),
    (r"\.ln_(\d)\.", r".layer_norm\1."),
    (r"\.mlp\.c_fc\.", ".mlp.fc1."),
    (r"\.mlp\.c_proj\.", ".mlp.fc2."),
    (r"^ln_final\.", "text_model.final_layer_norm."),
)
_JOINED = ".attn.in_proj_"


class ClipText(nn.Module):
    """Texts in, CLIP's embeddings out.

    Args:
        body: of transformers, with its projection.
        tokenizer: that belongs to it.

    Attributes:
        size: D of an embedding.
    """

    def __init__(self, body: Any, tokenizer: PreTrainedTokenizerBase) -> None:
        super().__init__()
        self.body, self.tokenizer = body, tokenizer
        self.size: int = body.config.projection_dim
        self.max_tokens: int = body.config.max_position_embeddings

    def forward(self, texts: Sequence[str]) -> torch.Tensor:
        """B texts -> embeddings (B, D); longer texts than CLIP's 77 tokens are cut at their end."""
        tokens = self.tokenizer(
            spell_out(texts, self.tokenizer),
            padding=True,
            truncation=True,
            max_length=self.max_tokens,
            return_tensors="pt",
        ).to(self.body.device)
        given = {name: tokens[name] for name in ("input_ids", "attention_mask")}
        return self.body(**given).text_embeds


def build_clip_text(folder: str | Path, weights: str | Path | None = None) -> ClipText:
    """A text encoder from local files; nothing is downloaded.

    Args:
        folder: of transformers, with a CLIPModel or CLIPTextModelWithProjection and its tokenizer.
        weights: file of OpenAI (such as `RN50.pt`) whose text half takes the place of the folder's, which
            then gives the tokenizer only: OpenAI has one for all.

    Raises:
        ClassifierError: not there, not readable, or of another network.
    """
    folder = Path(folder)
    kind = load_local(AutoConfig, folder).model_type
    if kind not in _MODEL_TYPES:
        raise ClassifierError(
            f"{folder.name}: expected a CLIP, got a model of type {kind}: name a folder of CLIPModel"
        )
    if weights is None:
        body: Any = load_network(CLIPTextModelWithProjection, folder, dtype=torch.float32)
    else:
        body = _read_openai(folder, Path(weights))
    tokenizer = load_local(AutoTokenizer, folder)
    if len(tokenizer) > body.config.vocab_size:
        raise ClassifierError(
            f"{folder.name}: expected a tokenizer of at most {body.config.vocab_size} tokens, got "
            f"{len(tokenizer)}: bring the one that belongs to the weights"
        )
    return ClipText(body, tokenizer)


def rename_openai(state: Mapping[str, torch.Tensor]) -> State:
    """The text half of OpenAI's CLIP under transformers' names."""
    found: State = {}
    for key, value in state.items():
        name = key
        for pattern, new in _NAMES:
            name = re.sub(pattern, new, name)
        if key == "text_projection":
            found["text_projection.weight"] = value.T.contiguous()
        elif _JOINED in name:
            for part, piece in zip("qkv", value.chunk(3), strict=True):
                found[name.replace(_JOINED, f".self_attn.{part}_proj.")] = piece.contiguous()
        elif name != key:
            found[name] = value
    return found


def _read_openai(folder: Path, weights: Path) -> nn.Module:
    """An encoder of the sizes that the file has."""
    state = read_checkpoint(weights)
    projection = state.get("text_projection")
    if projection is None:
        raise ClassifierError(
            f"{weights.name}: expected the whole of OpenAI's CLIP, got a file without text_projection: name "
            "another, or leave text_weights out"
        )
    config = load_local(AutoConfig, folder)
    config = getattr(config, "text_config", config)
    width, embedding = projection.shape
    config.hidden_size, config.projection_dim = width, embedding
    config.num_attention_heads = max(1, width // _HEAD_SIZE)
    config.intermediate_size = 4 * width
    config.num_hidden_layers = len({key.split(".")[2] for key in state if key.startswith("transformer.res")})
    body = CLIPTextModelWithProjection(config)
    load_state(body, rename_openai(state), weights.name)
    return body.eval()
