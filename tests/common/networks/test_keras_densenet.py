"""Keras DenseNet121 files: a fake in every layout against Keras' arithmetic written out, and the real file.

The fake holds random numbers under Keras' names; `keras_logits` walks DenseNet121 by those names with plain
functional calls, padding, pooling and epsilon as keras.applications has them.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision

from common.errors import ClassifierError
from common.networks.keras_densenet import convert_keras_densenet121, layer_names, read_keras_densenet121
from common.networks.keras_file import snake_case

BLOCKS, GROWTH, CLASSES, EPSILON = (6, 12, 24, 16), 32, 5, 1.001e-5
ROOT = Path(__file__).resolve().parents[3]
Variables = dict[str, list[np.ndarray]]


def graph() -> list[tuple[str, str, tuple[int, ...]]]:
    """(class, name, kernel shape or channels) in Keras' order."""
    rows: list[tuple[str, str, tuple[int, ...]]] = [("Conv2D", "conv1_conv", (7, 7, 3, 64))]
    rows += [("BatchNormalization", "conv1_bn", (64,))]
    channels = 64
    for block, count in enumerate(BLOCKS, 2):
        for i in range(1, count + 1):
            name = f"conv{block}_block{i}"
            rows += [
                ("BatchNormalization", f"{name}_0_bn", (channels,)),
                ("Conv2D", f"{name}_1_conv", (1, 1, channels, 4 * GROWTH)),
                ("BatchNormalization", f"{name}_1_bn", (4 * GROWTH,)),
                ("Conv2D", f"{name}_2_conv", (3, 3, 4 * GROWTH, GROWTH)),
            ]
            channels += GROWTH
        if block < 5:
            rows += [("BatchNormalization", f"pool{block}_bn", (channels,))]
            rows += [("Conv2D", f"pool{block}_conv", (1, 1, channels, channels // 2))]
            channels //= 2
    return [*rows, ("BatchNormalization", "bn", (channels,))]


@pytest.fixture(scope="module")
def variables() -> Variables:
    """Random values in the order in which Keras stores them; small variances, where epsilon shows."""
    rng = np.random.default_rng(0)
    values: Variables = {}
    for kind, name, shape in graph():
        if kind == "Conv2D":
            values[name] = [rng.normal(0, np.sqrt(2 / np.prod(shape[:3])), shape).astype(np.float32)]
        else:
            gamma, beta, mean = (
                rng.uniform(0.5, 1.5, shape),
                rng.normal(0, 0.2, shape),
                rng.normal(0, 0.2, shape),
            )
            variance = rng.uniform(1e-5, 2.0, shape)
            values[name] = [array.astype(np.float32) for array in (gamma, beta, mean, variance)]
    values["predictions"] = [
        rng.normal(0, 0.05, (1024, CLASSES)).astype(np.float32),
        np.arange(5, dtype=np.float32),
    ]
    return values


def keras_logits(values: Variables, image: torch.Tensor) -> torch.Tensor:
    """DenseNet121 as keras.applications defines it, in float64."""

    def tensor(array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array).double()

    def norm_relu(x: torch.Tensor, name: str) -> torch.Tensor:
        gamma, beta, mean, variance = (tensor(array).reshape(1, -1, 1, 1) for array in values[name])
        return ((x - mean) / (variance + EPSILON).sqrt() * gamma + beta).clamp(min=0)

    def conv(x: torch.Tensor, name: str, **options: Any) -> torch.Tensor:
        return F.conv2d(x, tensor(values[name][0]).permute(3, 2, 0, 1), **options)

    x = norm_relu(conv(F.pad(image.double(), (3, 3, 3, 3)), "conv1_conv", stride=2), "conv1_bn")
    x = F.max_pool2d(F.pad(x, (1, 1, 1, 1)), 3, 2)  # zeros around, then no padding
    for block, count in enumerate(BLOCKS, 2):
        for i in range(1, count + 1):
            name = f"conv{block}_block{i}"
            new = conv(norm_relu(x, f"{name}_0_bn"), f"{name}_1_conv")
            new = conv(norm_relu(new, f"{name}_1_bn"), f"{name}_2_conv", padding=1)
            x = torch.cat([x, new], 1)
        if block < 5:
            x = F.avg_pool2d(conv(norm_relu(x, f"pool{block}_bn"), f"pool{block}_conv"), 2, 2)
    pooled = norm_relu(x, "bn").mean((2, 3))
    return pooled @ tensor(values["predictions"][0]) + tensor(values["predictions"][1])


def layer(kind: str, name: str, **config: Any) -> dict[str, Any]:
    return {"class_name": kind, "config": {"name": name, **config}}


def nested_config(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> dict[str, Any]:
    """Sequential([*before, DenseNet121, *after]), as Keras writes it."""
    inner = [layer("InputLayer", "input_layer")]
    for kind, name, _ in graph():
        inner.append(layer(kind, name, epsilon=EPSILON) if kind != "Conv2D" else layer(kind, name))
        inner.append(layer("Activation", f"{name}_relu", activation="relu"))
    densenet = {"class_name": "Functional", "config": {"name": "densenet121", "layers": inner}}
    return {"class_name": "Sequential", "config": {"name": "s", "layers": [*before, densenet, *after]}}


HEAD = [
    layer("GlobalAveragePooling2D", "pool"),
    layer("Dropout", "dropout"),
    layer("Dense", "predictions", activation="softmax"),
]


def write_numbered(group: h5py.Group, model: dict[str, Any], values: Variables, names: bool = True) -> None:
    counts: Counter[str] = Counter()
    for row in model["config"]["layers"]:
        kind, name = row["class_name"], row["config"]["name"]
        key = snake_case(kind) + (f"_{counts[kind]}" if counts[kind] else "")
        counts[kind] += 1
        child = group.create_group(f"layers/{key}")
        if "layers" in row["config"]:
            write_numbered(child, row, values, names)
        numbered = child.create_group("vars")
        if names:
            numbered.attrs["name"] = name
        for i, array in enumerate(values.get(name, [])):
            numbered[str(i)] = array


def write_keras(path: Path, model: dict[str, Any], values: Variables, names: bool = True) -> Path:
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        write_numbered(file, model, values, names)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(model))
        archive.writestr("model.weights.h5", stream.getvalue())
    return path


def write_h5(path: Path, values: Variables, slashes: bool, config: dict[str, Any] | None) -> Path:
    """Keras 2: named variables; `slashes`: as the first versions named them, conv1/bn for conv1_bn."""
    kinds = {1: ["kernel"], 2: ["kernel", "bias"], 4: ["gamma", "beta", "moving_mean", "moving_variance"]}
    with h5py.File(path, "w") as file:
        root = file.create_group("model_weights") if config else file
        if config:
            file.attrs["model_config"] = json.dumps(config)
        for name, arrays in values.items():
            written = "/".join(name.rsplit("_", 1)) if slashes else name
            group = root.create_group(written)
            keys = [f"{written}/{kind}:0" for kind in kinds[len(arrays)]]
            group.attrs["weight_names"] = [key.encode() for key in keys]
            for key, array in zip(keys, arrays, strict=True):
                group[key] = array
        spelled = ["/".join(name.rsplit("_", 1)) if slashes else name for name in values]
        root.attrs["layer_names"] = [name.encode() for name in spelled]
    return path


@pytest.fixture(scope="module")
def image() -> torch.Tensor:
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def expected(variables: Variables, image: torch.Tensor) -> torch.Tensor:
    return keras_logits(variables, image).float()


def run(path: Path, image: torch.Tensor) -> torch.Tensor:
    network = torchvision.models.densenet121(num_classes=CLASSES).eval()
    network.load_state_dict(read_keras_densenet121(path).state, strict=False)
    with torch.no_grad():
        return network(image)


@pytest.mark.parametrize(
    "layout", ["keras", "keras without names", "weights", "h5", "h5 weights", "h5 slashes"]
)
def test_every_layout_computes_what_keras_computes(tmp_path, variables, image, expected, layout):
    model = nested_config([layer("InputLayer", "input")], HEAD)
    path = tmp_path / "a.h5"
    if layout.startswith("keras"):
        path = write_keras(tmp_path / "a.keras", model, variables, names=layout == "keras")
    elif layout == "weights":
        with h5py.File(path, "w") as file:
            write_numbered(file, model, variables)
    else:
        write_h5(path, variables, "slashes" in layout, model if layout == "h5" else None)
    torch.testing.assert_close(run(path, image), expected, atol=2e-4, rtol=1e-4)


def test_conversion_is_torchvisions_state_dict_and_the_same_every_time(tmp_path, variables):
    path = write_keras(tmp_path / "a.keras", nested_config([], HEAD), variables)
    convert_keras_densenet121(path, tmp_path / "one.pt")
    convert_keras_densenet121(path, tmp_path / "another.pt")
    assert (tmp_path / "one.pt").read_bytes() == (tmp_path / "another.pt").read_bytes()
    state = torch.load(tmp_path / "one.pt", weights_only=True)
    wanted = torchvision.models.densenet121(num_classes=CLASSES).state_dict()
    assert {key for key in wanted if "num_batches" not in key} == set(state)
    # the variance is larger by what Keras' epsilon is larger: 0.001 e-5
    shift = state["features.norm0.running_var"].double() - variables["conv1_bn"][3]
    np.testing.assert_allclose(shift, 1e-8, atol=6e-8)


def test_activation_and_rescaling_are_told(tmp_path, variables):
    rescaling = layer("Rescaling", "rescaling", scale=1 / 127.5, offset=-1.0)
    after = [
        HEAD[0],
        layer("Dense", "predictions", activation="linear"),
        layer("Activation", "a", activation="softmax"),
    ]
    read = read_keras_densenet121(
        write_keras(tmp_path / "a.keras", nested_config([rescaling], after), variables)
    )
    assert read.activation == "softmax"
    assert read.rescaling == (1 / 127.5, -1.0)
    read.check_input(1 / 255, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))  # (x / 255 - 0.5) / 0.5 = x / 127.5 - 1
    with pytest.raises(
        ClassifierError, match=r"expected the file's own Rescaling.*write scale 0.00784314, mean 1"
    ):
        read.check_input(1 / 255, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def test_names_cover_densenet121():
    assert len(list(layer_names())) == 120 + 121  # 120 convolutions, 121 normalisations
    assert [snake_case(name) for name in ("MaxPooling2D", "ReLU", "Conv2D")] == [
        "max_pooling2d",
        "re_lu",
        "conv2d",
    ]


def test_foreign_layers_are_refused(tmp_path, variables):
    model = nested_config([layer("Normalization", "n")], HEAD)
    with pytest.raises(ClassifierError, match="got a Normalization layer 'n'"):
        read_keras_densenet121(write_keras(tmp_path / "a.keras", model, variables))


def test_two_heads_are_refused(tmp_path, variables):
    values = variables | {"extra": variables["predictions"]}
    model = nested_config([], [*HEAD, layer("Dense", "extra", activation="linear")])
    with pytest.raises(
        ClassifierError, match=r"and one Dense layer, got 0 missing .*\['extra', 'predictions'\]"
    ):
        read_keras_densenet121(write_keras(tmp_path / "a.keras", model, values))


def test_missing_layers_are_refused(tmp_path, variables):
    values = {name: arrays for name, arrays in variables.items() if name != "bn"}
    with pytest.raises(ClassifierError, match="got 1 missing .bn"):
        read_keras_densenet121(write_h5(tmp_path / "a.h5", values, False, None))


def test_incomplete_normalisation_is_refused(tmp_path, variables):
    values = variables | {"bn": variables["bn"][:2]}
    with pytest.raises(
        ClassifierError, match="features.norm5: expected a kernel without bias or a full batch norm"
    ):
        read_keras_densenet121(write_keras(tmp_path / "a.keras", nested_config([], HEAD), values))


def test_numbering_that_contradicts_the_names_is_refused(tmp_path, variables):
    path = write_keras(tmp_path / "a.keras", model := nested_config([], HEAD), variables)
    layers = model["config"]["layers"][0]["config"]["layers"]
    layers[1], layers[5] = layers[5], layers[1]
    with zipfile.ZipFile(path) as archive:
        weights = archive.read("model.weights.h5")
    with zipfile.ZipFile(tmp_path / "b.keras", "w") as archive:
        archive.writestr("config.json", json.dumps(model))
        archive.writestr("model.weights.h5", weights)
    with pytest.raises(
        ClassifierError, match="got 'variables of conv1_bn where config.json has conv2_block1_0_bn"
    ):
        read_keras_densenet121(tmp_path / "b.keras")


def test_other_files_are_refused(tmp_path):
    (tmp_path / "a.keras").write_bytes(b"not a model")
    with pytest.raises(ClassifierError, match=r"a.keras: expected a Keras model \(.keras or .h5\)"):
        read_keras_densenet121(tmp_path / "a.keras")


@pytest.mark.weights("capricorn-densenet121")
def test_the_real_file_gives_what_keras_itself_gives():
    files = sorted((ROOT / ".cache" / "weights").glob("*/*.keras"))
    if not files:
        pytest.skip("the original is not here: python3 tools/weights.py get capricorn-densenet121")
    golden = json.loads((Path(__file__).parent / "golden" / "capricorn_logits.json").read_text())
    y, x, c = np.meshgrid(np.arange(224), np.arange(224), np.arange(3), indexing="ij")
    pixels = [(x * (3 + k) + y * (5 + 2 * k) + c * (40 + k) + x * y // (7 + k)) % 256 for k in range(3)]
    network = torchvision.models.densenet121(num_classes=24).eval()
    network.load_state_dict(read_keras_densenet121(files[0]).state, strict=False)
    with torch.no_grad():
        logits = network(torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float() / 255)
    np.testing.assert_allclose(logits, golden["logits"], atol=2e-3)  # of 55
