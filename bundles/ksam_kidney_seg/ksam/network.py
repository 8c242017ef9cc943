"""Builders of KSAM: for training and experiments, for the pipeline, and for configs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.errors import ClassifierError, ConfigError
from common.networks.card import WeightsCard
from common.networks.sam import build_sam
from common.networks.sam_weights import hash_file, load_backbone
from common.networks.state_dict import load_state, read_state

from .delta import Delta, load_delta, read_delta
from .knowledge_sam import Knowledge, KSam
from .options import KSamOptions, find_options

__all__ = ["KSam", "Knowledge", "build_ksam", "build_network"]


def build_ksam(
    backbone: str | None = None,
    weights: str | Path | None = None,
    delta: str | Path | None = None,
    structures: int = 0,
    **options: Any,
) -> KSam:
    """A KSAM in eval mode, on the CPU; nothing is downloaded.

    Args:
        backbone: "lite", "vit_b" or "medsam"; by default the delta's, else "lite".
        weights: official checkpoint of the backbone; None: untrained.
        delta: the trained part; it brings its options and its prompt bank.
        structures: how many the bank must serve; without a delta a placeholder bank of that size.
        **options: of `KSamOptions`; with a delta they must be the delta's.

    Raises:
        ConfigError: an option is unknown or out of range.
        ClassifierError: a file is not readable, of another backbone or does not fit the other, an option
            contradicts the delta, or its bank is too small.
    """
    read = None if delta is None else read_delta(Path(delta))
    chosen = find_options(backbone or "lite", options) if read is None else _agree(read, backbone, options)
    network = _assemble(chosen, weights, structures)
    if read is not None:
        load_delta(network, read, structures)
    return network.eval()


def build_network(
    weights: str | Path | None = None,
    base: str | Path | None = None,
    pretrained: bool = True,
    structures: int = 0,
    backbone: str | None = None,
    **options: Any,
) -> KSam:
    """The network of a config: from a delta and its backbone, from a whole state dict, or untrained.

    Args:
        weights: a delta (`.safetensors`) or a whole state dict (`model.pt`).
        base: the backbone's checkpoint; needed by a delta only.
        pretrained: False builds the architecture without reading a file, with a placeholder bank.
        structures: how many the bank must serve.
        backbone: see `build_ksam`.
        **options: see `build_ksam`; a whole state dict needs those that it was trained with.

    Raises:
        ConfigError: an option is unknown or out of range.
        ClassifierError: no file, or see `build_ksam`.
    """
    if not pretrained:
        return build_ksam(backbone, structures=structures, **options)
    for name, path in (("weights", weights), ("base", base)):
        if (not path and name == "weights") or (path and not Path(path).is_file()):
            raise ClassifierError(
                f"{name}: expected a file with weights, got '{Path(path).name if path else None}': "
                "python3 tools/weights.py get, or name your own"
            )
    path = Path(str(weights))
    if path.suffix == ".safetensors":
        return build_ksam(backbone, base or None, path, structures, **options)
    network = build_ksam(backbone, structures=structures, **options)
    _load_whole(network, path, structures)
    return network


def _assemble(options: KSamOptions, weights: str | Path | None, structures: int) -> KSam:
    sam = build_sam(options.backbone, options.image_size or None)
    sha256 = "" if weights is None else load_backbone(sam, Path(weights))
    network = KSam(sam, options, structures)
    network.base_name, network.base_sha256 = "" if weights is None else Path(weights).name, sha256
    return network


def _agree(delta: Delta, backbone: str | None, given: Mapping[str, Any]) -> KSamOptions:
    """The delta's options, which what was given must not contradict."""
    wanted = delta.options
    if backbone not in (None, wanted.backbone):
        raise ClassifierError(
            f"{delta.card.name}: expected the backbone '{wanted.backbone}' that it was trained on, got "
            f"'{backbone}': set backbone to {wanted.backbone}"
        )
    asked = find_options(wanted.backbone, given).as_json()
    for name in given:
        if asked[name] != wanted.as_json()[name]:
            raise ConfigError(
                f"{name}: expected {wanted.as_json()[name]}, as the delta {delta.card.name} was trained, got "
                f"{asked[name]}: leave it out"
            )
    return wanted


def _load_whole(network: KSam, path: Path, structures: int) -> None:
    state = read_state(path)
    network.bank.load_state_dict({k[5:]: v for k, v in state.items() if k.startswith("bank.")}, strict=False)
    load_state(network, state, path.name)
    if structures > network.bank.structures:
        raise ClassifierError(
            f"{path.name}: expected a prompt bank of {structures} structures, got one of "
            f"{network.bank.structures}: fill the bank with set_bank, or use a prompt library"
        )
    network.card = WeightsCard(
        path.stem, purpose="unstated", training_data="unstated", sha256=hash_file(path)
    )
