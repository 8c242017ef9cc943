"""Published names -> timm's: the same answer as transformers' own networks give, at small sizes."""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from timm.models import byobnet
from timm.models.vision_transformer import VisionTransformer
from torch import nn
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    Dinov2Config,
    Dinov2Model,
    ViTConfig,
    ViTForImageClassification,
    ViTModel,
)

from common.errors import ClassifierError
from common.networks.state_dict import State, load_state
from common.networks.vision_names import read_checkpoint, rename, resample_positions

SMALL: dict[str, Any] = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
CLIP: dict[str, Any] = {**SMALL, "intermediate_size": 96, "image_size": 32, "patch_size": 8}


def build_vit(edge: int, patch: int, **more: Any) -> VisionTransformer:
    sizes = {"img_size": edge, "patch_size": patch, "embed_dim": 24, "depth": 2, "num_heads": 2}
    return VisionTransformer(**sizes, num_classes=0, **more).eval()


def build_clip_vit() -> VisionTransformer:
    network = build_vit(32, 8, pre_norm=True, act_layer="quick_gelu", norm_layer=nn.LayerNorm)
    network.head = nn.Linear(24, 16, bias=False)
    return network


def randomise(network: Any) -> Any:
    """Every tensor away from its first value, so that a wrong name cannot hide."""
    torch.manual_seed(0)
    with torch.no_grad():
        for value in network.parameters():
            value.add_(torch.randn_like(value) * 0.3)
    return network.eval()


def save(network: Any, folder: Path) -> Path:
    network.save_pretrained(str(folder))
    return folder / "model.safetensors"


def load(network: nn.Module, path: Path) -> nn.Module:
    load_state(network, rename(read_checkpoint(path), network), path.name)
    return network


def assert_same(one: torch.Tensor, two: torch.Tensor) -> None:
    assert torch.allclose(one, two, atol=1e-5), (one - two).abs().max()


@torch.no_grad()
@pytest.mark.parametrize("kind", [ViTModel, ViTForImageClassification])
def test_vit_of_transformers(kind: Any, tmp_path: Path) -> None:
    """Also with a prefix, a pooler and a classification head, which are left out."""
    config = ViTConfig(**SMALL, intermediate_size=96, image_size=32, patch_size=8, layer_norm_eps=1e-6)
    theirs, image = randomise(kind(config)), torch.randn(2, 3, 32, 32)
    wanted = getattr(theirs, "vit", theirs)(image).last_hidden_state[:, 0]
    assert_same(load(build_vit(32, 8), save(theirs, tmp_path))(image), wanted)


@torch.no_grad()
def test_dinov2_of_transformers_with_fewer_positions(tmp_path: Path) -> None:
    theirs = randomise(Dinov2Model(Dinov2Config(**SMALL, image_size=70, patch_size=14)))
    image = torch.randn(2, 3, 42, 42)
    ours = load(build_vit(42, 14, init_values=1.0), save(theirs, tmp_path))
    assert_same(ours(image), theirs(image).last_hidden_state[:, 0])


@torch.no_grad()
def test_clip_of_transformers(tmp_path: Path) -> None:
    theirs = randomise(CLIPVisionModelWithProjection(CLIPVisionConfig(**CLIP, projection_dim=16)))
    image = torch.randn(2, 3, 32, 32)
    assert_same(load(build_clip_vit(), save(theirs, tmp_path))(image), theirs(image).image_embeds)


@torch.no_grad()
def test_the_vision_half_of_a_whole_clip(tmp_path: Path) -> None:
    text = {**SMALL, "intermediate_size": 96, "vocab_size": 20, "max_position_embeddings": 8}
    theirs = randomise(CLIPModel(CLIPConfig(text_config=text, vision_config=CLIP, projection_dim=16)))
    image = torch.randn(2, 3, 32, 32)
    wanted = theirs.visual_projection(theirs.vision_model(image).pooler_output)
    assert_same(load(build_clip_vit(), save(theirs, tmp_path))(image), wanted)


@torch.no_grad()
def test_published_clips_keep_the_numbers_of_positions(tmp_path: Path) -> None:
    """`pytorch_model.bin` of openai/clip-vit-*: a table 0, 1, 2, ... that no network has any more."""
    theirs = randomise(CLIPVisionModelWithProjection(CLIPVisionConfig(**CLIP, projection_dim=16)))
    state = theirs.state_dict() | {"vision_model.embeddings.position_ids": torch.arange(17)[None]}
    torch.save(state, tmp_path / "pytorch_model.bin")
    image = torch.randn(1, 3, 32, 32)
    ours = load(build_clip_vit(), tmp_path / "pytorch_model.bin")
    assert_same(ours(image), theirs(image).image_embeds)


@torch.no_grad()
def test_clip_under_openais_names(tmp_path: Path) -> None:
    """The names are written out here from OpenAI's published model; the numbers are transformers'."""
    theirs = randomise(CLIPVisionModelWithProjection(CLIPVisionConfig(**CLIP, projection_dim=16)))
    image = torch.randn(2, 3, 32, 32)
    torch.save(name_as_openai(theirs.state_dict()), tmp_path / "clip.pt")
    assert_same(load(build_clip_vit(), tmp_path / "clip.pt")(image), theirs(image).image_embeds)


def name_as_openai(theirs: State) -> State:
    first = "vision_model.embeddings."
    state = {
        "visual.class_embedding": theirs[f"{first}class_embedding"],
        "visual.conv1.weight": theirs[f"{first}patch_embedding.weight"],
        "visual.positional_embedding": theirs[f"{first}position_embedding.weight"],
        "visual.proj": theirs["visual_projection.weight"].T.contiguous(),
        "logit_scale": torch.ones(()),
        "transformer.resblocks.0.ln_1.weight": torch.ones(4),
    }
    for kind in ("weight", "bias"):
        state[f"visual.ln_pre.{kind}"] = theirs[f"vision_model.pre_layrnorm.{kind}"]
        state[f"visual.ln_post.{kind}"] = theirs[f"vision_model.post_layernorm.{kind}"]
        for layer in range(2):
            own, other = f"visual.transformer.resblocks.{layer}", f"vision_model.encoder.layers.{layer}"
            parts = [theirs[f"{other}.self_attn.{part}_proj.{kind}"] for part in "qkv"]
            state[f"{own}.attn.in_proj_{kind}"] = torch.cat(parts)
            state[f"{own}.attn.out_proj.{kind}"] = theirs[f"{other}.self_attn.out_proj.{kind}"]
            for number, name in (("1", "c_fc"), ("2", "c_proj")):
                state[f"{own}.ln_{number}.{kind}"] = theirs[f"{other}.layer_norm{number}.{kind}"]
                state[f"{own}.mlp.{name}.{kind}"] = theirs[f"{other}.mlp.fc{number}.{kind}"]
    return state


def test_clips_resnet_under_openais_names() -> None:
    """The published names, written out; every tensor of the network comes from its own."""
    with torch.device("meta"):
        network = byobnet.resnet50_clip()
    names = [f"visual.{part}{number}" for part in ("conv", "bn") for number in (1, 2, 3)]
    for layer, blocks in enumerate((3, 4, 6, 3), start=1):
        for block in range(blocks):
            own = f"visual.layer{layer}.{block}"
            names += [f"{own}.{part}{number}" for part in ("conv", "bn") for number in (1, 2, 3)]
            names += [f"{own}.downsample.0", f"{own}.downsample.1"] if block == 0 else []
    batch = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    is_norm = [name[:-1].endswith("bn") or name.endswith("downsample.1") for name in names]
    tensors = [
        f"{n}.{kind}" for n, b in zip(names, is_norm, strict=True) for kind in (batch if b else batch[:1])
    ]
    pool = [f"{part}_proj.{kind}" for part in "qkvc" for kind in ("weight", "bias")]
    tensors += [f"visual.attnpool.{name}" for name in ("positional_embedding", *pool)]
    found = rename({name: torch.ones(1) for name in [*tensors, "ln_final.weight"]}, network)
    assert found.keys() == network.state_dict().keys()


def test_an_openai_archive_is_read_without_running_it(tmp_path: Path) -> None:
    save_archive(tmp_path / "clip.pt")
    state = read_checkpoint(tmp_path / "clip.pt")
    assert state["visual.weight"].dtype == torch.float32
    assert state["visual.weight"].shape == (3, 2)


class Holder(nn.Module):
    """Half-precision, as OpenAI's."""

    def __init__(self) -> None:
        super().__init__()
        self.visual = nn.Linear(2, 3).half()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(N, 2) -> (N, 3)."""
        return self.visual(image)


def save_archive(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # TorchScript is what OpenAI published
        torch.jit.save(torch.jit.script(Holder()), str(path))


def test_a_broken_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "clip.pt"
    save_archive(path)
    with zipfile.ZipFile(path) as archive:
        kept = {name: archive.read(name) for name in archive.namelist() if "data.pkl" not in name}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in kept.items():
            archive.writestr(name, content)
    with pytest.raises(
        ClassifierError, match="clip.pt: expected a readable TorchScript archive, got .*again"
    ):
        read_checkpoint(path)


def test_positions_are_resampled_as_a_picture() -> None:
    """A table that grows linearly with the row stays linear in the middle; the class token is not touched."""
    rows = torch.arange(8.0).repeat_interleave(8)
    table = torch.cat((torch.tensor([99.0]), rows))[None, :, None]
    small = resample_positions(table, 17)[0, :, 0]
    assert small[0] == 99 and torch.allclose(
        small[1:].reshape(4, 4).diff(dim=1), torch.zeros(4, 3), atol=1e-5
    )
    assert small[5].item() == pytest.approx(2.5, abs=1e-4)
    assert resample_positions(table, 65) is table


def test_another_network_is_refused() -> None:
    with pytest.raises(ClassifierError, match="expected the tensors of VisionTransformer, but it lacks"):
        network = build_vit(32, 8)
        load_state(network, rename({"conv1.weight": torch.ones(1)}, network), "resnet.pth")
    with pytest.raises(ClassifierError, match="has other shapes: pos_embed"):
        network = build_vit(32, 8)
        load_state(network, rename(network.state_dict() | {"pos_embed": torch.ones(1, 12, 24)}, network), "x")
