"""The modules of KSAM from its options, and which parts of SAM are trained with them."""

from __future__ import annotations

from torch import nn

from common.errors import ConfigError
from common.layers.knowledge_merge import KnowledgeMerge
from common.layers.match_decoder import MatchDecoder
from common.layers.match_features import MatchFeatures
from common.layers.prompt_merge import PromptMerge
from common.layers.similarity_prior import SimilarityPrior
from common.networks.sam import CHANNELS, Sam

from .options import KSamOptions

_PRIOR_MAPS = 3  # the prior's logits, and its cosines to foreground and background


def build_knowledge_merge(options: KSamOptions, grid: int) -> KnowledgeMerge:
    """For features of `grid` x `grid`. Raises ConfigError: the widths or the grid do not fit."""
    edge = options.km_grid or grid
    if edge < 8 or edge % 4 or grid % edge:
        raise ConfigError(
            f"km_grid: expected a multiple of 4, at least 8, that divides {grid}, the grid of the features, "
            f"got {edge}: take {grid}"
        )
    extra = _PRIOR_MAPS if options.prior in ("merge", "both") else 0
    return KnowledgeMerge(options.km_widths, CHANNELS, extra, grid // edge)


def build_prompt_merge(options: KSamOptions, grid: int) -> PromptMerge:
    """For features of `grid` x `grid`. Raises ConfigError: an option does not fit."""
    return PromptMerge(
        grid,
        CHANNELS,
        depth=options.pm_depth,
        heads=options.pm_heads,
        mlp_ratio=options.pm_mlp_ratio,
        token_grid=options.pm_grid,
        parser=options.pm_parser,
        out=options.pm_out,
    )


def build_prior(options: KSamOptions, grid: int) -> SimilarityPrior:
    """For features of `grid` x `grid`. Raises ConfigError: a number is out of range."""
    edge = options.prior_grid or grid
    if edge < 1 or grid % edge or (options.prior_cells and edge % options.prior_cells):
        raise ConfigError(
            f"prior_grid: expected a number that divides {grid}, the grid of the features, and that "
            f"prior_cells divides, got {edge} with {options.prior_cells} cells: "
            f"take prior_grid {grid} and prior_cells 4"
        )
    return SimilarityPrior(
        CHANNELS,
        options.prior_size,
        options.prior_grid,
        options.prior_cells,
        options.prior_scale,
        options.prior_position,
    )


def build_match(options: KSamOptions, grid: int) -> tuple[MatchFeatures, MatchDecoder]:
    """For features of `grid` x `grid`. Raises ConfigError: a number is out of range."""
    widths, detail = options.match_widths, options.match_detail
    features = MatchFeatures(grid, CHANNELS, widths, detail)
    decoder = MatchDecoder(grid, widths[0], detail, options.match_heads, widths=options.match_refine_widths)
    return features, decoder


def freeze_unused(sam: Sam, options: KSamOptions) -> None:
    """Leave trainable what takes part: LoRA, mask convolutions, no_mask_embed, the decoder's first mask."""
    unused: list[nn.Module] = [
        *sam.prompt_encoder.point_embeddings,
        sam.prompt_encoder.not_a_point_embed,
        sam.mask_decoder.iou_prediction_head,
        *list(sam.mask_decoder.output_hypernetworks_mlps)[1:],
    ]
    if options.prior in ("dense", "both"):
        unused.append(sam.prompt_encoder.no_mask_embed)
    if options.decoder == "match":
        unused += [sam.prompt_encoder, sam.mask_decoder]
    for module in unused:
        module.requires_grad_(False)
    for name, value in sam.image_encoder.named_parameters():
        value.requires_grad_("lora" in name)
