"""State dicts from files: safely read, unwrapped, checked, loaded with a message that helps."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from ..errors import ClassifierError
from ..io.files import atomic_path

_WRAPPERS = ("state_dict", "model_state_dict", "model", "network", "net")
_PREFIXES = ("module.", "_orig_mod.")  # DataParallel and torch.compile
_HARMLESS = "num_batches_tracked"  # absent from old files, never used in inference

State = dict[str, torch.Tensor]


def read_state(path: Path) -> State:
    """Read a state dict (`.safetensors` by suffix, else `torch.save`'s format; no code is executed).

    `{"state_dict": ...}`, `{"model": ...}` and the like are unwrapped, `module.` and `_orig_mod.` cut off.

    Raises:
        ClassifierError: not readable, holds other things than tensors, or numbers that are not finite.
    """
    try:
        content = (
            load_file(path)
            if path.suffix == ".safetensors"
            else torch.load(path, map_location="cpu", weights_only=True)
        )
    except (
        OSError,
        RuntimeError,
        EOFError,
        ValueError,
        KeyError,
        pickle.UnpicklingError,
        SafetensorError,
    ) as error:
        raise ClassifierError(
            f"{path.name}: expected a plain state dict, got '{str(error)[:120]}': "
            "save `network.state_dict()` with torch.save, or get the file again"
        ) from error
    state = _unwrap(content, path.name)
    check_finite(state, path.name)
    return state


def check_finite(state: Mapping[str, torch.Tensor], name: str) -> None:
    """Raises ClassifierError when a weight is NaN or infinite."""
    bad = [key for key, value in state.items() if value.is_floating_point() and not value.isfinite().all()]
    if bad:
        raise ClassifierError(
            f"{name}: expected finite weights, got NaN or infinity in {len(bad)} of {len(state)} tensors "
            f"({_first(bad)}): take a checkpoint from before training diverged"
        )


def hash_tensors(state: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 over names and bytes of tensors, in the order of their names, hexadecimal."""
    digest = hashlib.sha256()
    for name, value in sorted(state.items()):
        digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def load_state(network: nn.Module, state: Mapping[str, torch.Tensor], name: str) -> None:
    """Load every tensor strictly by name and shape.

    Raises:
        ClassifierError: names are missing or too many, or shapes differ.
    """
    wanted = network.state_dict()
    missing = [key for key in wanted if key not in state and not key.endswith(_HARMLESS)]
    extra = [key for key in state if key not in wanted]
    shapes = [
        f"{key} {tuple(value.shape)} instead of {tuple(wanted[key].shape)}"
        for key, value in state.items()
        if key in wanted and value.shape != wanted[key].shape
    ]
    for what, keys in (("lacks", missing), ("has unknown", extra), ("has other shapes:", shapes)):
        if keys:
            raise ClassifierError(
                f"{name}: expected the tensors of {type(network).__name__}, but it {what} {_first(keys)} "
                f"({len(keys)} in all): name the architecture and arguments it was trained with"
            )
    network.load_state_dict(dict(state), strict=False)


def write_state(network: nn.Module, target: str | Path) -> None:
    """The state dict of a network as `torch.save` writes it; the same tensors give the same bytes.

    Raises:
        OutputError: `target` cannot be written.
    """
    state = {key: value.contiguous() for key, value in network.state_dict().items()}
    with atomic_path(target) as temporary, temporary.open("wb") as stream:
        torch.save(state, stream)  # through a stream: a path would leave its own name in the file


def _unwrap(content: object, name: str) -> State:
    while isinstance(content, Mapping):
        inner = next((content[key] for key in _WRAPPERS if isinstance(content.get(key), Mapping)), None)
        if inner is None:
            break
        content = inner
    if not isinstance(content, Mapping) or not content or not all(map(torch.is_tensor, content.values())):
        raise ClassifierError(
            f"{name}: expected a dictionary of tensors, got {type(content).__name__} with other things: "
            "save `network.state_dict()` with torch.save"
        )
    return {_cut(str(key)): value for key, value in content.items()}


def _cut(key: str) -> str:
    while prefix := next((prefix for prefix in _PREFIXES if key.startswith(prefix)), None):
        key = key[len(prefix) :]
    return key


def _first(keys: list[str]) -> str:
    return ", ".join(keys[:3])
