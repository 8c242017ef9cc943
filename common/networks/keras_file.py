"""Trained Keras models read with h5py: layers by their names, no TensorFlow, no code executed.

Layouts: `.keras` (a zip of config.json and model.weights.h5), Keras 3's `.weights.h5`, the older whole-model
`.h5` and the older `.h5` of weights alone. In the first two a variable's path is numbered, not named:
`layers/<class>[_n]/vars/<i>`, where <class> is the class in snake case and n counts its layers in the order
of config.json, anew inside a nested model; the layer's name is an attribute of `vars`.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ..errors import ClassifierError

_VARIABLES = {
    "Conv2D": ("kernel", "bias"),
    "Dense": ("kernel", "bias"),
    "BatchNormalization": ("gamma", "beta", "moving_mean", "moving_variance"),
}
_MODELS = ("Sequential", "Functional", "Model")


@dataclass(frozen=True)
class KerasLayer:
    """One layer of config.json: its class, its name, its settings."""

    kind: str
    name: str
    config: Mapping[str, Any]


@dataclass(frozen=True)
class KerasFile:
    """A trained model.

    Attributes:
        layers: in the order of config.json, nested models opened; empty where the file holds weights alone.
        variables: path of names, e.g. ("densenet121", "conv1_conv", "kernel") -> array.
    """

    layers: tuple[KerasLayer, ...]
    variables: dict[tuple[str, ...], np.ndarray]


def is_keras_file(path: Path) -> bool:
    """By its suffix: `.keras`, `.h5`, `.hdf5`."""
    return path.suffix.lower() in (".keras", ".h5", ".hdf5")


def read_keras_file(path: Path) -> KerasFile:
    """Read layers and variables.

    Raises:
        ClassifierError: not such a file, damaged, or its numbering contradicts its config.
    """
    try:
        return _read_zip(path) if zipfile.is_zipfile(path) else _read_h5(path)
    except (OSError, KeyError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise ClassifierError(
            f"{path.name}: expected a Keras model (.keras or .h5), got '{str(error)[:120]}': "
            "save it again with model.save('name.keras')"
        ) from error


def _read_zip(path: Path) -> KerasFile:
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json"))
        weights = io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(weights, "r") as stream:
        variables = dict(_numbered_variables(config, stream, ()))
    return KerasFile(tuple(iterate_layers(config)), variables)


def iterate_layers(model: Mapping[str, Any]) -> Iterator[KerasLayer]:
    """Layers of a serialised model, those of nested models in their place."""
    for row in model["config"]["layers"]:
        if row["class_name"] in _MODELS:
            yield from iterate_layers(row)
        else:
            yield KerasLayer(row["class_name"], row["config"]["name"], row["config"])


def _numbered_variables(
    model: Mapping[str, Any], group: h5py.Group, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], np.ndarray]]:
    """Names from config.json for the numbered variables of one model and its nested models."""
    counts: Counter[str] = Counter()
    for row in model["config"]["layers"]:
        kind, name = row["class_name"], row["config"]["name"]
        key = snake_case(kind) + (f"_{counts[kind]}" if counts[kind] else "")
        counts[kind] += 1
        if kind in _MODELS:
            yield from _numbered_variables(row, group["layers"][key], (*path, name))
        elif kind in _VARIABLES:
            values = group["layers"][key]["vars"]
            if values.attrs.get("name", name) != name:
                raise ValueError(f"variables of {values.attrs['name']} where config.json has {name}")
            for i, variable in enumerate(_VARIABLES[kind][: len(values)]):
                yield (*path, name, variable), values[str(i)][()]


def snake_case(name: str) -> str:
    """`BatchNormalization` -> `batch_normalization`, `MaxPooling2D` -> `max_pooling2d`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])|(?<=[a-z])(?=[A-Z])", "_", name).lower()


def _read_h5(path: Path) -> KerasFile:
    with h5py.File(path, "r") as stream:
        if "layers" in stream:
            return KerasFile((), dict(_labelled_variables(stream["layers"])))
        config = json.loads(stream.attrs["model_config"]) if "model_config" in stream.attrs else None
        variables = dict(_named_variables(stream.get("model_weights", stream)))
    return KerasFile(tuple(iterate_layers(config)) if config else (), variables)


def _labelled_variables(layers: h5py.Group) -> Iterator[tuple[tuple[str, ...], np.ndarray]]:
    """Variables of Keras 3's weights without config.json: the kind of layer follows from their number."""
    for layer in layers.values():
        if "layers" in layer:
            yield from _labelled_variables(layer["layers"])
        values = layer["vars"]
        names = next(
            (names for names in _VARIABLES.values() if len(values) in (len(names), len(names) - 1)), ()
        )
        for i, variable in enumerate(names[: len(values)]):
            yield (values.attrs["name"], variable), values[str(i)][()]


def _named_variables(root: h5py.Group) -> Iterator[tuple[tuple[str, ...], np.ndarray]]:
    """`weight_names` such as conv1/bn/gamma:0 -> ("conv1", "bn", "gamma")."""
    for layer in _texts(root.attrs["layer_names"]):
        for name in _texts(root[layer].attrs["weight_names"]):
            yield tuple(name.partition(":")[0].split("/")), root[layer][name][()]


def _texts(values: Any) -> list[str]:
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values]
