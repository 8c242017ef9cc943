"""What makes one KSAM: plain numbers and names, the same in configs, in deltas and in experiments."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from common.errors import ConfigError

WITHOUT_PM = ("pooled", "none")
PRIORS = ("off", "dense", "merge", "both")
DECODERS = ("sam", "match")


@dataclass(frozen=True)
class KSamOptions:
    """Architecture of one KSAM; the defaults are the paper's network, where the paper says something.

    Attributes:
        backbone: "vit_b" (paper), "medsam" or "lite".
        image_size: edge of picture and prompt in pixels; 0: the backbone's own (paper, ViT-B: 512).
        km: Knowledge Merge (paper; ablation). Without it the decoder is given IE as it is.
        pm: Prompt Merge (paper; ablation). Without it the decoder is given what `without_pm` says.
        km_widths: "wide", "narrow", or three numbers; see `KnowledgeMerge` (choice).
        km_grid: edge of the grid that it works on; 0: the features' own (choice).
        pm_depth: blocks of Prompt Merge (paper: 4).
        pm_heads: heads of its mask attention (choice).
        pm_mlp_ratio: width of its MLP (choice).
        pm_grid: edge of its grid of tokens; 0: the features' own (choice).
        pm_parser: "space" (choice) or "channels" (One-Prompt's).
        pm_out: "conv" or "separable" (choice).
        without_pm: "pooled": two tokens, the means of SE + DE0 + DE1 inside and outside of the template's
            mask, which adds no weights, so that the ablation's rows differ by a module only (choice: the
            paper does not say); "none": no tokens.
        prior: "off" (paper); "dense": the similarity prior is SAM's mask prompt in place of no_mask_embed;
            "merge": it is a further input of Knowledge Merge; "both" (choice, see `SimilarityPrior`).
        prior_size, prior_grid, prior_cells, prior_scale, prior_position: see `SimilarityPrior`.
        decoder: "sam" (paper), or "match": `MatchFeatures` and `MatchDecoder` in place of Knowledge Merge,
            Prompt Merge and SAM's decoder (choice: cheap to train on many structures, and cannot leave the
            template unread); it needs km and pm false and prior "off".
        match_widths, match_detail: see `MatchFeatures`; match_heads, match_refine_widths: see `MatchDecoder`.
        lora_rank: of the updates to the image encoder (paper: 4); 0: the encoder stays as it is.
        lora_targets: which projections they update (choice: "q", "v"; also "mlp").
    """

    backbone: str = "vit_b"
    image_size: int = 0
    km: bool = True
    pm: bool = True
    km_widths: str | tuple[int, ...] = "wide"
    km_grid: int = 0
    pm_depth: int = 4
    pm_heads: int = 8
    pm_mlp_ratio: float = 4.0
    pm_grid: int = 0
    pm_parser: str = "space"
    pm_out: str = "conv"
    without_pm: str = "pooled"
    prior: str = "off"
    prior_size: int = 64
    prior_grid: int = 0
    prior_cells: int = 4
    prior_scale: float = 20.0
    prior_position: bool = False
    decoder: str = "sam"
    match_widths: tuple[int, ...] = (64, 96, 128, 128)
    match_detail: int = 32
    match_heads: int = 2
    match_refine_widths: tuple[int, ...] = (32, 64, 64)
    lora_rank: int = 4
    lora_targets: tuple[str, ...] = ("q", "v")

    def __post_init__(self) -> None:
        _check_name("without_pm", self.without_pm, WITHOUT_PM)
        _check_name("prior", self.prior, PRIORS)
        _check_name("decoder", self.decoder, DECODERS)
        if self.decoder == "match" and (self.km or self.pm or self.prior != "off"):
            raise ConfigError(
                "decoder: expected km and pm false and prior 'off' for 'match', which replaces them, got km "
                f"{self.km}, pm {self.pm} and prior '{self.prior}': correct them, or take 'sam'"
            )
        if self.prior in ("merge", "both") and not self.km:
            raise ConfigError(
                f"prior: expected Knowledge Merge for '{self.prior}', got km false: take 'dense', or km true"
            )
        if not (self.km or self.pm or self.prior != "off" or self.without_pm == "pooled"):
            raise ConfigError(
                "without_pm: expected a way for the knowledge prompt into the network, got km and pm false, "
                "prior 'off' and no tokens: take 'pooled'"
            )
        if self.lora_rank < 0:
            raise ConfigError(f"lora_rank: expected 0 or more (paper: 4), got {self.lora_rank}: correct it")

    def as_json(self) -> dict[str, Any]:
        """Standard JSON that `find_options` reads."""
        return {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(self).items()}


# The light network: frozen encoder (its features can be kept), small modules, delta below 20 MB in fp16
LITE: dict[str, Any] = {
    "km_widths": "narrow",
    "pm_mlp_ratio": 2.0,
    "pm_grid": 16,
    "pm_out": "separable",
    "prior_grid": 32,
    "lora_rank": 0,
}


def find_options(backbone: str, given: Mapping[str, Any]) -> KSamOptions:
    """The options of a backbone, with those that are given in place of its defaults.

    Raises:
        ConfigError: an option is unknown, or out of range.
    """
    known = [field.name for field in fields(KSamOptions)]
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise ConfigError(
                f"network: expected an option of KSAM, got '{name}': "
                + (f"did you mean '{near[0]}'?" if near else f"known are {', '.join(known)}")
            )
    defaults = {} if backbone in ("vit_b", "medsam") else LITE
    merged = {key: _freeze(value) for key, value in (defaults | dict(given)).items()}
    return KSamOptions(**(merged | {"backbone": backbone}))


def _freeze(value: Any) -> Any:
    return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else value


def _check_name(option: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise ConfigError(f"{option}: expected one of {', '.join(known)}, got '{value}': correct it")
