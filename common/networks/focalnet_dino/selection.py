"""Two stages: the encoder's best tokens give the places of the queries, their contents are learned."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

from .heads import BoxHead, build_class_head
from .levels import Levels
from .outputs import Prediction
from .sizes import DinoSizes

_SIDE = 0.05  # of the box proposed at the first scale; doubled at each further one (published)
_FAR = 1e4  # logit of a place that is not proposed; the published code has infinity, whose sigmoid is 1, too
_MARGIN = 0.01  # proposals nearer than this to the edge, or larger than 1 - this, are not used (published)


class Selection(NamedTuple):
    """What the decoder starts from.

    Attributes:
        contents: (B, Q, C), the same for every image.
        places: (B, Q, 4) logits of the boxes, without gradient.
        prediction: of the encoder, with gradient.
    """

    contents: torch.Tensor
    places: torch.Tensor
    prediction: Prediction


class QuerySelection(nn.Module):
    """Mixed query selection (DINO, section 3.4).

    Args:
        sizes: the numbers of the network.
    """

    def __init__(self, sizes: DinoSizes) -> None:
        super().__init__()
        self.enc_output = nn.Linear(sizes.width, sizes.width)
        self.enc_output_norm = nn.LayerNorm(sizes.width)
        self.enc_out_class_embed = build_class_head(sizes)
        self.enc_out_bbox_embed = BoxHead(sizes.width)
        self.tgt_embed = nn.Embedding(sizes.queries, sizes.width)

    def forward(self, memory: torch.Tensor, levels: Levels) -> Selection:
        """Memory (B, N, C) -> the `queries` tokens of the highest class score.

        As published, tokens of the padding and of proposals that are not used compete with a zero memory.
        """
        proposals, used = propose(levels)
        tokens = self.enc_output_norm(self.enc_output(memory.masked_fill(~used, 0.0)))
        logits = self.enc_out_class_embed(tokens)
        best = logits.amax(-1).topk(self.tgt_embed.num_embeddings, dim=1).indices
        tokens, logits, proposals = (_take(values, best) for values in (tokens, logits, proposals))
        places = self.enc_out_bbox_embed(tokens) + proposals
        contents = self.tgt_embed.weight.expand(len(memory), -1, -1)
        return Selection(contents, places.detach(), Prediction(logits, places.sigmoid()))


def propose(levels: Levels) -> tuple[torch.Tensor, torch.Tensor]:
    """A square box for every token.

    Returns:
        Logits (B, N, 4) of cx, cy, w, h, and which of them are used, (B, N, 1) bool.
    """
    centres = levels.centres()
    sides = [
        centres.new_full((1, rows * columns, 2), _SIDE * 2**level)
        for level, (rows, columns) in enumerate(levels.shapes)
    ]
    boxes = torch.cat((centres, torch.cat(sides, dim=1).expand_as(centres)), dim=-1)
    used = ((boxes > _MARGIN) & (boxes < 1 - _MARGIN)).all(-1) & ~levels.padding
    safe = boxes.clamp(_MARGIN, 1 - _MARGIN)
    return torch.log(safe / (1 - safe)).masked_fill(~used[..., None], _FAR), used[..., None]


def _take(values: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    return values.gather(1, index[..., None].expand(-1, -1, values.shape[-1]))
