"""The checks that run a bundle's code find what they are there to find."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from bundle_format import Bundle
from bundle_format.workflows import (
    WORKFLOW_TYPES,
    build_network,
    check_export,
    check_network,
    check_properties,
    check_weights,
    evaluate_size,
)
from toy_bundle import write, write_toy, write_weights

numbers = itertools.count()


@pytest.fixture
def toy(tmp_path: Path) -> Bundle:
    """A good bundle; its package has a name that no other test of this process has imported."""
    return Bundle(write_toy(tmp_path, package=f"running_sorter_{next(numbers)}"), tmp_path)


def rewrite(toy: Bundle, old: str, new: str) -> torch.nn.Module:
    """Replace a text in the network's module, then build the network."""
    file = toy.path / toy.packages[0] / "network.py"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
    return build_network(toy)


def set_key(toy: Bundle, file: str, place: str, value: Any) -> None:
    """Set `a.b` of a JSON file."""
    content = json.loads((toy.path / file).read_text())
    *parents, last = place.split(".")
    item = content
    for parent in parents:
        item = item[parent]
    item[last] = value
    write(toy.path / file, content)


def test_good_bundle_satisfies_all(toy: Bundle) -> None:
    network = build_network(toy)
    assert [*check_network(toy, network), *check_weights(toy, network), *check_export(toy, network)] == []
    for workflow in WORKFLOW_TYPES:
        assert list(check_properties(toy, workflow, {})) == []


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        (".mean(dim=(2, 3))", ".mean()", r"a batch of 1 gives shape \(\)"),
        (".mean(dim=(2, 3))", ".mean(dim=(0, 2, 3), keepdim=True)[:, :, 0, 0]", "a batch of 2 gives shape"),
        ("classes: int = 2", "classes: int = 3", "3 channels, declared 2"),
        ("return torch.sigmoid(self.layer(image).mean(dim=(2, 3)))", "return {}", "gives dict, not a tensor"),
        (".mean(dim=(2, 3)))", ".mean(dim=(2, 3))).double()", "torch.float64, declared float32"),
        (".mean(dim=(2, 3)))", ".mean(dim=(2, 3))) + 1", "values from 1.5 to 1.5, declared 0 to 1"),
        (".mean(dim=(2, 3)))", ".mean(dim=(2, 3))) / 0", "not finite"),
    ],
)
def test_check_network_finds(old: str, new: str, match: str, toy: Bundle) -> None:
    set_key(
        toy, "configs/inference.json", "network_def", {"_target_": f"{toy.packages[0]}.network.build_network"}
    )
    network = rewrite(toy, old, new)
    with pytest.raises(AssertionError, match=match):
        raise AssertionError("\n".join(check_network(toy, network)))


def test_check_network_feeds_the_declared_range(toy: Bundle) -> None:
    network = rewrite(toy, "self.layer(image)", "(self.layer(image) + 10 * (image.max() > 200).float())")
    set_key(toy, "configs/metadata.json", "network_data_format.outputs.pred.value_range", [0, 0.6])
    assert "declared 0 to 0.6" in next(check_network(toy, network))


@pytest.mark.parametrize(
    ("state", "match"),
    [
        ({"layer.weight": torch.zeros(2, 3, 1, 1)}, "layer.bias is only in network_def"),
        (
            {"layer.weight": torch.zeros(2, 3, 1, 1), "layer.bias": torch.zeros(2), "x": torch.zeros(1)},
            "x is only in the file",
        ),
        (
            {"layer.weight": torch.zeros(2, 4, 1, 1), "layer.bias": torch.zeros(2)},
            r"has shape \(2, 4, 1, 1\)",
        ),
        ({"layer.weight": torch.zeros(2, 3, 1, 1), "layer.bias": torch.full((2,), torch.nan)}, "not finite"),
        ({"model": {"layer.bias": torch.zeros(2)}}, "not a state dict of tensors"),
        (Path("a"), "weights_only=True"),
    ],
)
def test_check_weights_finds(state: Any, match: str, toy: Bundle) -> None:
    write_weights(toy.path, state)
    with pytest.raises(AssertionError, match=match):
        raise AssertionError("\n".join(check_weights(toy, build_network(toy))))


def test_check_export_finds_a_network_that_cannot_be_scripted(toy: Bundle) -> None:
    network = rewrite(toy, "        return torch", "        globals()\n        return torch")
    assert "torch.jit.script fails" in next(check_export(toy, network))


def test_check_export_finds_a_broken_torchscript_file(toy: Bundle) -> None:
    (toy.path / "models/model.ts").write_bytes(b"x")
    assert "torch.jit.load fails" in next(check_export(toy, build_network(toy)))


def test_check_export_finds_a_torchscript_file_of_another_network(toy: Bundle) -> None:
    network = build_network(toy)
    torch.jit.script(network).save(str(toy.path / "models/model.ts"))
    assert list(check_export(toy, network)) == []
    for value in network.parameters():
        value.data += 1
    assert "model.ts answers otherwise: up to " in next(check_export(toy, network))


def test_check_export_finds_a_network_that_is_scripted_into_another(toy: Bundle) -> None:
    old = "        return torch"
    other = "        if torch.jit.is_scripting():\n            return image.mean(dim=(2, 3))[:, :2]\n"
    network = rewrite(toy, old, other + old)
    assert "the scripted network answers otherwise" in next(check_export(toy, network))


def test_check_properties_finds_a_wrong_reference(toy: Bundle) -> None:
    set_key(toy, "configs/inference.json", "evaluator.key_val_metric", "@other_metric")
    set_key(toy, "configs/inference.json", "other_metric", None)
    assert list(check_properties(toy, "inference", {})) == [
        "inference.json: property key_metric is missing or in the wrong place"
    ]


def test_check_properties_finds_a_missing_id(toy: Bundle) -> None:
    content = json.loads((toy.path / "configs/train.json").read_text())
    content["train"]["data"] = content["train"].pop("dataset")
    content["train"]["loader"]["dataset"] = "@train::data"
    write(toy.path / "configs/train.json", content)
    assert "train.json: Property 'train_dataset'" in next(check_properties(toy, "train", {}))


def test_check_properties_finds_an_inline_key_metric(toy: Bundle) -> None:
    metric = {"accuracy": {"_target_": "ignite.metrics.Accuracy"}}
    set_key(toy, "configs/inference.json", "evaluator.key_val_metric", metric)
    assert "startswith" in next(check_properties(toy, "inference", {}))


@pytest.mark.parametrize(
    ("size", "pixels"),
    [(224, 224), ("224", 224), ("16*n", 48), ("2**p", 4), ("32 * 2 ** p", 128), ("2**p*n", 12)],
)
def test_evaluate_size(size: int | str, pixels: int) -> None:
    assert evaluate_size(size, n=3, p=2) == pixels
