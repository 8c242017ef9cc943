"""The official FocalNet-DINO checkpoints under our names."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from ...errors import ClassifierError
from ...io.files import atomic_path
from ..state_dict import State, load_state, read_state
from .model import FocalNetDino

_NORM = re.compile(r"backbone\.0\.norm(\d)\.(.*)")
_RENAMES: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (r"^backbone\.0\.patch_embed\.", "backbone.body.stem."),
    (r"(?<=^backbone\.0\.layers\.)\d(?=\.downsample)", lambda found: str(int(found[0]) + 1)),
    (r"^backbone\.0\.", "backbone.body."),
    (r"^(backbone\..*)\.norm([12])\.", r"\1.norm\2_post."),
    (r"^(backbone\..*)\.gamma_([12])$", r"\1.ls\2.gamma"),
    (r"^transformer\.decoder\.(bbox|class)_embed\.\d\.", r"decoder.\1_embed."),
    (r"^(bbox|class)_embed\.\d\.", r"decoder.\1_embed."),
    (r"^transformer\.(enc_out|tgt_embed)", r"selection.\1"),
    (r"^transformer\.", ""),
)
"""Official name -> ours, applied one after the other; heads that layers share stand under several names."""

_OF_CLASSES = ("decoder.class_embed.", "selection.enc_out_class_embed.", "label_enc.")


def is_official(state: Mapping[str, torch.Tensor]) -> bool:
    """Whether the names are those of the official repository."""
    return "transformer.level_embed" in state


def rename_official(state: Mapping[str, torch.Tensor], name: str) -> State:
    """An official state dict under our names; linear layers of the backbone become 1x1 convolutions.

    Args:
        state: of the official model.
        name: of the file, for messages.

    Raises:
        ClassifierError: layers of the decoder have heads of their own (another configuration).
    """
    renamed: State = {}
    stages = [int(found[1]) for key in state if (found := _NORM.match(key))]
    for key, value in state.items():
        ours = _rename(key, min(stages, default=0))
        value = _to_convolution(ours, value)
        if ours in renamed and not torch.equal(renamed[ours], value):
            raise ClassifierError(
                f"{name}: expected heads that all decoder layers share, got different {ours}: "
                "bring a checkpoint of DINO_5scale_focalnet_large_fl4"
            )
        renamed[ours] = value
    return renamed


def load_detector(network: FocalNetDino, path: Path) -> list[str]:
    """Load our own state dict, or an official checkpoint, strictly by name and shape.

    With another number of classes (COCO has 91) the class heads and label embedding keep their start values.

    Args:
        network: takes the weights.
        path: `.pt`, `.pth` or `.safetensors`.

    Returns:
        The names that kept their start values, for the log.

    Raises:
        ClassifierError: not readable, not finite, or tensors that do not fit.
    """
    state = read_official(path)
    own = network.state_dict()
    kept = [
        key
        for key in own
        if key.startswith(_OF_CLASSES) and key in state and state[key].shape != own[key].shape
    ]
    load_state(network, {**state, **{key: own[key] for key in kept}}, path.name)
    return kept


def read_official(path: Path) -> State:
    """A state dict under our names, whichever it has in the file.

    Raises:
        ClassifierError: see `read_state` and `rename_official`.
    """
    with torch.serialization.safe_globals([argparse.Namespace]):  # the official files hold their options, too
        state = read_state(path)
    return rename_official(state, path.name) if is_official(state) else state


def import_weights(source: str | Path, target: str | Path) -> None:
    """Write an official checkpoint as a plain state dict under our names.

    Raises:
        ClassifierError: not an official FocalNet-DINO.
        OutputError: `target` cannot be written.
    """
    path = Path(source)
    state = read_official(path)
    if "selection.tgt_embed.weight" not in state:
        raise ClassifierError(
            f"{path.name}: expected a FocalNet-DINO detector, got other tensors: bring "
            "focalnet_large_fl4_o365_finetuned_on_coco.pth or focalnet_large_fl4_pretrained_on_o365.pth"
        )
    with atomic_path(target) as temporary, temporary.open("wb") as stream:
        torch.save(state, stream)  # through a stream: a path would leave its own name in the file


def _rename(key: str, first: int) -> str:
    """`first`: the first stage that has a normalisation of its own."""
    if norm := _NORM.match(key):
        return f"backbone.norms.{int(norm[1]) - first}.{norm[2]}"
    for pattern, ours in _RENAMES:
        key = re.sub(pattern, ours, key)
    return key


def _to_convolution(key: str, value: torch.Tensor) -> torch.Tensor:
    linear = key.startswith("backbone.") and key.endswith("weight") and value.ndim == 2
    return value[:, :, None, None] if linear else value
