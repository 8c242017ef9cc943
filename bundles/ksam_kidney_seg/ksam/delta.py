"""Deltas: the trained part of a KSAM and its prompt bank in one small file beside the backbone's weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from common.errors import BundleError, ClassifierError
from common.io.files import atomic_path
from common.networks.card import WeightsCard
from common.networks.sam_weights import hash_file
from common.networks.state_dict import State, check_finite, hash_tensors, load_state

from .knowledge_sam import KSam
from .options import KSamOptions, find_options

FORMAT = "ksam-delta-1"
_BANK = "bank."
_KEYS = ("format", "options", "base_name", "base_sha256", "structures", "card")
_NOTES = "notes"


@dataclass(frozen=True)
class Delta:
    """What a file holds.

    Attributes:
        card: name, version, purpose, training data, sha256 of the file.
        options: the architecture that it was trained with.
        base_name, base_sha256: the backbone's weights that it belongs to.
        structures: names in the order of the bank.
        state: trained tensors in fp32, and the bank's.
        notes: what training wrote besides, see `save_delta`.
    """

    card: WeightsCard
    options: KSamOptions
    base_name: str
    base_sha256: str
    structures: tuple[str, ...]
    state: State
    notes: Mapping[str, str] = field(default_factory=dict)


def save_delta(
    network: KSam,
    path: str | Path,
    card: WeightsCard,
    fp16: bool = True,
    notes: Mapping[str, str] | None = None,
) -> WeightsCard:
    """Write the trained tensors and the bank.

    Args:
        network: trained.
        path: `.safetensors`.
        card: name, version, purpose and training data; its sha256 is filled in.
        fp16: half the size; the tensors are read back as fp32.
        notes: what else is written down, such as hashes of the training patients.

    Returns:
        The card with the file's sha256.

    Raises:
        ClassifierError: LoRA was merged, or a weight is not finite (in fp16).
        OutputError: cannot be written.
    """
    path = Path(path)
    state = _collect(network, torch.float16 if fp16 else torch.float32)
    check_finite(state, path.name)
    with atomic_path(path) as temporary:
        save_file(state, temporary, _describe(network, card) | {_NOTES: json.dumps(dict(notes or {}))})
        sha256 = hash_file(temporary)
    return replace(card, sha256=sha256)


def read_delta(path: Path) -> Delta:
    """Read a file without a network.

    Raises:
        ClassifierError: not readable, not a delta, or numbers that are not finite.
    """
    try:
        with safe_open(path, "pt") as file:
            names, metadata = file.keys(), file.metadata() or {}
            state = {name: file.get_tensor(name) for name in names}
        return _parse(metadata, state, path)
    except (OSError, SafetensorError, KeyError, ValueError, TypeError, BundleError) as error:
        raise ClassifierError(
            f"{path.name}: expected a delta of KSAM ({FORMAT}), got '{str(error)[:120]}': "
            "save it with save_delta, or get the file again"
        ) from error


def load_delta(network: KSam, delta: Delta | str | Path, structures: int = 0) -> None:
    """Put a delta into a network of the same options and backbone.

    Args:
        network: takes tensors, bank and card.
        delta: read, or its path.
        structures: how many the bank must serve.

    Raises:
        ClassifierError: see `read_delta`; other options, other weights of the backbone, or a bank too small.
    """
    delta = delta if isinstance(delta, Delta) else read_delta(Path(delta))
    _check(network, delta, structures)
    trained = {key: value for key, value in delta.state.items() if not key.startswith(_BANK)}
    bank = {key[len(_BANK) :]: value for key, value in delta.state.items() if key.startswith(_BANK)}
    frozen = {k: v for k, v in network.state_dict().items() if k not in network.trained_names}
    load_state(network, frozen | trained, delta.card.name)
    network.bank.load_state_dict(bank)
    network.bank.names, network.card = delta.structures, delta.card
    network.train(network.training)  # drops what is kept of the former bank


def find_base_sha256(network: KSam) -> str:
    """Of the backbone's file; of the frozen tensors themselves where there was no file."""
    return network.base_sha256 or hash_frozen(network)


def hash_frozen(network: KSam) -> str:
    """SHA-256 over names and bytes of the backbone's tensors that are not trained."""
    trained = set(network.trained_names)
    state = network.sam.state_dict(prefix="sam.")
    return hash_tensors({name: value for name, value in state.items() if name not in trained})


def _collect(network: KSam, precision: torch.dtype) -> State:
    state = network.state_dict()
    missing = [name for name in network.trained_names if name not in state]
    if missing:
        raise ClassifierError(
            f"delta: expected the network that was trained, got one without {missing[0]}: "
            "save before LoRA is merged"
        )
    trained = {name: state[name].detach().cpu().to(precision).contiguous() for name in network.trained_names}
    bank = {name: value.cpu().contiguous() for name, value in state.items() if name.startswith(_BANK)}
    return trained | bank


def _describe(network: KSam, card: WeightsCard) -> dict[str, str]:
    described = {key: value for key, value in card.as_json().items() if key != "sha256"}
    values = (
        FORMAT,
        json.dumps(network.options.as_json()),
        network.base_name,
        find_base_sha256(network),
        json.dumps(network.bank.names),
        json.dumps(described),
    )
    return dict(zip(_KEYS, values, strict=True))


def _parse(metadata: Mapping[str, str], state: State, path: Path) -> Delta:
    found, options, base_name, base_sha256, names, card = (metadata[key] for key in _KEYS)
    if found != FORMAT or not {_BANK + name for name in ("images", "masks", "index")} <= state.keys():
        raise ValueError(f"format {found} with {len(state)} tensors")
    chosen = json.loads(options)
    full = {key: value.float() if value.is_floating_point() else value for key, value in state.items()}
    check_finite(full, path.name)
    return Delta(
        WeightsCard(**json.loads(card), sha256=hash_file(path)),
        find_options(chosen.pop("backbone"), chosen),
        base_name,
        base_sha256,
        tuple(json.loads(names)),
        full,
        json.loads(metadata.get(_NOTES, "{}")),
    )


def _check(network: KSam, delta: Delta, structures: int) -> None:
    name, wanted, own = delta.card.name, delta.options, network.options
    if wanted.backbone != own.backbone:
        raise ClassifierError(
            f"{name}: expected the backbone '{wanted.backbone}' that it was trained on, got "
            f"'{own.backbone}': set backbone to {wanted.backbone}"
        )
    if wanted != own:
        key = next(key for key, value in wanted.as_json().items() if own.as_json()[key] != value)
        raise ClassifierError(
            f"{name}: expected {key} {wanted.as_json()[key]}, as it was trained, got {own.as_json()[key]}: "
            "build the network with the delta's options"
        )
    if find_base_sha256(network) != delta.base_sha256:
        raise ClassifierError(
            f"{name}: expected backbone weights {delta.base_name or 'untrained'} with sha256 "
            f"{delta.base_sha256[:12]}..., got {network.base_name or 'untrained'} with "
            f"{find_base_sha256(network)[:12]}...: bring the file that was named"
        )
    held = delta.state[_BANK + "masks"].shape[0]
    if structures > held:
        raise ClassifierError(
            f"{name}: expected a prompt bank of {structures} structures, got one of {held}: "
            "fill the bank with set_bank, or use a prompt library"
        )
