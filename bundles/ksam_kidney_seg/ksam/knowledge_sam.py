"""KSAM: a SAM that is told what to segment by one example picture and its mask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from common.errors import ConfigError, InputError
from common.layers.lora import add_lora
from common.layers.match_decoder import MatchDecoder, Matched
from common.layers.match_features import MatchFeatures
from common.layers.pr_adaptor import PrAdaptor
from common.layers.similarity_prior import Prior
from common.networks.card import WeightsCard
from common.networks.sam import CHANNELS, Sam

from .bank import PromptBank
from .options import KSamOptions
from .parts import build_knowledge_merge, build_match, build_prior, build_prompt_merge, freeze_unused
from .script import ScriptedBank

_LOGIT_SCALE = 8.0  # brings the prior's logits beside its cosines


class Knowledge(NamedTuple):
    """What is read from B templates, once for all pictures.

    features: SE (B, 256, g, g); image_prompt: DE0, task: DE1 (paper: equation 1), both (B, 256, g, g);
    mask: share of the structure in each cell, 0..1 (B, 1, g, g).
    """

    features: torch.Tensor
    image_prompt: torch.Tensor
    task: torch.Tensor
    mask: torch.Tensor


class KSam(nn.Module):
    """Paper: Output = MaskDec(mergedE, promptE) (equation 2).

    Pictures are RGB 0..255 (B, 3, S, S), masks 0..1 (B, 1, S, S). The encoder may run once for many
    templates and structures: forward(x, i, m) is segment(encode(x), read_prompt(encode(i), i, m)).

    Args:
        sam: with its weights; changed in place (LoRA, what is trained).
        options: the architecture.
        structures: n of a placeholder bank, see `PromptBank`.

    Attributes:
        card: where the trained part comes from.
        base_name, base_sha256: the file of the backbone's weights; empty where there was none.
    """

    def __init__(self, sam: Sam, options: KSamOptions, structures: int = 0) -> None:
        super().__init__()
        if options.lora_rank:
            add_lora(sam.image_encoder, options.lora_rank, options.lora_targets)
        self.sam, self.options = sam, options
        self.image_size = sam.image_size
        matches = options.decoder == "match"
        self.pr_adaptor = None if matches else PrAdaptor(sam.image_size, 4 * sam.grid)
        self.knowledge_merge = build_knowledge_merge(options, sam.grid) if options.km else None
        self.prompt_merge = build_prompt_merge(options, sam.grid) if options.pm else None
        self.prior = build_prior(options, sam.grid) if options.prior != "off" else None
        self.match_features: MatchFeatures | None = None
        self.match_decoder: MatchDecoder | None = None
        if matches:
            self.match_features, self.match_decoder = build_match(options, sam.grid)
        self.bank = PromptBank(sam.image_size, structures)
        self.card, self.base_name, self.base_sha256 = WeightsCard(), "", ""
        self._bank_features: torch.Tensor | None = None
        freeze_unused(sam, options)
        self.trained_names = tuple(name for name, value in self.named_parameters() if value.requires_grad)

    def encode(self, image: torch.Tensor) -> torch.Tensor:
        """IE or SE: (B, 3, S, S), RGB 0..255 -> (B, 256, g, g). Raises InputError for another shape.

        With the decoder "match" more channels follow, see `extend`.
        """
        self._check("image", image, 3)
        return self.extend(self.sam.image_encoder(image), image)

    def extend(self, features: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        """What follows the frozen encoder and is trained: nothing, or matching features and pixel detail.

        Args:
            features: (B, 256, g, g) of SAM's encoder.
            image: (B, 3, S, S), RGB 0..255.

        Returns:
            (B, 256 or more, g, g).
        """
        return features if self.match_features is None else self.match_features(features, image)

    def match(self, features: torch.Tensor, template: torch.Tensor, masks: torch.Tensor) -> Matched:
        """All structures of each pair at once, with the decoder "match".

        Args:
            features: of the pictures (B, C, g, g), from `encode` or `extend`.
            template: of the templates, likewise.
            masks: of the templates, share of each cell, 0..1 (B, T, g, g).

        Raises:
            ConfigError: the network has another decoder.
        """
        if self.match_features is None or self.match_decoder is None:
            raise ConfigError("decoder: expected 'match', got 'sam': use read_prompt and segment")
        size = self.match_features.size
        matching, detail = features[:, CHANNELS : CHANNELS + size], features[:, CHANNELS + size :]
        return self.match_decoder(matching, detail, template[:, CHANNELS : CHANNELS + size], masks)

    def read_prompt(self, features: torch.Tensor, image: torch.Tensor, mask: torch.Tensor) -> Knowledge:
        """Everything that can be known of templates before a picture comes (paper: equation 1).

        Args:
            features: SE (B, 256, g, g), of the templates' pictures.
            image: (B, 3, S, S), RGB 0..255.
            mask: (B, 1, S, S), 0..1.

        Raises:
            InputError: another shape.
        """
        self._check("knowledge_image", image, 3)
        self._check("knowledge_mask", mask, 1)
        cells = F.avg_pool2d(mask, self.image_size // self.sam.grid)
        if self.pr_adaptor is None:  # the decoder "match" reads the mask itself
            nothing = features[:, :0]
            return Knowledge(features, nothing, nothing, cells)
        encode = self.sam.prompt_encoder.mask_downscaling
        picture, task = (encode(maps) for maps in self.pr_adaptor(image, mask))
        return Knowledge(features, picture, task, cells)

    def segment(self, features: torch.Tensor, knowledge: Knowledge) -> torch.Tensor:
        """One mask for each picture and its template.

        Args:
            features: IE (B, 256, g, g), or one for all templates.
            knowledge: of B templates, or of one for all pictures.

        Returns:
            logits (B, 1, S, S), fp32.
        """
        return self._segment_pairs(*_pair(features, knowledge))

    def forward(
        self,
        image: torch.Tensor,
        knowledge_image: torch.Tensor | None = None,
        knowledge_mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Logits by one template for each picture, or by the bank.

        Args:
            image: (B, 3, S, S), RGB 0..255.
            knowledge_image: (B or 1, 3, S, S), RGB 0..255; None: the bank's templates.
            knowledge_mask: (B or 1, 1, S, S), 0..1.

        Returns:
            (B, 1, S, S); by the bank (B, n, S, S), the mean of the logits over each structure's templates.

        Raises:
            InputError: a shape is wrong, one half of the prompt is missing, or the bank is empty.
        """
        if (knowledge_image is None) != (knowledge_mask is None):
            raise InputError("prompt: expected a picture and its mask, got one of them: give both, or none")
        features = self.encode(image)
        if knowledge_image is None or knowledge_mask is None:
            return self.segment_by_bank(features, self.encode_bank())
        template = self.encode(knowledge_image)
        return self.segment(features, self.read_prompt(template, knowledge_image, knowledge_mask))

    def encode_bank(self) -> torch.Tensor:
        """SE of the bank's pictures (t, 256, g, g); kept in eval mode until weights or bank change."""
        if self._bank_features is not None:
            return self._bank_features
        features = self.encode(self.bank.pictures())
        if not self.training and not torch.is_grad_enabled():
            self._bank_features = features
        return features

    def segment_by_bank(self, features: torch.Tensor, bank_features: torch.Tensor) -> torch.Tensor:
        """IE (B, 256, g, g) and SE of the bank's pictures -> logits (B, n, S, S). InputError: no bank."""
        if not self.bank.structures:
            raise InputError(
                "prompt: expected a knowledge prompt or a filled bank, got neither: give the picture and "
                "mask of a template, or weights with a bank"
            )
        pictures = self.bank.pictures()
        logits = []
        for structure in range(self.bank.structures):
            index, masks = self.bank.templates(structure)
            knowledge = self.read_prompt(bank_features[index], pictures[index], masks)
            logits.append(self._mean_over_templates(features, knowledge))
        return torch.cat(logits, dim=1)

    def set_bank(self, images: torch.Tensor, masks: torch.Tensor, names: Sequence[str] = ()) -> None:
        """Templates (n, k, 3, S, S) 0..255, masks (n, k, 1, S, S) 0..1; see `PromptBank.fill`."""
        self.bank.fill(images, masks, names)
        self._bank_features = None

    def trainable_parameters(self) -> list[nn.Parameter]:
        """Those that a delta holds: LoRA, adapter, mask convolutions, the modules and the decoder."""
        named = dict(self.named_parameters())
        return [named[name] for name in self.trained_names]

    def train(self, mode: bool = True) -> KSam:
        """As usual; weights may change now, so what is kept of the bank is dropped."""
        self._bank_features = None
        return super().train(mode)

    def _apply(self, *args: Any, **kwargs: Any) -> KSam:
        self._bank_features = None
        return super()._apply(*args, **kwargs)

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """As usual; the bank takes the size that it has in the state."""
        self._bank_features = None
        return super().load_state_dict(*args, **kwargs)

    def __prepare_scriptable__(self) -> nn.Module:
        """What `torch.jit.script` compiles, and so MONAI's `ckpt_export`: pictures to the bank's logits."""
        return ScriptedBank(self)

    def _segment_pairs(self, features: torch.Tensor, knowledge: Knowledge) -> torch.Tensor:
        logits = self._decode(features, knowledge)
        if logits.shape[-1] == self.image_size:
            return logits.float()
        size = (self.image_size, self.image_size)
        return F.interpolate(logits.float(), size, mode="bilinear", align_corners=False)

    def _decode(self, features: torch.Tensor, knowledge: Knowledge) -> torch.Tensor:
        """(B, 1, 4g, 4g)."""
        if self.match_decoder is not None:
            return self.match(features, knowledge.features, knowledge.mask).logits
        prior = None if self.prior is None else self.prior(features, knowledge.features, knowledge.mask)
        merged = self._merge_knowledge(features, knowledge, prior)
        tokens = self._merge_prompt(features, knowledge)
        return self.sam.decode(merged, tokens, self._dense_prompt(prior))

    def _merge_knowledge(
        self, features: torch.Tensor, knowledge: Knowledge, prior: Prior | None
    ) -> torch.Tensor:
        if self.knowledge_merge is None:
            return features
        summed = knowledge.image_prompt + knowledge.task + knowledge.features
        if prior is None or self.options.prior == "dense":
            return self.knowledge_merge(features, summed)
        extra = torch.cat((prior.logits / _LOGIT_SCALE, prior.maps), dim=1)
        return self.knowledge_merge(features, summed, extra)

    def _merge_prompt(self, features: torch.Tensor, knowledge: Knowledge) -> torch.Tensor:
        if self.prompt_merge is not None:
            position = self.sam.prompt_encoder.get_dense_pe()
            return self.prompt_merge(features, *knowledge[:3], position)
        if self.options.without_pm == "none":
            return features.new_zeros(features.shape[0], 0, CHANNELS)
        return _pool_tokens(knowledge)

    def _dense_prompt(self, prior: Prior | None) -> torch.Tensor:
        """What is added to the features: never DE1, which has the template's coordinates."""
        encoder = self.sam.prompt_encoder
        if prior is None or self.options.prior == "merge":
            return encoder.no_mask_embed.weight.reshape(1, -1, 1, 1)
        maps = F.interpolate(prior.logits, scale_factor=4.0, mode="bilinear", align_corners=False)
        return encoder.mask_downscaling(maps)

    def _mean_over_templates(self, features: torch.Tensor, knowledge: Knowledge) -> torch.Tensor:
        count, batch = knowledge.mask.shape[0], features.shape[0]  # `len` would become a constant in a trace
        pictures = features.unsqueeze(1).expand(-1, count, -1, -1, -1).flatten(0, 1)
        repeated = Knowledge(*(x.unsqueeze(0).expand(batch, *x.shape).flatten(0, 1) for x in knowledge))
        return self._segment_pairs(pictures, repeated).unflatten(0, (batch, count)).mean(dim=1)

    def _check(self, name: str, value: torch.Tensor, channels: int) -> None:
        if torch.jit.is_tracing():
            return
        size = self.image_size
        if value.ndim != 4 or tuple(value.shape[1:]) != (channels, size, size):
            raise InputError(
                f"{name}: expected (B, {channels}, {size}, {size}), got {tuple(value.shape)}: "
                "bring it to the network's size"
            )


def _pair(features: torch.Tensor, knowledge: Knowledge) -> tuple[torch.Tensor, Knowledge]:
    """One picture meets many templates, or one template many pictures."""
    pictures, templates = len(features), len(knowledge.mask)
    if pictures == templates:
        return features, knowledge
    if 1 not in (pictures, templates):
        raise InputError(
            f"prompt: expected one template or as many as pictures ({pictures}), got {templates}: repeat them"
        )
    count = max(pictures, templates)
    repeated = Knowledge(*(x.expand(count, -1, -1, -1) for x in knowledge))
    return features.expand(count, -1, -1, -1), repeated


def _pool_tokens(knowledge: Knowledge) -> torch.Tensor:
    """Means of SE + DE0 + DE1 inside and outside of the mask: (B, 2, 256)."""
    summed = knowledge.features + knowledge.image_prompt + knowledge.task
    shares = torch.cat((knowledge.mask, 1 - knowledge.mask), dim=1).flatten(2)
    totals = torch.einsum("bkn,bcn->bkc", shares, summed.flatten(2))
    return totals / shares.sum(dim=2, keepdim=True).clamp(min=1e-6)
