"""Keras' DenseNet121 on torchvision's DenseNet121: the same arithmetic, other names.

Equal by construction: ZeroPadding2D(3) + valid 7x7 is padding 3; ZeroPadding2D(1) + valid max pooling after a
ReLU is padding with -inf, because nothing is below 0; both concatenate old features first. Keras divides by
sqrt(variance + 1.001e-5), torchvision by sqrt(variance + 1e-5): the difference goes into the stored variance.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ..errors import ClassifierError
from ..io.files import atomic_path
from .keras_file import KerasFile, KerasLayer, is_keras_file, read_keras_file
from .state_dict import State, check_finite

__all__ = ["KerasDenseNet121", "convert_keras_densenet121", "is_keras_file", "read_keras_densenet121"]

BLOCKS = (6, 12, 24, 16)
KERAS_EPSILON, TORCH_EPSILON = 1.001e-5, 1e-5
_NORM = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}
_PASSIVE = {"InputLayer", "ZeroPadding2D", "Activation", "MaxPooling2D", "AveragePooling2D", "Concatenate"}
_KNOWN = _PASSIVE | {
    "Conv2D",
    "BatchNormalization",
    "GlobalAveragePooling2D",
    "Dropout",
    "Dense",
    "Rescaling",
}


@dataclass(frozen=True)
class KerasDenseNet121:
    """What a file holds.

    Attributes:
        state: under torchvision's names, float32.
        activation: what follows the head ("softmax", "linear", None: unknown), not part of the logits.
        rescaling: (gain, offset) if the file's network rescales its own input, else None.
    """

    state: State
    activation: str | None
    rescaling: tuple[float, float] | None

    def check_input(self, scale: float, mean: Sequence[float], std: Sequence[float]) -> None:
        """The file's own rescaling must be what the classifier's description says.

        Raises:
            ClassifierError: pixels * scale - mean, divided by std, is something else.
        """
        if self.rescaling is None:
            return
        gain, offset = self.rescaling
        said = [(scale / s, -m / s) for m, s in zip(mean, std, strict=True)]
        if not all(
            math.isclose(g, gain, rel_tol=1e-4) and math.isclose(o, offset, abs_tol=1e-4) for g, o in said
        ):
            raise ClassifierError(
                f"input: expected the file's own Rescaling, pixels x {gain:.6g} + {offset:.6g}, got "
                f"{said[0]}: write scale {gain:.6g}, mean {-offset:.6g} and std 1 in classifier.json"
            )


def convert_keras_densenet121(source: Path, target: Path) -> None:
    """Write a Keras DenseNet121 as a state dict of torchvision's densenet121. Raises ClassifierError."""
    state = read_keras_densenet121(source).state
    with atomic_path(target) as temporary, temporary.open("wb") as stream:
        torch.save(state, stream)


def read_keras_densenet121(path: Path) -> KerasDenseNet121:
    """Read and rename; every layer is found by its name.

    Raises:
        ClassifierError: not a Keras file, not DenseNet121 + average pooling + one Dense, weights not finite.
    """
    file = read_keras_file(path)
    _check_layers(file.layers, path.name)
    found = _by_layer(file, path.name)
    state: State = {}
    for keras, ours in layer_names():
        state |= _convert_layer(found.pop(keras), ours, _epsilon(file, keras))
    name, head = next(iter(found.items()))
    state["classifier.weight"] = torch.from_numpy(np.ascontiguousarray(head["kernel"].T, np.float32))
    bias = head.get("bias", np.zeros(head["kernel"].shape[1]))
    state["classifier.bias"] = torch.from_numpy(np.asarray(bias, np.float32))
    check_finite(state, path.name)
    return KerasDenseNet121(state, _activation(file, name), _rescaling(file))


def layer_names() -> Iterator[tuple[str, str]]:
    """Keras' name and torchvision's, for every layer with weights except the head."""
    yield "conv1_conv", "features.conv0"
    yield "conv1_bn", "features.norm0"
    for block, count in enumerate(BLOCKS, 1):
        for i in range(1, count + 1):
            keras, ours = f"conv{block + 1}_block{i}", f"features.denseblock{block}.denselayer{i}"
            yield f"{keras}_0_bn", f"{ours}.norm1"
            yield f"{keras}_1_conv", f"{ours}.conv1"
            yield f"{keras}_1_bn", f"{ours}.norm2"
            yield f"{keras}_2_conv", f"{ours}.conv2"
        if block < len(BLOCKS):
            yield f"pool{block + 1}_bn", f"features.transition{block}.norm"
            yield f"pool{block + 1}_conv", f"features.transition{block}.conv"
    yield "bn", "features.norm5"


def _check_layers(layers: Sequence[KerasLayer], name: str) -> None:
    for layer in layers:
        if layer.kind not in _KNOWN:
            raise ClassifierError(
                f"{name}: expected DenseNet121, average pooling and one Dense layer, got a "
                f"{layer.kind} layer '{layer.name}': remove it, or export the network to TorchScript"
            )


def _by_layer(file: KerasFile, name: str) -> dict[str, dict[str, np.ndarray]]:
    """Variables by DenseNet's layer names; the one layer left over is the head."""
    expected = {keras for keras, _ in layer_names()}
    found: dict[str, dict[str, np.ndarray]] = {}
    for path, value in file.variables.items():
        # older files say conv1/bn for conv1_bn: the longest ending that is a layer's name counts
        endings = ["_".join(path[start:-1]) for start in range(len(path) - 1)]
        layer = next((ending for ending in endings if ending in expected), path[-2])
        found.setdefault(layer, {})[path[-1]] = value
    missing, heads = sorted(expected - set(found)), sorted(set(found) - expected)
    if missing or len(heads) != 1 or found[heads[0]].get("kernel", np.empty(0)).ndim != 2:
        raise ClassifierError(
            f"{name}: expected DenseNet121's 241 layers and one Dense layer, got {len(missing)} missing "
            f"({', '.join(missing[:3])}) and {heads[:3]} beside them: only DenseNet121 is read"
        )
    return found


def _convert_layer(values: dict[str, np.ndarray], ours: str, epsilon: float) -> State:
    if set(values) == {"kernel"}:
        kernel = np.ascontiguousarray(values["kernel"].transpose(3, 2, 0, 1), np.float32)
        return {f"{ours}.weight": torch.from_numpy(kernel)}
    if set(values) != set(_NORM):
        raise ClassifierError(
            f"{ours}: expected a kernel without bias or a full batch normalisation, got {sorted(values)}: "
            "only keras.applications' DenseNet121 is read"
        )
    variance = values["moving_variance"].astype(np.float64) + (epsilon - TORCH_EPSILON)
    arrays = values | {"moving_variance": variance}
    return {f"{ours}.{_NORM[key]}": torch.from_numpy(np.asarray(arrays[key], np.float32)) for key in _NORM}


def _epsilon(file: KerasFile, name: str) -> float:
    layer = next((layer for layer in file.layers if layer.name.replace("/", "_") == name), None)
    return KERAS_EPSILON if layer is None else float(layer.config.get("epsilon", KERAS_EPSILON))


def _activation(file: KerasFile, head: str) -> str | None:
    position = next((i for i, layer in enumerate(file.layers) if layer.name == head), None)
    if position is None:
        return None
    after = [x.config["activation"] for x in file.layers[position:] if x.kind in ("Dense", "Activation")]
    return next((name for name in after if name != "linear"), "linear")


def _rescaling(file: KerasFile) -> tuple[float, float] | None:
    layers = [layer.config for layer in file.layers if layer.kind == "Rescaling"]
    gain, offset = 1.0, 0.0
    for config in layers:
        gain, offset = (
            gain * float(config["scale"]),
            offset * float(config["scale"]) + float(config["offset"]),
        )
    return (gain, offset) if layers else None
