"""PerSAM (Zhang et al. 2023): the template chooses a point in the picture, SAM does the rest; no training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import NamedTuple

import torch
from segment_anything.modeling.transformer import Attention, TwoWayTransformer
from torch import nn
from torch.nn import functional as F

from common.networks.sam import Sam

from .base import Context, Peer, ShownTemplate, enlarge, load_sam, show_templates


class Concept(NamedTuple):
    """What a template says about its structures.

    Attributes:
        direction: (n, C) mean of the foreground's features of length 1: the mean of all cosine maps of the
            paper is the product of this with the picture's features.
        embedding: (n, C) mean of the foreground's features, the high-level semantics.
    """

    direction: torch.Tensor
    embedding: torch.Tensor


class GuidedAttention(nn.Module):
    """Attention of tokens to the picture with a term added to every pixel's score.

    Args:
        attention: whose weights are used.
    """

    def __init__(self, attention: Attention) -> None:
        super().__init__()
        self.attention = attention
        self.bias: torch.Tensor | None = None

    def forward(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """(n, T, C), (n, K, C), (n, K, C) -> (n, T, C); the bias is (n, 1, 1, K)."""
        own = self.attention
        pairs = ((own.q_proj, q), (own.k_proj, k), (own.v_proj, v))
        heads = [project(x).unflatten(-1, (own.num_heads, -1)).transpose(1, 2) for project, x in pairs]
        mixed = F.scaled_dot_product_attention(*heads, attn_mask=self.bias)
        return own.out_proj(mixed.transpose(1, 2).flatten(2))


class GuidedTransformer(nn.Module):
    """The decoder's transformer with PerSAM's two additions, off until `guided` switches them on.

    Args:
        transformer: of SAM's mask decoder; changed in place.
    """

    def __init__(self, transformer: TwoWayTransformer) -> None:
        super().__init__()
        self.transformer = transformer
        self.semantics: torch.Tensor | None = None
        for layer in transformer.layers:
            layer.cross_attn_token_to_image = GuidedAttention(layer.cross_attn_token_to_image)
        transformer.final_attn_token_to_image = GuidedAttention(transformer.final_attn_token_to_image)

    def forward(
        self, source: torch.Tensor, position: torch.Tensor, tokens: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """As the transformer itself; the template's embedding is added to every token."""
        if self.semantics is not None:
            tokens = tokens + self.semantics[:, None]
        return self.transformer(source, position, tokens)

    @contextmanager
    def guided(self, similarity: torch.Tensor, semantics: torch.Tensor) -> Iterator[None]:
        """Target-guided attention and target-semantic prompting inside the block.

        The paper adds a multiple of the normalised similarity to the scores before their softmax. Choice:
        standardised and then squeezed into 0..1 by a sigmoid, because a softmax over thousands of pixels
        would be near zero everywhere.

        Args:
            similarity: (n, g, g).
            semantics: (n, C).
        """
        flat = similarity.flatten(1)
        spread = flat.std(1, keepdim=True).clamp(min=1e-6)
        bias = ((flat - flat.mean(1, keepdim=True)) / spread).sigmoid()[:, None, None]
        guides = [module for module in self.modules() if isinstance(module, GuidedAttention)]
        try:
            self.semantics = semantics
            for guide in guides:
                guide.bias = bias
            yield
        finally:
            self.semantics = None
            for guide in guides:
                guide.bias = None


class PerSamPeer(Peer):
    """One answer for each template; something is always found, as in the paper.

    Args:
        sam: with its weights; its decoder's transformer is wrapped.
        context: see `Context`.
        guided: target-guided attention and target-semantic prompting, in the first step.
        refine: the cascade: again with the first mask, then with its box.
    """

    def __init__(self, sam: Sam, context: Context, guided: bool = True, refine: bool = True) -> None:
        self.sam, self.image_size = sam, sam.image_size
        self.guided, self.refine = guided, refine
        self.transformer = GuidedTransformer(sam.mask_decoder.transformer)
        sam.mask_decoder.transformer = self.transformer
        self.templates = show_templates(context.task, self.image_size)
        self.answers = {template.id: template.task for template in self.templates}

    @cached_property
    def concepts(self) -> list[Concept]:
        """Of the templates, read once."""
        return [self._read(template) for template in self.templates]

    def _read(self, template: ShownTemplate) -> Concept:
        features = self.sam.image_encoder(template.image)
        shares = F.adaptive_avg_pool2d(template.masks[None], features.shape[-1]).flatten(2)
        shares = shares / shares.sum(-1, keepdim=True).clamp(min=1e-6)
        unit = F.normalize(features, dim=1)
        return Concept(*((shares @ x.flatten(2).transpose(1, 2))[0] for x in (unit, features)))

    def segment(self, image: torch.Tensor, truth: torch.Tensor) -> Mapping[str, torch.Tensor]:
        """See `Peer`; the truth is not looked at."""
        features = self.sam.image_encoder(image)
        found = [enlarge(self._apply(features, concept), self.image_size)[:, 0] for concept in self.concepts]
        return dict(zip(self.answers, found, strict=True))

    def _apply(self, features: torch.Tensor, concept: Concept) -> torch.Tensor:
        """(1, C, g, g) -> logits (n, 1, 4g, 4g)."""
        similarity = torch.einsum("nc,cyx->nyx", concept.direction, F.normalize(features, dim=1)[0])
        points = self._choose_points(similarity)
        if self.guided:
            with self.transformer.guided(similarity, concept.embedding):
                logits = self._decode(features, points)
        else:
            logits = self._decode(features, points)
        if not self.refine:
            return logits
        logits = self._decode(features, points, logits)
        return self._decode(features, points, logits, self._find_boxes(logits, points[0]))

    def _choose_points(self, similarity: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Most and least similar place (n, 2, 2) in pixels, labels (n, 2): 1 inside, 0 outside."""
        grid = similarity.shape[-1]
        flat = similarity.flatten(1)
        places = torch.stack([flat.argmax(1), flat.argmin(1)], dim=1)
        tokens = torch.stack([places % grid, places // grid], dim=-1)
        labels = torch.tensor([1.0, 0.0], device=flat.device).expand(len(flat), 2)
        return (tokens + 0.5) * (self.image_size / grid), labels

    def _decode(
        self,
        features: torch.Tensor,
        points: tuple[torch.Tensor, torch.Tensor],
        masks: torch.Tensor | None = None,
        boxes: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """The single mask of points alone; with a mask, the best of three by SAM's own estimate."""
        sparse, dense = self.sam.prompt_encoder(points=points, boxes=boxes, masks=masks)
        position = self.sam.prompt_encoder.get_dense_pe()
        several = masks is not None
        logits, quality = self.sam.mask_decoder(features, position, sparse, dense, multimask_output=several)
        best = quality.argmax(1)
        return logits[torch.arange(len(best)), best][:, None]

    def _find_boxes(self, logits: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
        """Bounding boxes (n, 4) in pixels; around the positive point where a mask is empty."""
        step = self.image_size / logits.shape[-1]
        boxes = []
        for mask, (inside, _) in zip(logits[:, 0] > 0, points, strict=True):
            rows, columns = torch.nonzero(mask, as_tuple=True)
            if len(rows):
                low = torch.stack([columns.min(), rows.min()]) * step
                boxes.append(torch.cat([low, torch.stack([columns.max() + 1, rows.max() + 1]) * step]))
            else:
                boxes.append(torch.cat([inside - step, inside + step]))
        return torch.stack(boxes)


def build_persam(
    context: Context,
    weights: str | None,
    backbone: str,
    guided: bool = True,
    refine: bool = True,
    image_size: int | None = None,
) -> Peer:
    """PerSAM over any SAM. Raises ConfigError, ClassifierError: see `load_sam`."""
    return PerSamPeer(load_sam(backbone, weights, image_size, context.seed), context, guided, refine)
