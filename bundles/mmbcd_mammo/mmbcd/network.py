"""Builder of MMBCD for training, pipeline and configs; all files are local, nothing is downloaded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.errors import ClassifierError, ConfigError
from common.networks.card import WeightsCard
from common.networks.sam_weights import hash_file
from common.networks.state_dict import load_state, read_state
from common.networks.text_encoders import TextEncoder, build_text_encoder
from common.networks.vision_encoders import build_vision_encoder

from .classifier import Mmbcd
from .fusion import MmbcdOutput
from .options import MmbcdOptions, find_options
from .weights import TrainedWeights, load_weights, read_weights

__all__ = ["Mmbcd", "MmbcdOutput", "build_mmbcd"]


def build_mmbcd(
    weights: str | Path | None = None,
    vision_weights: str | Path | None = None,
    text_folder: str | Path | None = None,
    pretrained: bool = True,
    preset: str | None = None,
    encoders: str | Path | None = None,
    **options: Any,
) -> Mmbcd:
    """An MMBCD in eval mode, on the CPU.

    Args:
        weights: trained weights (`.safetensors` of `save_weights`; they bring their options), or a whole
            state dict (`.pt`; give the options that it was trained with); None: the fusion is untrained.
        vision_weights: file of the vision encoder, see `build_vision_encoder`; not needed where the weights
            hold the whole encoder.
        text_folder: folder of the text encoder, see `build_text_encoder`; without it no text is read.
        pretrained: False builds the architecture without reading a file.
        preset: "default", "paper" or "released_code", see `options.py`.
        encoders: folder in which encoders that are not named are looked for, by the names of those that the
            trained weights rest on.
        **options: of `MmbcdOptions`, in place of the preset's; with trained weights they must be theirs.

    Raises:
        ConfigError: an option is unknown, out of range, or contradicts the weights.
        ClassifierError: a file is not there, not readable, or does not belong to the others.
    """
    if not pretrained:
        return _assemble(find_options(preset or "default", options), None, None).eval()
    for name, path in (("weights", weights), ("vision_weights", vision_weights)):
        _check_file(name, path)
    if weights is None or Path(weights).suffix != ".safetensors":
        network = _assemble(find_options(preset or "default", options), vision_weights, text_folder)
        if weights is not None:
            _load_whole(network, Path(weights))
        return network.eval()
    trained = read_weights(weights)
    _agree(trained.card.name, trained.options, preset, options)
    vision_weights = vision_weights or _find_base(trained, "vision", encoders)
    network = _assemble(trained.options, vision_weights, text_folder or _find_base(trained, "text", encoders))
    load_weights(network, trained)
    return network.eval()


def _assemble(
    options: MmbcdOptions, vision_weights: str | Path | None, text_folder: str | Path | None
) -> Mmbcd:
    vision = build_vision_encoder(options.vision, vision_weights, options.frozen_blocks, options.image_size)
    text: TextEncoder | None = None
    if options.use_text:
        layers, length = options.text_trained_layers, options.max_tokens
        text = build_text_encoder(text_folder, options.text, layers, length)
    return Mmbcd(options, vision, text)


def _find_base(trained: TrainedWeights, part: str, encoders: str | Path | None) -> Path | None:
    """What `trained` names as the base of that part, where it lies in `encoders`."""
    name = Path(trained.bases.get(part, {}).get("file", "")).name
    found = Path(encoders or "") / name
    return found if encoders and name and found.exists() else None


def _check_file(name: str, path: str | Path | None) -> None:
    if path is not None and not Path(path).is_file():
        raise ClassifierError(
            f"{name}: expected a file with weights, got '{Path(path).name}', which is not there: "
            "python3 tools/weights.py get, or name your own"
        )


def _agree(name: str, wanted: MmbcdOptions, preset: str | None, given: Mapping[str, Any]) -> None:
    """What was given must not contradict the weights."""
    asked = find_options(wanted.preset, given).as_json() | {"preset": preset or wanted.preset}
    for key in (*given, "preset"):
        if asked[key] != wanted.as_json()[key]:
            raise ConfigError(
                f"{key}: expected {wanted.as_json()[key]}, as {name} was trained, got {asked[key]}: leave "
                "it out"
            )


def _load_whole(network: Mmbcd, path: Path) -> None:
    load_state(network, read_state(path), path.name)
    network.card = WeightsCard(
        path.stem, purpose="unstated", training_data="unstated", sha256=hash_file(path)
    )
