"""Trained weights of the detector: one file with its sizes, so that a config names the file only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from common.errors import BundleError, ClassifierError
from common.io.files import atomic_path
from common.networks.card import WeightsCard
from common.networks.focalnet_dino.model import FocalNetDino
from common.networks.focalnet_dino.sizes import DinoSizes
from common.networks.sam_weights import hash_file
from common.networks.state_dict import State, check_finite, load_state

FORMAT = "mmbcd-detector-1"
_KEYS = ("format", "sizes", "image_size", "card", "notes")


@dataclass(frozen=True)
class DetectorWeights:
    """What a file holds.

    Attributes:
        card: name, version, purpose, training data, sha256 of the file.
        sizes: of the network.
        image_size: (H, W) that it was trained at.
        state: all tensors in fp32.
        notes: what training wrote besides.
    """

    card: WeightsCard
    sizes: DinoSizes
    image_size: tuple[int, int]
    state: State
    notes: Mapping[str, Any]

    @property
    def training_patients(self) -> list[str]:
        """Hashes of the patients it was trained and chosen on; none where the file does not say."""
        return list(self.notes.get("training_patients", []))

    def build(self) -> FocalNetDino:
        """The network with these weights."""
        network = FocalNetDino(self.sizes)
        load_state(network, self.state, self.card.name)
        return network


def save_detector(
    network: FocalNetDino,
    path: str | Path,
    card: WeightsCard,
    image_size: tuple[int, int],
    fp16: bool = True,
    notes: Mapping[str, Any] | None = None,
) -> WeightsCard:
    """Write a trained detector.

    Args:
        network: trained.
        path: `.safetensors`.
        card: name, version, purpose and training data; its sha256 is filled in.
        image_size: (H, W) that it was trained at.
        fp16: half the size; the tensors are read back as fp32.
        notes: standard JSON that is written down besides.

    Returns:
        The card with the file's sha256.

    Raises:
        ClassifierError: a weight is not finite (in fp16).
        OutputError: cannot be written.
    """
    state = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
    kept = {key: value.half() for key, value in state.items()} if fp16 else state
    check_finite(kept, Path(path).name)
    described = {key: value for key, value in card.as_json().items() if key != "sha256"}
    contents = (FORMAT, asdict(network.sizes), list(image_size), described, dict(notes or {}))
    with atomic_path(path) as temporary:
        save_file(kept, temporary, dict(zip(_KEYS, map(json.dumps, contents), strict=True)))
        return replace(card, sha256=hash_file(temporary))


def read_detector(path: str | Path) -> DetectorWeights:
    """Read a file of `save_detector`; no code is executed.

    Raises:
        ClassifierError: not readable, not such a file, or weights that are not finite.
    """
    path = Path(path)
    try:
        with safe_open(path, "pt") as file:
            metadata = {key: json.loads(value) for key, value in (file.metadata() or {}).items()}
            state = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118 - no dictionary
        return _parse(metadata, state, path)
    except (OSError, SafetensorError, KeyError, ValueError, TypeError, BundleError) as error:
        raise ClassifierError(
            f"{path.name}: expected weights of the detector ({FORMAT}), got '{str(error)[:120]}': save them "
            "with save_detector, or get the file again"
        ) from error


def _parse(metadata: Mapping[str, Any], state: State, path: Path) -> DetectorWeights:
    found, sizes, (rows, columns), card, notes = (metadata[key] for key in _KEYS)
    if found != FORMAT:
        raise ValueError(f"format {found}")
    check_finite(state, path.name)
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in sizes.items()
    }
    return DetectorWeights(
        WeightsCard(**card, sha256=hash_file(path)), DinoSizes(**values), (rows, columns), state, notes
    )
