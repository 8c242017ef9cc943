"""What the peers of MMBCD need at toy size: folders of transformers with small random networks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import ByteLevelBPETokenizer
from tokenizers.processors import RobertaProcessing
from toy_mammo_training import WORDS
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    PreTrainedTokenizerFast,
)
from transformers.utils import logging

CLIP_PX, LLAVA_PX = 16, 32
# the end is not number 2: transformers takes that for an old mistake of its own
SPECIAL = {"bos_token": "<s>", "pad_token": "<pad>", "unk_token": "<unk>", "eos_token": "</s>"}
IMAGE = "<image>"
SENTENCES = (
    *WORDS,
    "Cancer:Yes; Indication:",
    "Cancer:No; Indication:",
    "USER: Clinical history: none given",
    "Does this breast have cancer? Answer with Yes or No. ASSISTANT:",
)


def write_tokenizer(folder: Path, ends: bool, more: Sequence[str] = ()) -> PreTrainedTokenizerFast:
    """A byte-level BPE of a few hundred tokens; `ends` puts its marks around every text, else in front."""
    pairs = ByteLevelBPETokenizer()
    marks = [*SPECIAL.values(), *more]
    pairs.train_from_iterator(
        list(SENTENCES) * 3, 420, min_frequency=2, special_tokens=marks, show_progress=False
    )
    if ends:
        first, last = (
            (SPECIAL[name], pairs.token_to_id(SPECIAL[name])) for name in ("bos_token", "eos_token")
        )
        pairs.post_processor = RobertaProcessing(last, first, add_prefix_space=False)
    named: dict[str, Any] = {**SPECIAL, "extra_special_tokens": list(more)}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=pairs._tokenizer, **named)
    tokenizer.save_pretrained(str(folder))
    return tokenizer


def write_clip(folder: Path, width: int = 32, embedding: int = 24) -> Path:
    """A CLIPModel with random weights and its tokenizer."""
    tokenizer = write_tokenizer(folder, ends=True)
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": width,
        "num_hidden_layers": 2,
        "num_attention_heads": max(1, width // 64),
        "intermediate_size": 4 * width,
        "max_position_embeddings": 40,
        "projection_dim": embedding,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    vision = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    vision |= {"image_size": 16, "patch_size": 8, "projection_dim": embedding}
    _save(CLIPModel, CLIPConfig(text_config=text, vision_config=vision, projection_dim=embedding), folder)
    return folder


def write_llava(folder: Path) -> Path:
    """A LLaVA with random weights, its tokenizer and image processor."""
    tokenizer = write_tokenizer(folder, ends=False, more=[IMAGE])
    size = {"height": LLAVA_PX, "width": LLAVA_PX}
    CLIPImageProcessor(size={"shortest_edge": LLAVA_PX}, crop_size=size).save_pretrained(str(folder))
    vision = CLIPVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=2, projection_dim=32
    )
    vision.image_size, vision.patch_size, vision.initializer_factor = LLAVA_PX, 16, 5.0
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=512,
        initializer_range=0.2,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    image_token = tokenizer.convert_tokens_to_ids(IMAGE)
    config = LlavaConfig(vision_config=vision, text_config=text, image_token_index=image_token)
    _save(LlavaForConditionalGeneration, config, folder)
    return folder


def _save(kind: Any, config: Any, folder: Path) -> None:
    """The same random weights every time; the caller's random state stays as it is."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        logging.disable_progress_bar()
        kind(config).save_pretrained(str(folder))
