"""SAM's mask decoder for batches of pictures."""

from __future__ import annotations

import torch
from segment_anything.modeling import MaskDecoder, TwoWayTransformer


class BatchMaskDecoder(MaskDecoder):
    """segment_anything's decoder, with broadcasting in place of repetition.

    The original repeats every picture once for each prompt, which is right for one picture with n prompts and
    wrong for B pictures with B prompts. Here picture and prompt meet by broadcasting: n prompts share one
    picture, B prompts belong to B pictures.
    """

    def __init__(self, channels: int = 256) -> None:
        transformer = TwoWayTransformer(depth=2, embedding_dim=channels, mlp_dim=2048, num_heads=8)
        super().__init__(transformer_dim=channels, transformer=transformer)

    def predict_masks(
        self,
        image_embeddings: torch.Tensor,
        image_pe: torch.Tensor,
        sparse_prompt_embeddings: torch.Tensor,
        dense_prompt_embeddings: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """All four masks of the decoder.

        Args:
            image_embeddings: (B or 1, C, g, g).
            image_pe: (1, C, g, g).
            sparse_prompt_embeddings: (B, n, C), n may be 0.
            dense_prompt_embeddings: (B or 1, C, g, g).

        Returns:
            logits (B, 4, 4g, 4g) and the expected IoU of each (B, 4).
        """
        outputs = torch.cat([self.iou_token.weight, self.mask_tokens.weight])
        outputs = outputs.expand(sparse_prompt_embeddings.shape[0], -1, -1)
        tokens = torch.cat([outputs, sparse_prompt_embeddings], dim=1)
        source = image_embeddings + dense_prompt_embeddings
        tokens, source_tokens = self.transformer(source, image_pe, tokens)
        grid = source_tokens.transpose(1, 2).unflatten(2, source.shape[2:])
        pixels = self.output_upscaling(grid)
        kernels = torch.stack(
            [mlp(tokens[:, 1 + i]) for i, mlp in enumerate(self.output_hypernetworks_mlps)], dim=1
        )
        logits = (kernels @ pixels.flatten(2)).unflatten(2, pixels.shape[2:])
        return logits, self.iou_prediction_head(tokens[:, 0])
