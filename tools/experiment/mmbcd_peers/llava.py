"""LLaVA-1.5 with LoRA on the complete mammogram, the history and a question (paper: section 4.1)."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import AutoConfig, AutoImageProcessor, AutoTokenizer, LlavaForConditionalGeneration

from common.errors import ClassifierError, ConfigError
from common.networks.text_folders import load_local, load_network

from .base import PICTURE, Batch, TrainedPeer, spell_out

PROMPT = (
    "USER: {image}\nClinical history: {text}\nDoes this breast have cancer? Answer with Yes or No. ASSISTANT:"
)
ANSWERS = ("No", "Yes")
NO_HISTORY = "none given"
ANSWER_TOKENS = 4
LAYERS = r".*language_model.*\.({names})"
LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""What LLaVA's own recipe adapts: every linear layer of the language model."""

PROJECTOR = "multi_modal_projector"
_IGNORED = -100
_ANSWER = re.compile(r"\W*(yes|no)\b", re.IGNORECASE)


class Reader(NamedTuple):
    """What a LLaVA reads with.

    Attributes:
        tokenizer: of the language model.
        mark: token that stands for one patch.
        patches: how many a picture has.
        mean, std: of RGB 0..1, (3, 1, 1).
        image_size: edge of a picture in pixels.
    """

    tokenizer: Any
    mark: str
    patches: int
    mean: torch.Tensor
    std: torch.Tensor
    image_size: int


class LlavaPeer(TrainedPeer):
    """Answers Yes or No; what it says else counts as no answer. Its words have no confidence (paper).

    Args:
        network: LLaVA with adapters.
        reader: tokenizer and sizes.
        prompt: with {image} and {text} once each, in the words of LLaVA-1.5.
        max_tokens: of a history; longer ones are cut at their end.
        half: the frozen part is in bf16.

    Raises:
        ConfigError: another prompt.
    """

    sees, has_confidence = PICTURE, False

    def __init__(
        self, network: Any, reader: Reader, half: bool, prompt: str = PROMPT, max_tokens: int = 256
    ) -> None:
        if prompt.count("{image}") != 1 or prompt.count("{text}") != 1:
            raise ConfigError("prompt: expected {image} and {text} once each, got others: correct it")
        self.network: Any = network
        self.reader, self.half, self.prompt, self.max_tokens = reader, half, prompt, max_tokens
        self.image_size = reader.image_size

    def write_prompts(self, histories: Sequence[str]) -> list[str]:
        """What LLaVA is asked, the picture's place filled with a mark for each patch."""
        tokenizer, mark = self.reader.tokenizer, self.reader.mark
        prompts = []
        for text in spell_out(histories, tokenizer, mark):
            numbers = tokenizer(text, add_special_tokens=False)["input_ids"]
            if len(numbers) > self.max_tokens:
                text = tokenizer.decode(numbers[: self.max_tokens])
            asked = self.prompt.replace("{image}", mark * self.reader.patches)
            prompts.append(asked.replace("{text}", text or NO_HISTORY))
        return prompts

    def find_loss(self, batch: Batch) -> torch.Tensor:
        """Cross-entropy of the answer's words, the question's are not counted."""
        asked = [self._number(prompt) for prompt in self.write_prompts(batch.histories)]
        said = [self._answer(ANSWERS[int(label)]) for label in batch.labels]
        rows = [torch.tensor(question + answer) for question, answer in zip(asked, said, strict=True)]
        ids = nn.utils.rnn.pad_sequence(rows, True, self._padding).to(self.device)
        labels = torch.full_like(ids, _IGNORED)
        there = torch.zeros_like(ids)
        for row, (question, answer) in enumerate(zip(asked, said, strict=True)):
            end = len(question) + len(answer)
            labels[row, len(question) : end] = ids[row, len(question) : end]
            there[row, :end] = 1
        pixels = self._normalise(batch.crops)
        given = {"input_ids": ids, "attention_mask": there, "pixel_values": pixels, "labels": labels}
        with self._mixed():
            return self.network(**given, use_cache=False).loss

    def score(self, batch: Batch) -> np.ndarray:
        """1 for Yes, 0 for No, NaN for anything else; the most probable words, nothing is drawn."""
        pixels = self._normalise(batch.crops)
        asked = self.write_prompts(batch.histories)
        return np.array([read_answer(self._ask(prompt, pixels[n, None])) for n, prompt in enumerate(asked)])

    def _ask(self, prompt: str, pixels: torch.Tensor) -> str:
        ids = torch.tensor([self._number(prompt)], device=self.device)
        given = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "pixel_values": pixels}
        words = {"max_new_tokens": ANSWER_TOKENS, "do_sample": False, "pad_token_id": self._padding}
        with self._mixed():
            said = self.network.generate(**given, **words)
        return self.reader.tokenizer.decode(said[0, ids.shape[1] :], skip_special_tokens=True)

    def _mixed(self) -> torch.autocast:
        """What is trained is in fp32, and meets the rest in bf16."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.half)

    def _number(self, prompt: str) -> list[int]:
        return list(self.reader.tokenizer(prompt)["input_ids"])

    def _answer(self, word: str) -> list[int]:
        tokenizer = self.reader.tokenizer
        return [*tokenizer(word, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]

    @property
    def _padding(self) -> int:
        tokenizer = self.reader.tokenizer
        return tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id

    def _normalise(self, crops: torch.Tensor) -> torch.Tensor:
        """(B, 1, 3, S, S) RGB 0..1 -> pixels (B, 3, S, S) as the vision tower wants them."""
        return (crops[:, 0] - self.reader.mean.to(crops)) / self.reader.std.to(crops)


def read_answer(text: str) -> float:
    """1 for a text that begins with yes, 0 with no, NaN otherwise."""
    found = _ANSWER.match(text)
    return float("nan") if found is None else float(found[1].lower() == "yes")


def build_llava(
    files: Mapping[str, str],
    rank: int = 128,
    alpha: int = 256,
    dropout: float = 0.05,
    train_projector: bool = True,
    half: bool = True,
    checkpointing: bool = True,
    layers: Sequence[str] = LINEAR,
    prompt: str = PROMPT,
    max_tokens: int = 256,
) -> LlavaPeer:
    """LLaVA-1.5 with adapters, from a local folder; the defaults are those of LLaVA's own LoRA recipe.

    Args:
        files: "folder" of transformers (llava-1.5-7b-hf), with tokenizer and image processor.
        rank, alpha, dropout: of LoRA.
        train_projector: train what is between vision tower and language model too.
        half: keep the frozen part in bf16; what is trained stays in fp32.
        checkpointing: compute activations again in the backward pass: slower, in less memory.
        layers: names of the adapted layers of the language model.
        prompt, max_tokens: see `LlavaPeer`.

    Raises:
        ConfigError: no rank, or layers that there are not.
        ClassifierError: a folder that is not there, not readable, of another kind, or incomplete.
    """
    folder = Path(files["folder"])
    kind = load_local(AutoConfig, folder).model_type
    if kind != "llava":
        raise ClassifierError(
            f"{folder.name}: expected a LLaVA-1.5 of transformers (llava-1.5-7b-hf), got a model of type "
            f"{kind}: name another folder"
        )
    base: Any = load_network(
        LlavaForConditionalGeneration, folder, dtype=torch.bfloat16 if half else torch.float32
    )
    reader = read_reader(folder, base.config)
    adapted = LAYERS.format(names="|".join(map(re.escape, layers)))
    kept = [PROJECTOR] if train_projector else None
    try:
        lora = LoraConfig(
            r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=adapted, modules_to_save=kept
        )
        network = _adapt(base, lora, checkpointing)
    except ValueError as error:
        raise ConfigError(
            f"LoRA: expected a rank from 1 and layers of {', '.join(LINEAR)}, got {rank} and "
            f"{', '.join(layers)}: correct them"
        ) from error
    for value in network.parameters():
        if value.requires_grad:
            value.data = value.data.float()
    return LlavaPeer(network, reader, half, prompt, max_tokens)


def _adapt(base: Any, lora: LoraConfig, checkpointing: bool) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # names that all of transformers 5 has
        if checkpointing:
            base.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        return get_peft_model(base, lora)


def read_reader(folder: Path, config: Any) -> Reader:
    """Tokenizer, mark of a patch and sizes of a folder.

    Raises:
        ClassifierError: not readable, or a tokenizer that does not know the mark.
    """
    tokenizer = load_local(AutoTokenizer, folder)
    pictures = load_local(AutoImageProcessor, folder)
    vision, number = config.vision_config, config.image_token_id
    if number >= len(tokenizer):
        raise ClassifierError(
            f"{folder.name}: expected a tokenizer with token {number} for pictures, got one of "
            f"{len(tokenizer)}: bring all tokenizer files of the model"
        )
    patches = (vision.image_size // vision.patch_size) ** 2
    patches += config.vision_feature_select_strategy == "full"
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (pictures.image_mean, pictures.image_std))
    return Reader(tokenizer, tokenizer.convert_ids_to_tokens(number), patches, mean, std, vision.image_size)
