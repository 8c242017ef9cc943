"""MedSAM2: prompts in batches against single calls, and SAM 2's own names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from experiment.ksam_peers.base import enlarge
from experiment.ksam_peers.oracle import OraclePrompt
from experiment.ksam_peers.sam2 import PromptedSam2, build_medsam2, build_sam2, rename_sam2
from toy_backbones import random_images
from toy_peers import make_context

from common.errors import ClassifierError, ConfigError

HIERA = {
    "hidden_size": 8,
    "embed_dim_per_stage": [8, 16, 32, 64],
    "num_attention_heads_per_stage": [1, 1, 2, 2],
    "blocks_per_stage": [1, 1, 2, 1],
    "global_attention_blocks": [3],
}
POSITION = "shared_embedding.positional_embedding"
TOY: dict[str, Any] = {"backbone_config": HIERA, "backbone_channel_list": [64, 32, 16, 8]}


def own_names(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Transformers' names as SAM 2 writes them, with the parts for videos."""
    changes = (
        (r"^vision_encoder\.backbone\.", "image_encoder.trunk."),
        (r"^vision_encoder\.neck\.convs\.(\d)\.", r"image_encoder.neck.convs.\1.conv."),
        (rf"^prompt_encoder\.{POSITION}", "X.pe_layer.positional_encoding_gaussian_matrix"),
        (r"^prompt_encoder\.mask_embed\.", "X.mask_downscaling."),
        (r"mask_downscaling\.conv1", "mask_downscaling.0"),
        (r"mask_downscaling\.layer_norm1", "mask_downscaling.1"),
        (r"mask_downscaling\.conv2", "mask_downscaling.3"),
        (r"mask_downscaling\.layer_norm2", "mask_downscaling.4"),
        (r"mask_downscaling\.conv3", "mask_downscaling.6"),
        (r"^(prompt_encoder|X)\.", "sam_prompt_encoder."),
        (r"^mask_decoder\.", "sam_mask_decoder."),
        (r"upscale_conv1", "output_upscaling.0"),
        (r"upscale_layer_norm", "output_upscaling.1"),
        (r"upscale_conv2", "output_upscaling.3"),
        (r"\.layer_norm_final_attn", ".norm_final_attn"),
        (r"\.layer_norm(\d)", r".norm\1"),
        (r"\.o_proj", ".out_proj"),
        (r"\.projection\.", ".proj."),
        (r"mlp\.proj_in", "mlp.layers.0"),
        (r"mlp\.proj_out", "mlp.layers.1"),
        (r"(_mlps\.\d|_head)\.layers\.0", r"\1.layers.1"),
        (r"(_mlps\.\d|_head)\.proj_in", r"\1.layers.0"),
        (r"(_mlps\.\d|_head)\.proj_out", r"\1.layers.2"),
        (r"^no_memory_embedding$", "no_mem_embed"),
    )
    found = {"maskmem_tpos_enc": torch.zeros(7), "memory_encoder.fuser.x": torch.zeros(1)}
    for key, value in state.items():
        if key == "prompt_encoder.point_embed.weight":
            rows = {f"sam_prompt_encoder.point_embeddings.{n}.weight": value[n : n + 1] for n in range(4)}
            found |= rows
        elif not key.startswith("shared_image_embedding"):
            for pattern, name in changes:
                key = re.sub(pattern, name, key)
            found[key] = value
    return found


def test_own_names_become_transformers_names(tmp_path: Path) -> None:
    torch.manual_seed(3)
    model = build_sam2(64, TOY)
    state = model.state_dict()
    state["shared_image_embedding.positional_embedding"] = state[f"prompt_encoder.{POSITION}"]
    own = own_names(state)
    assert "sam_mask_decoder.pred_obj_score_head.layers.2.weight" in own
    assert "image_encoder.trunk.blocks.1.mlp.layers.1.bias" in own
    again = rename_sam2(own)
    assert again.keys() == state.keys() and all(torch.equal(again[key], state[key]) for key in state)
    assert rename_sam2(state).keys() == state.keys()
    torch.save({"model": own}, tmp_path / "medsam2.pt")
    peer = build_medsam2(
        make_context(tmp_path), str(tmp_path / "medsam2.pt"), "box", image_size=64, sizes=TOY
    )
    loaded = peer.network.model.state_dict()  # type: ignore[attr-defined]
    assert torch.equal(loaded["mask_decoder.iou_token.weight"], state["mask_decoder.iou_token.weight"])


@pytest.mark.parametrize("kind", ["box", "point"])
def test_a_batch_equals_single_prompts(kind: str) -> None:
    torch.manual_seed(0)
    network = PromptedSam2(build_sam2(64, TOY), OraclePrompt(kind)).eval()
    truth = torch.zeros(2, 2, 64, 64)
    truth[0, 0, 5:6, 8:9] = truth[0, 1, 40:41, 41:42] = truth[1, 1, 12:13, 3:4] = 1
    image = random_images(2, 64)
    with torch.no_grad():
        found = network(image, truth)
        for picture, structure, x, y in ((0, 0, 8, 5), (0, 1, 41, 40), (1, 1, 3, 12)):
            pixels = (image[picture : picture + 1] - network.mean) / network.deviation
            given: dict[str, Any] = {"input_boxes": torch.tensor([[[x, y, x + 1, y + 1]]]).float()}
            if kind == "point":
                given = {"input_points": torch.tensor([[[[x + 0.5, y + 0.5]]]])}
            alone = network.model(pixel_values=pixels, multimask_output=False, **given).pred_masks[0]
            torch.testing.assert_close(
                found[picture, structure], enlarge(alone, 64)[0, 0], rtol=1e-3, atol=1e-3
            )
    assert (found[1, 0] < -10).all() and found.shape == (2, 2, 64, 64)


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="image_size: expected a multiple of 32 pixels, got 100"):
        build_sam2(100, TOY)
    with pytest.raises(ConfigError, match="train: expected null, decoder, got 'all'"):
        PromptedSam2(build_sam2(64, TOY), OraclePrompt("box"), "all")
    torch.save({"sam_mask_decoder.x": torch.zeros(1)}, tmp_path / "wrong.pt")
    with pytest.raises(ClassifierError, match="wrong.pt: expected the tensors of Sam2Model, but it lacks"):
        build_medsam2(make_context(tmp_path), str(tmp_path / "wrong.pt"), "box", image_size=64, sizes=TOY)
