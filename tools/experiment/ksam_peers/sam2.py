"""MedSAM2 with oracle points and boxes: transformers' SAM 2 on single slices, weights from a local file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import Sam2Config, Sam2Model

from common.errors import ConfigError
from common.networks.state_dict import load_state, read_state

from .base import Context, Peer
from .oracle import OraclePrompt
from .prompted import PromptedNetwork, PromptedPeer, check_part

MEAN, DEVIATION = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # ImageNet's, of pixels 0..255
STRIDES_PX = (4, 8, 16)

_VIDEO_ONLY = ("memory_attention.", "memory_encoder.", "obj_ptr_", "mask_downsample.", "no_mem_pos_enc")
_VIDEO_ONLY += ("maskmem_tpos_enc", "no_obj_ptr", "no_obj_embed_spatial")
_RENAMED = (
    (r"^image_encoder\.trunk\.", "vision_encoder.backbone."),
    (r"^image_encoder\.neck\.convs\.(\d+)\.conv\.", r"vision_encoder.neck.convs.\1."),
    (r"^sam_prompt_encoder\.", "prompt_encoder."),
    (r"^sam_mask_decoder\.", "mask_decoder."),
    (r"^no_mem_embed$", "no_memory_embedding"),
    (r"patch_embed\.proj\.", "patch_embed.projection."),
    (r"pe_layer\.positional_encoding_gaussian_matrix", "shared_embedding.positional_embedding"),
    (r"mask_downscaling\.0\.", "mask_embed.conv1."),
    (r"mask_downscaling\.1\.", "mask_embed.layer_norm1."),
    (r"mask_downscaling\.3\.", "mask_embed.conv2."),
    (r"mask_downscaling\.4\.", "mask_embed.layer_norm2."),
    (r"mask_downscaling\.6\.", "mask_embed.conv3."),
    (r"output_upscaling\.0\.", "upscale_conv1."),
    (r"output_upscaling\.1\.", "upscale_layer_norm."),
    (r"output_upscaling\.3\.", "upscale_conv2."),
    (r"\.norm(\d)\.", r".layer_norm\1."),
    (r"\.norm_final_attn\.", ".layer_norm_final_attn."),
    (r"\.out_proj\.", ".o_proj."),
    (r"\.mlp\.layers\.0\.", ".mlp.proj_in."),
    (r"\.mlp\.layers\.1\.", ".mlp.proj_out."),
    (r"(_mlps\.\d+|_head)\.layers\.0\.", r"\1.proj_in."),
    (r"(_mlps\.\d+|_head)\.layers\.2\.", r"\1.proj_out."),
    (r"(_mlps\.\d+|_head)\.layers\.1\.", r"\1.layers.0."),
)
_POINTS = re.compile(r"^sam_prompt_encoder\.point_embeddings\.(\d)\.weight$")


class PromptedSam2(PromptedNetwork):
    """SAM 2 on single slices: no memory of other slices (choice: all rows see one slice).

    Args:
        model: transformers' SAM 2.
        prompt, seed: see `PromptedNetwork`.
        train: None, or "decoder".

    Raises:
        ConfigError: another part.
    """

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(
        self, model: Sam2Model, prompt: OraclePrompt, train: str | None = None, seed: int = 0
    ) -> None:
        super().__init__(prompt, int(model.config.prompt_encoder_config.image_size), seed)
        check_part(train, ("decoder",))
        self.model = model.requires_grad_(False)
        if train is not None:
            model.mask_decoder.requires_grad_(True)
        for name, values in (("mean", MEAN), ("deviation", DEVIATION)):
            self.register_buffer(name, torch.tensor(values).view(3, 1, 1), persistent=False)

    def encode(self, image: torch.Tensor) -> list[torch.Tensor]:
        """Features at strides 4, 8 and 16, each (B, C, h, w)."""
        return self.model.get_image_embeddings((image - self.mean) / self.deviation)

    def decode(
        self, features: list[torch.Tensor], pictures: torch.Tensor, prompts: torch.Tensor
    ) -> torch.Tensor:
        """See `PromptedNetwork`; prompts of one picture go through the decoder together."""
        parts = []
        for picture in pictures.unique_consecutive().tolist():
            own = prompts[pictures == picture][None]
            given = {"input_boxes": own} if own.shape[-1] == 4 else {"input_points": own[:, :, None]}
            mine = [level[picture : picture + 1] for level in features]
            answer = self.model(image_embeddings=mine, multimask_output=False, **given)
            parts.append(answer.pred_masks[0])
        return torch.cat(parts)


def build_medsam2(
    context: Context,
    weights: str | None,
    prompt: str,
    margin_px: float = 0.0,
    train: str | None = None,
    image_size: int = 512,
    sizes: Mapping[str, Any] | None = None,
) -> Peer:
    """SAM 2 with oracle prompts.

    Args:
        context: see `Context`.
        weights: MedSAM2's or SAM 2's own checkpoint (.pt), or transformers' (.safetensors); None: random.
        prompt, margin_px: see `OraclePrompt`.
        train: see `PromptedSam2`.
        image_size: S; MedSAM2 was trained at 512, SAM 2 at 1024.
        sizes: fields of `Sam2VisionConfig`; None for the tiny Hiera, which MedSAM2 has.

    Raises:
        ConfigError: see `OraclePrompt`, `build_sam2`.
        ClassifierError: the file does not fit.
    """
    oracle = OraclePrompt(prompt, margin_px)
    torch.manual_seed(context.seed)
    model = build_sam2(image_size, sizes or {})
    if weights is not None:
        load_state(model, rename_sam2(read_state(Path(weights))), Path(weights).name)
    return PromptedPeer(PromptedSam2(model, oracle, train, context.seed).eval(), context, train is not None)


def build_sam2(image_size: int, sizes: Mapping[str, Any]) -> Sam2Model:
    """Transformers' SAM 2 with random weights, in eval mode.

    Args:
        image_size: S, a multiple of 32.
        sizes: fields of `Sam2VisionConfig`; `backbone_config` holds those of `Sam2HieraDetConfig`.

    Raises:
        ConfigError: a size that its strides do not fill.
    """
    if image_size < 32 or image_size % 32:
        raise ConfigError(f"image_size: expected a multiple of 32 pixels, got {image_size}: 512 is MedSAM2's")
    backbone = {"model_type": "sam2_hiera_det_model", **sizes.get("backbone_config", {})}
    backbone["image_size"] = [image_size, image_size]
    grids = [[image_size // stride] * 2 for stride in STRIDES_PX]
    vision = {**sizes, "backbone_config": backbone, "backbone_feature_sizes": grids}
    config = Sam2Config(vision_config=vision, prompt_encoder_config={"image_size": image_size})
    return Sam2Model(config).eval()


def rename_sam2(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """SAM 2's own names -> transformers'; what only videos need is left out; transformers' names stay.

    Args:
        state: of a checkpoint.
    """
    if not any(key.startswith("sam_mask_decoder.") for key in state):
        return dict(state)
    found: dict[str, torch.Tensor] = {}
    points: dict[str, torch.Tensor] = {}
    for key, value in state.items():
        if key.startswith(_VIDEO_ONLY):
            continue
        if match := _POINTS.match(key):
            points[match[1]] = value
            continue
        for pattern, name in _RENAMED:
            key = re.sub(pattern, name, key)
        found[key] = value
    if points:
        found["prompt_encoder.point_embed.weight"] = torch.cat([points[key] for key in sorted(points)])
    position = found.get("prompt_encoder.shared_embedding.positional_embedding")
    if position is not None:
        found["shared_image_embedding.positional_embedding"] = position
    return found
