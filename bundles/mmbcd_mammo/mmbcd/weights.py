"""Trained weights of an MMBCD: one file with what training changed, beside the encoders' own files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from common.errors import BundleError, ClassifierError
from common.io.files import atomic_path, write_json
from common.networks.card import WeightsCard
from common.networks.freezing import trained_names
from common.networks.sam_weights import hash_file
from common.networks.state_dict import State, check_finite, hash_tensors, load_state

from .classifier import Mmbcd
from .options import MmbcdOptions, find_options

FORMAT = "mmbcd-1"
_KEYS = ("format", "options", "bases", "card", "notes")
_ENCODERS = ("vision", "text")


@dataclass(frozen=True)
class TrainedWeights:
    """What a file holds.

    Attributes:
        card: name, version, purpose, training data, sha256 of the file.
        options: the network that it was trained in.
        bases: "vision" and "text": the name and kind of the encoder's own file, the sha256 over those of its
            tensors that were not trained (empty: all were), and of the text encoder its tokenizer's.
        state: trained tensors in fp32.
        notes: what training wrote besides.
    """

    card: WeightsCard
    options: MmbcdOptions
    bases: dict[str, dict[str, str]]
    state: State
    notes: Mapping[str, Any]


def save_weights(
    network: Mmbcd,
    path: str | Path,
    card: WeightsCard,
    fp16: bool = True,
    notes: Mapping[str, Any] | None = None,
) -> WeightsCard:
    """Write what is trained, and a card `NAME.json` beside it for people (nothing reads it).

    Args:
        network: trained.
        path: `NAME.safetensors`.
        card: name, version, purpose and training data; its sha256 is filled in.
        fp16: half the size; the tensors are read back as fp32.
        notes: standard JSON that is written down besides, such as hashes of the training patients.

    Returns:
        The card with the file's sha256.

    Raises:
        ClassifierError: a weight is not finite (in fp16).
        OutputError: cannot be written.
    """
    path, state = Path(path), network.state_dict()
    kept = {name: _pack(state[name], fp16) for name in trained_names(network)}
    check_finite(kept, path.name)
    described = {key: value for key, value in card.as_json().items() if key != "sha256"}
    contents = (FORMAT, network.options.as_json(), describe_bases(network), described, dict(notes or {}))
    with atomic_path(path) as temporary:
        temporary.write_bytes(save(kept, dict(zip(_KEYS, map(json.dumps, contents), strict=True))))
        card = replace(card, sha256=hash_file(temporary))
    about = dict(zip(_KEYS, contents, strict=True)) | {"card": card.as_json()}
    sizes = {"parameters": sum(value.numel() for value in kept.values()), "bytes": path.stat().st_size}
    write_json(path.with_suffix(".json"), about | {"size": sizes})
    return card


def read_weights(path: str | Path) -> TrainedWeights:
    """Read a file of `save_weights`; no code is executed.

    Raises:
        ClassifierError: not readable, not such a file, or weights that are not finite.
    """
    path = Path(path)
    try:
        with safe_open(path, "pt") as file:
            metadata = {key: json.loads(value) for key, value in (file.metadata() or {}).items()}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dictionary
        return _parse(metadata, state, path)
    except (OSError, SafetensorError, KeyError, ValueError, TypeError, BundleError) as error:
        raise ClassifierError(
            f"{path.name}: expected weights of MMBCD ({FORMAT}), got '{str(error)[:120]}': save them with "
            "save_weights, or get the file again"
        ) from error


def load_weights(network: Mmbcd, weights: TrainedWeights) -> None:
    """Put trained weights into a network of the same options on the same encoders.

    Raises:
        ClassifierError: other options, other frozen tensors of an encoder, or another tokenizer.
    """
    name, wanted, own = weights.card.name, weights.options.as_json(), network.options.as_json()
    for key, value in wanted.items():
        if own[key] != value:
            raise ClassifierError(
                f"{name}: expected {key} {value}, as it was trained, got {own[key]}: build the network with "
                "the options of the weights"
            )
    _check_bases(weights, describe_bases(network))
    trained = set(trained_names(network))
    frozen = {key: value for key, value in network.state_dict().items() if key not in trained}
    load_state(network, frozen | weights.state, name)
    network.card = weights.card


def describe_bases(network: Mmbcd) -> dict[str, dict[str, str]]:
    """The encoders that trained weights belong to, see `TrainedWeights.bases`."""
    vision, text = network.vision, network.text
    bases = {"vision": {"kind": vision.name, "file": vision.file_name, "sha256": hash_frozen(vision)}}
    if text is not None:
        bases["text"] = {"kind": text.kind, "file": text.folder_name, "sha256": hash_frozen(text)}
        bases["text"]["tokenizer_sha256"] = text.tokenizer_sha256
    return bases


def hash_frozen(module: nn.Module) -> str:
    """SHA-256 over the tensors that are not trained; empty when all are."""
    trained = set(trained_names(module))
    frozen = {name: value for name, value in module.state_dict().items() if name not in trained}
    return hash_tensors(frozen) if frozen else ""


def _pack(value: torch.Tensor, fp16: bool) -> torch.Tensor:
    kept = value.detach().cpu().contiguous()
    return kept.half() if fp16 and kept.is_floating_point() else kept


def _parse(metadata: Mapping[str, Any], state: State, path: Path) -> TrainedWeights:
    found, options, bases, card, notes = (metadata[key] for key in _KEYS)
    if found != FORMAT or "vision" not in bases:
        raise ValueError(f"format {found}")
    full = {key: value.float() if value.is_floating_point() else value for key, value in state.items()}
    check_finite(full, path.name)
    chosen = find_options(options.pop("preset"), options)
    return TrainedWeights(WeightsCard(**card, sha256=hash_file(path)), chosen, bases, full, notes)


def _check_bases(weights: TrainedWeights, own: Mapping[str, Mapping[str, str]]) -> None:
    for part in _ENCODERS:
        wanted, found = weights.bases.get(part, {}), own.get(part, {})
        for key in ("sha256", "tokenizer_sha256"):
            if wanted.get(key) != found.get(key):
                what = "tokenizer" if key == "tokenizer_sha256" else "frozen tensors"
                raise ClassifierError(
                    f"{weights.card.name}: expected {what} of the {part} encoder {wanted['kind']} from "
                    f"'{wanted['file'] or 'nowhere'}' ({wanted[key][:12]}...), got those of "
                    f"'{found['file'] or 'nowhere'}' ({found[key][:12]}...): bring the one that was named"
                )
