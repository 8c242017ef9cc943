"""The decoder: queries look at each other and at the image around their boxes; each layer refines these."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from .attention import DeformableAttention
from .boxes import inverse_sigmoid
from .heads import BoxHead, Mlp, build_class_head
from .levels import Levels
from .outputs import Prediction
from .position import encode_boxes
from .sizes import DinoSizes


class DecoderLayer(nn.Module):
    """Attention among the queries, deformable attention to the image, a feed-forward layer.

    Args:
        sizes: the numbers of the network.
    """

    def __init__(self, sizes: DinoSizes) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(sizes.width, sizes.heads, batch_first=True)
        self.norm2 = nn.LayerNorm(sizes.width)
        self.cross_attn = DeformableAttention(sizes)
        self.norm1 = nn.LayerNorm(sizes.width)
        self.linear1 = nn.Linear(sizes.width, sizes.ffn)
        self.linear2 = nn.Linear(sizes.ffn, sizes.width)
        self.norm3 = nn.LayerNorm(sizes.width)

    def forward(
        self,
        queries: torch.Tensor,
        positions: torch.Tensor,
        places: torch.Tensor,
        memory: torch.Tensor,
        levels: Levels,
        blocked: torch.Tensor | None,
    ) -> torch.Tensor:
        """Queries (B, Q, C) -> (B, Q, C).

        Args:
            queries, positions: contents and encoded boxes.
            places: (B, Q, L, 4) boxes in parts of the padded scales.
            memory, levels: of the encoder.
            blocked: (Q, Q) bool, true where a query (row) must not see another.
        """
        keys = queries + positions
        seen = self.self_attn(keys, keys, queries, attn_mask=blocked, need_weights=False)[0]
        queries = self.norm2(queries + seen)
        queries = self.norm1(queries + self.cross_attn.attend(queries + positions, places, memory, levels))
        return self.norm3(queries + self.linear2(F.relu(self.linear1(queries))))


class Decoder(nn.Module):
    """A row of `DecoderLayer` with heads that all of them share.

    Args:
        sizes: the numbers of the network.
    """

    def __init__(self, sizes: DinoSizes) -> None:
        super().__init__()
        self.width = sizes.width
        self.layers = nn.ModuleList(DecoderLayer(sizes) for _ in range(sizes.decoder_layers))
        self.norm = nn.LayerNorm(sizes.width)
        self.ref_point_head = Mlp(2 * sizes.width, sizes.width, sizes.width)
        self.class_embed = build_class_head(sizes)
        self.bbox_embed = BoxHead(sizes.width)

    def forward(
        self,
        queries: torch.Tensor,
        places: torch.Tensor,
        memory: torch.Tensor,
        levels: Levels,
        blocked: torch.Tensor | None = None,
    ) -> list[Prediction]:
        """Contents (B, Q, C) and box logits (B, Q, 4) -> answer of each layer; in evaluation of the last one.

        Look forward twice (DINO, section 3.5): a layer corrects the box that the one before it refined, with
        gradient; what the next layer looks at has none.
        """
        boxes = earlier = places.sigmoid()
        answers = []
        for number, layer in enumerate(self.layers, 1):
            around = levels.in_padded(boxes)
            positions = self.ref_point_head(encode_boxes(around[:, :, 0], self.width))
            queries = layer(queries, positions, around, memory, levels, blocked)
            if self.training or number == len(self.layers):
                answers.append(self.answer(queries, earlier))
            earlier = (self.bbox_embed(queries) + inverse_sigmoid(boxes)).sigmoid()
            boxes = earlier.detach()
        return answers

    def answer(self, queries: torch.Tensor, boxes: torch.Tensor) -> Prediction:
        """Contents (B, Q, C) and the boxes (B, Q, 4) that they correct -> their answer."""
        queries = self.norm(queries)
        corrected = self.bbox_embed(queries) + inverse_sigmoid(boxes)
        return Prediction(self.class_embed(queries), corrected.sigmoid())
