"""What a trained classifier takes with it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from toy_training import write_classifier

from common.errors import ClassifierError
from scale_selector.classifier import ClassifierSpec, load_classifier_spec
from scale_selector.export import MarginCollector, adapt_head, hyperplane_margins, unwrap, with_class_count
from scale_selector.network import PatchClassifier, build_network
from scale_selector.train import HeadOnly


def spec_of(folder: Path, **network: Any) -> ClassifierSpec:
    return load_classifier_spec(write_classifier(folder, network=network))


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        ({"source": "torchvision", "name": "densenet121", "args": {"num_classes": 24}}, {"num_classes": 2}),
        ({"source": "timm", "name": "resnet18"}, {"num_classes": 2}),
        ({"source": "keras_densenet121"}, {"num_classes": 2}),
        (
            {"source": "monai", "name": "DenseNet121", "args": {"in_channels": 3}},
            {"in_channels": 3, "out_channels": 2},
        ),
        ({"source": "monai", "name": "resnet18"}, {"num_classes": 2}),
        ({"source": "module", "name": "a.B", "args": {"classes": 7}}, {"classes": 2}),
    ],
)
def test_number_of_classes(tmp_path: Path, network: dict[str, Any], expected: dict[str, Any]) -> None:
    spec = with_class_count(spec_of(tmp_path, **network))
    assert spec.arguments == expected and spec.outputs is None


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ({"source": "torchscript"}, "got a TorchScript file"),
        (
            {"source": "module", "name": "a.B", "args": {"width": 3}},
            "expected an argument num_classes.*got width",
        ),
        ({"source": "monai", "name": "NoSuchNet"}, "expected an argument num_classes.*got none"),
    ],
)
def test_number_of_classes_unknown(tmp_path: Path, network: dict[str, Any], message: str) -> None:
    with pytest.raises(ClassifierError, match=message):
        with_class_count(spec_of(tmp_path, **network))


def test_a_new_head_keeps_the_features(tmp_path: Path) -> None:
    old = load_classifier_spec(write_classifier(tmp_path))
    network = build_network(old, pretrained=False)
    assert adapt_head(network, old, old) is network
    renamed = tuple(replace(label, name=f"new {label.name}") for label in old.labels)
    adapted = adapt_head(network, old, with_class_count(replace(old, labels=renamed)))
    image = torch.rand(2, 3, 16, 16) * 255
    assert torch.equal(adapted.features(image), network.features(image))
    assert not torch.equal(adapted.weight, network.weight)


def test_margins_by_hand() -> None:
    """w_1 = (3, 4), w_2 = (0, 2), Phi = (1, 2): distances 11/5 and 2."""
    weight, bias, features = (
        torch.tensor([[3.0, 0], [4, 2]]),
        torch.tensor([100.0, -7]),
        torch.tensor([[1.0, 2]]),
    )
    assert hyperplane_margins(features @ weight + bias, weight, bias).tolist() == pytest.approx([2.2])


def test_quantiles_by_hand() -> None:
    collector = MarginCollector(PatchClassifier(nn.Identity(), torch.eye(2), torch.zeros(2)))
    collector.margins = torch.arange(0.0, 101.0)
    assert collector.quantiles() == {"0.05": 5.0, "0.25": 25.0, "0.5": 50.0, "0.95": 95.0}


def test_unwrap() -> None:
    inner = PatchClassifier(nn.Identity(), torch.eye(2), torch.zeros(2))
    assert unwrap(inner) is unwrap(HeadOnly(inner)) is inner
