"""SAM without prompts, for fixed classes: SAMed's way (LoRA) and AutoSAM's (frozen encoder)."""

from __future__ import annotations

import copy

import torch
from torch import nn

from common.errors import ConfigError
from common.layers.lora import add_lora
from common.networks.sam import Sam

from .base import Context, FixedPeer, Peer, enlarge, load_sam


class PromptFreeSam(nn.Module):
    """One mask token and one hypernetwork for each class, all started from SAM's own single mask.

    The prompt is SAM's embedding of "no prompt", which is trained as the decoder is (Zhang and Liu 2023).
    With LoRA in q and v this is SAMed; without it, the encoder stays frozen as in AutoSAM (Hu et al. 2023),
    whose own prediction head is not rebuilt.

    Args:
        sam: with its weights.
        classes: n, structures to predict.
        lora_rank: 0 freezes the encoder.

    Raises:
        ConfigError: a negative rank.
    """

    def __init__(self, sam: Sam, classes: int, lora_rank: int = 4) -> None:
        super().__init__()
        if lora_rank < 0:
            raise ConfigError(f"lora_rank: expected 0 or more, got {lora_rank}: 4 is SAMed's")
        self.image_size, self.sam = sam.image_size, sam
        if lora_rank:
            add_lora(sam.image_encoder, lora_rank)
        decoder = sam.mask_decoder
        first, head = decoder.mask_tokens.weight[:1], decoder.output_hypernetworks_mlps[0]
        decoder.mask_tokens = nn.Embedding.from_pretrained(first.repeat(classes, 1), freeze=False)
        decoder.output_hypernetworks_mlps = nn.ModuleList(copy.deepcopy(head) for _ in range(classes))
        decoder.requires_grad_(True)
        sam.prompt_encoder.no_mask_embed.requires_grad_(True)

    def forward(self, image: torch.Tensor, truth: torch.Tensor | None = None) -> torch.Tensor:
        """(B, 3, S, S) RGB 0..255 -> logits (B, n, S, S); the truth is not looked at."""
        prompts = self.sam.prompt_encoder
        features = self.sam.image_encoder(image)
        sparse = features.new_zeros(len(image), 0, features.shape[1])
        dense = prompts.no_mask_embed.weight.view(1, -1, 1, 1).expand_as(features)
        logits, _ = self.sam.mask_decoder.predict_masks(features, prompts.get_dense_pe(), sparse, dense)
        return enlarge(logits.float(), self.image_size)


def build_prompt_free(
    context: Context,
    weights: str | None,
    backbone: str,
    lora_rank: int = 4,
    image_size: int | None = None,
) -> Peer:
    """SAMed's or AutoSAM's way. Raises ConfigError, ClassifierError: see `load_sam`, `PromptFreeSam`."""
    sam = load_sam(backbone, weights, image_size, context.seed)
    return FixedPeer(PromptFreeSam(sam, len(context.task.structures), lora_rank).eval(), context)
