"""What makes one MMBCD: plain numbers and names, the same in configs, in weights and in experiments.

Three presets; every field may be set besides, and the fields that are not in the table are the same in all.

| field               | `paper`                  | `released_code`          | `default`                |
|---------------------|--------------------------|--------------------------|--------------------------|
| vision              | dino_vits8 (choice: S/8) | dino_vits8               | dino_vits8               |
| frozen_blocks       | 0 (trained as a whole)   | 9 of 12, and the patches | 9 of 12, and the patches |
| text                | roberta                  | roberta                  | roberta                  |
| text_trained_layers | -1 (all)                 | 2                        | 2                        |
| prompt              | the history alone        | Indication: {text}       | Indication: {text}       |
| projection          | 0 (none), see below      | 256 after BatchNorm      | 256 after LayerNorm      |
| attention           | equation 3, no weights   | weights, 1 head, 0.3     | weights, 4 heads, 0.1    |
| hidden              | 256 (paper: an MLP)      | 0 (one linear layer)     | 256                      |
| dropout             | 0                        | 0                        | 0.1                      |
| mask_rate           | 0.2                      | 0 (its masking is off)   | 0.2                      |
| missing_history     | empty                    | empty                    | learned                  |
| history_dropout     | 0                        | 0                        | 0.25                     |
| image_gradient      | false                    | false                    | true                     |

`paper`: equation 3 needs E_T and e_v of one size; where the encoders differ (768 and 384), one linear layer
brings E_T to the size of e_v (choice: the least that makes the equation hold). Table 2 without "mask" is
`mask_rate` 0, without "Attn" `use_attention` false, without "Text" `use_text` false; Table 3 is `vision` with
`use_text` false: resnet50, clip_resnet50, vit_b16, clip_vit_b16, dino_vits8.

`released_code`: the network only. Its faults are copied nowhere: the history of the healthy breast blanked
with the label, words deleted instead of masked, ROIs duplicated up to K, crops of a shrunken picture.

`default`: LayerNorm does not mix the patients of a batch; a missing history has an embedding of its own, and
histories are left out at random in training so that it is trained; the image-only score trains the encoder.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from common.errors import ConfigError

ALL = -1  # of `text_trained_layers`: embeddings and all layers
_NORMS = ("batch", "layer")
_MISSING = ("learned", "empty")
_LEAST = {"rois": 1, "mask_words": 0, "projection": 0, "hidden": 0, "max_tokens": 4}


@dataclass(frozen=True)
class MmbcdOptions:
    """Architecture of one MMBCD, and how its histories are treated; the defaults are the preset `default`.

    Attributes:
        preset: where the fields that are not given come from; see the table above.
        vision: encoder of ROIs, see `build_vision_encoder`.
        image_size: edge of an ROI in pixels; 0: the encoder's own.
        frozen_blocks: how many of the vision encoder's first blocks, and what is before them, are not
            trained; all of them: the encoder as a whole. A ResNet has 16.
        text: kind of the encoder of histories, see `build_text_encoder`.
        text_trained_layers: how many of its last layers are trained; -1: the encoder as a whole.
        max_tokens: length of a history, its ends included; longer ones are cut (released code: 90).
        prompt: what the tokenizer is given, with {text} in place of the history.
        use_text: the history takes part (Table 2).
        use_attention: attention of the history to the ROIs takes part (Table 2).
        projection: size to which both embeddings are brought before fusion; 0: no projections.
        projection_norm: "batch" or "layer", in front of them.
        attention_projections, attention_heads, attention_dropout: see `MilAttention`.
        hidden: width of the MLP that ends in the two logits; 0: one linear layer.
        dropout: in that MLP.
        missing_history: "learned": an embedding of its own; "empty": the prompt without a history.
        history_dropout: share of histories taken as missing in training.
        image_gradient: the image-only head trains what is below it, too; else only itself.
        mask_rate: share of the most relevant words that are masked in training (paper: 0.2).
        mask_words: how many words are such (paper: 100).
        rois: K, the most ROIs of a picture (released code: 8).
    """

    preset: str = "default"
    vision: str = "dino_vits8"
    image_size: int = 0
    frozen_blocks: int = 9
    text: str = "roberta"
    text_trained_layers: int = 2
    max_tokens: int = 90
    prompt: str = "Indication: {text}"
    use_text: bool = True
    use_attention: bool = True
    projection: int = 256
    projection_norm: str = "layer"
    attention_projections: bool = True
    attention_heads: int = 4
    attention_dropout: float = 0.1
    hidden: int = 256
    dropout: float = 0.1
    missing_history: str = "learned"
    history_dropout: float = 0.25
    image_gradient: bool = True
    mask_rate: float = 0.2
    mask_words: int = 100
    rois: int = 8

    def __post_init__(self) -> None:
        _check_name("preset", self.preset, tuple(PRESETS))
        _check_name("projection_norm", self.projection_norm, _NORMS)
        _check_name("missing_history", self.missing_history, _MISSING)
        for name in ("dropout", "attention_dropout", "history_dropout", "mask_rate"):
            _check_number(name, getattr(self, name), 0.0, 1.0)
        for name, least in _LEAST.items():  # of tokens two ends, and something between
            _check_number(name, getattr(self, name), least, 1e6)
        if self.prompt.count("{text}") != 1:
            raise ConfigError("prompt: expected a text with {text} once, got another: 'Indication: {text}'")

    @property
    def uses_attention(self) -> bool:
        """Attention takes part; without a history there is nothing to ask."""
        return self.use_text and self.use_attention

    def as_json(self) -> dict[str, Any]:
        """Standard JSON that `find_options` reads."""
        return asdict(self)


PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    "released_code": {
        "projection_norm": "batch",
        "attention_heads": 1,
        "attention_dropout": 0.3,
        "hidden": 0,
        "dropout": 0.0,
        "missing_history": "empty",
        "history_dropout": 0.0,
        "image_gradient": False,
        "mask_rate": 0.0,
    },
    "paper": {
        "frozen_blocks": 0,
        "text_trained_layers": ALL,
        "prompt": "{text}",
        "projection": 0,
        "attention_projections": False,
        "attention_heads": 1,
        "attention_dropout": 0.0,
        "dropout": 0.0,
        "missing_history": "empty",
        "history_dropout": 0.0,
        "image_gradient": False,
    },
}


def find_options(preset: str = "default", given: Mapping[str, Any] | None = None) -> MmbcdOptions:
    """The options of a preset, with those that are given in place of its own.

    Raises:
        ConfigError: the preset or an option is unknown, or out of range.
    """
    given = dict(given or {})
    known = [field.name for field in fields(MmbcdOptions)]
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise ConfigError(
                f"network: expected an option of MMBCD, got '{name}': "
                + (f"did you mean '{near[0]}'?" if near else f"known are {', '.join(known)}")
            )
    _check_name("preset", preset, tuple(PRESETS))
    return MmbcdOptions(**{**PRESETS[preset], **given, "preset": preset})


def _check_name(option: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ConfigError(f"{option}: expected one of {', '.join(known)}, got '{value}': correct it")


def _check_number(option: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise ConfigError(f"{option}: expected a number from {least:g} to {most:g}, got {value}: correct it")
