"""Published checkpoints of vision encoders under timm's names, their positions in the wanted size."""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from timm.models import byobnet
from timm.models.vision_transformer import VisionTransformer
from torch import nn
from torch.nn import functional as F

from ..errors import ClassifierError
from .state_dict import State, check_finite, read_state

# Names of transformers' ViTModel and Dinov2Model -> timm's
_TRANSFORMERS = (
    (r"^(vit|dinov2|backbone)\.", ""),
    (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
    (r"^embeddings\.position_embeddings$", "pos_embed"),
    (r"^embeddings\.", ""),
    (r"^encoder\.layer\.", "blocks."),
    (r"\.attention\.attention\.([qkv])(uery|ey|alue)\.", r".attn.\1."),
    (r"\.attention\.output\.dense\.", ".attn.proj."),
    (r"\.intermediate\.dense\.", ".mlp.fc1."),
    (r"\.output\.dense\.", ".mlp.fc2."),
    (r"\.layernorm_before\.", ".norm1."),
    (r"\.layernorm_after\.", ".norm2."),
    (r"\.layer_scale(\d)\.lambda1$", r".ls\1.gamma"),
    (r"^layernorm\.", "norm."),
)
# ... of its CLIPModel, CLIPVisionModel and CLIPVisionModelWithProjection
_TRANSFORMERS_CLIP = (
    (r"^vision_model\.", ""),
    (r"^embeddings\.class_embedding$", "cls_token"),
    (r"^embeddings\.patch_embedding\.", "patch_embed.proj."),
    (r"^embeddings\.position_embedding\.weight$", "pos_embed"),
    (r"^embeddings\.", ""),
    (r"^encoder\.layers\.", "blocks."),
    (r"\.self_attn\.out_proj\.", ".attn.proj."),
    (r"\.self_attn\.([qkv])_proj\.", r".attn.\1."),
    (r"\.layer_norm(\d)\.", r".norm\1."),
    (r"^pre_layrnorm\.", "norm_pre."),
    (r"^post_layernorm\.", "norm."),
    (r"^visual_projection\.", "head."),
)
# ... of OpenAI's CLIP
_OPENAI = (
    (r"^visual\.", ""),
    (r"^class_embedding$", "cls_token"),
    (r"^conv1\.", "patch_embed.proj."),
    (r"^positional_embedding$", "pos_embed"),
    (r"^transformer\.resblocks\.", "blocks."),
    (r"\.attn\.in_proj_", ".attn.qkv."),
    (r"\.attn\.out_proj\.", ".attn.proj."),
    (r"\.mlp\.c_fc\.", ".mlp.fc1."),
    (r"\.mlp\.c_proj\.", ".mlp.fc2."),
    (r"\.ln_(\d)\.", r".norm\1."),
    (r"^ln_pre\.", "norm_pre."),
    (r"^ln_post\.", "norm."),
    (r"^proj$", "head.weight"),
)
_OWN = "body."  # in the state dict of a `VisionEncoder`


def read_checkpoint(path: Path) -> State:
    """A state dict as published, in fp32: see `read_state`; OpenAI's CLIP files are TorchScript archives.

    Raises:
        ClassifierError: not readable, or numbers that are not finite.
    """
    state = _read_archive(path) if _is_archive(path) else read_state(path)
    return {key: value.float() if value.is_floating_point() else value for key, value in state.items()}


def rename(state: Mapping[str, torch.Tensor], network: nn.Module) -> State:
    """The tensors that `network` has, under its own names and with its table of positions.

    Args:
        state: as it was published.
        network: of timm.
    """
    state = {key.removeprefix(_OWN): value for key, value in state.items()}
    if not isinstance(network, VisionTransformer):
        return _drop_heads(_rename_convolutions(state, network), network)
    renamed = _shape(_merge(_rename_transformer(state)))
    if "pos_embed" in renamed:
        wanted = network.state_dict()["pos_embed"]
        renamed["pos_embed"] = resample_positions(renamed["pos_embed"], wanted.shape[1])
    return _drop_heads(renamed, network)


def resample_positions(table: torch.Tensor, tokens: int) -> torch.Tensor:
    """Bicubic, without antialiasing; the class token keeps its place.

    facebook's DINO adds 0.1 to the grid before it computes the scale, transformers does not; this does not.

    Args:
        table: (1, 1 + h h, D).
        tokens: 1 + H H, wanted.

    Returns:
        (1, 1 + H H, D).
    """
    if table.shape[1] == tokens:
        return table
    edge, wanted = (round((count - 1) ** 0.5) for count in (table.shape[1], tokens))
    if edge**2 + 1 != table.shape[1]:
        return table  # no square grid with a class token: loading refuses it by its shape
    grid = table[:, 1:].unflatten(1, (edge, edge)).permute(0, 3, 1, 2)
    grid = F.interpolate(grid, (wanted, wanted), mode="bicubic", align_corners=False)
    return torch.cat((table[:, :1], grid.permute(0, 2, 3, 1).flatten(1, 2)), dim=1)


def _is_archive(path: Path) -> bool:
    """TorchScript has a table of constants; a state dict has none."""
    if path.suffix == ".safetensors" or not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def _read_archive(path: Path) -> State:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # TorchScript is deprecated, and what OpenAI published
            state = dict(torch.jit.load(str(path), map_location="cpu").state_dict())
    except (RuntimeError, ValueError, OSError) as error:
        raise ClassifierError(
            f"{path.name}: expected a readable TorchScript archive, got '{str(error)[:120]}': get it again"
        ) from error
    check_finite(state, path.name)
    return state


def _rename_transformer(state: Mapping[str, torch.Tensor]) -> State:
    if "visual.class_embedding" in state:
        own = {key: value for key, value in state.items() if key.startswith("visual.")}
        return _apply(_OPENAI, own | {"visual.proj": own["visual.proj"].T})
    if any(key.startswith("vision_model.") for key in state):
        parts = ("vision_model.", "visual_projection.")
        return _apply(
            _TRANSFORMERS_CLIP, {key: value for key, value in state.items() if key.startswith(parts)}
        )
    return _apply(_TRANSFORMERS, state)


def _rename_convolutions(state: Mapping[str, torch.Tensor], network: nn.Module) -> State:
    if "visual.conv1.weight" in state and isinstance(network, byobnet.ByobNet):
        state = {key: value for key, value in state.items() if key.startswith("visual.")}
        return dict(byobnet.checkpoint_filter_fn(state, network))
    return dict(state)


def _apply(rules: tuple[tuple[str, str], ...], state: Mapping[str, torch.Tensor]) -> State:
    renamed = {}
    for key, value in state.items():
        for pattern, ours in rules:
            key = re.sub(pattern, ours, key)
        renamed[key] = value
    return renamed


def _merge(state: State) -> State:
    """Separate query, key and value -> one layer `qkv`."""
    merged = {}
    for key, value in state.items():
        found = re.fullmatch(r"(blocks\.\d+\.attn\.)([qkv])\.(weight|bias)", key)
        if found is None:
            merged[key] = value
        elif found[2] == "q":
            names = [f"{found[1]}{part}.{found[3]}" for part in "qkv"]
            merged[f"{found[1]}qkv.{found[3]}"] = torch.cat([state[name] for name in names if name in state])
    return merged


def _shape(state: State) -> State:
    """CLIP's class token and table of positions lack the axes of size 1 that timm's have."""
    for key in ("cls_token", "pos_embed"):
        if key in state:
            state[key] = state[key].reshape((1,) * (3 - state[key].ndim) + state[key].shape)
    return state


def _drop_heads(state: State, network: nn.Module) -> State:
    """Without classification heads, poolers and mask tokens that the network does not have."""
    wanted = network.state_dict()
    spare = ("head.", "fc.", "classifier.", "pooler.", "mask_token", "position_ids")
    return {key: value for key, value in state.items() if key in wanted or not key.startswith(spare)}
