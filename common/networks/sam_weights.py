"""Checkpoints of SAM, MedSAM and LiteMedSAM into the networks of `sam.py`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch

from ..errors import ClassifierError
from .sam import Sam
from .sam_vit import VitEncoder, resize_tables
from .state_dict import load_state, read_state
from .tiny_vit import rename_keys


def load_backbone(network: Sam, path: Path, sha256: str | None = None) -> str:
    """Load an official checkpoint strictly; positional tables follow the network's image size.

    Args:
        network: takes the weights.
        path: `sam_vit_b_01ec64.pth`, `medsam_vit_b.pth`, `lite_medsam.pth`, or the same fine-tuned.
        sha256: refuse any other file.

    Returns:
        The file's sha256.

    Raises:
        ClassifierError: not readable, another file, weights of another backbone, tensors missing or too many.
    """
    state = read_state(path)
    found = hash_file(path)
    if sha256 not in (None, found):
        raise ClassifierError(
            f"{path.name}: expected sha256 {str(sha256)[:12]}..., got {found[:12]}...: "
            "bring the file that was named, or train again on this one"
        )
    load_state(network, adapt_state(network, state, path.name), path.name)
    return found


def adapt_state(network: Sam, state: Mapping[str, torch.Tensor], name: str) -> dict[str, torch.Tensor]:
    """A checkpoint under the names and in the sizes of `network`.

    Raises:
        ClassifierError: it belongs to another backbone.
    """
    wanted, found = describe_state(network.state_dict()), describe_state(state)
    if wanted != found:
        raise ClassifierError(
            f"{name}: expected weights of {wanted}, got {found}: set the backbone that they belong to"
        )
    if isinstance(network.image_encoder, VitEncoder):
        return resize_tables(state, network.state_dict())
    return rename_keys(state)


def describe_state(state: Mapping[str, torch.Tensor]) -> str:
    """Which backbone the tensors belong to, in words."""
    patches = state.get("image_encoder.patch_embed.proj.weight")
    if patches is not None:
        blocks = {key.split(".")[2] for key in state if key.startswith("image_encoder.blocks.")}
        return f"a ViT of {len(blocks)} blocks and {patches.shape[0]} channels"
    if any(key.startswith(("image_encoder.layers.", "image_encoder.stages.")) for key in state):
        return "a TinyViT"
    return "no SAM"


def hash_file(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
