"""`classifier.json`: what is read, and every way in which it can be wrong."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from common.errors import ClassifierError
from scale_selector.classifier import load_classifier_spec

BUNDLE = Path(__file__).resolve().parents[2] / "bundles" / "wsi_scale_selector"


def write(folder: Path, **changes: Any) -> Path:
    """A good file with changes; None as a change of a required key removes it."""
    row = {
        "name": "toy",
        "version": "1",
        "purpose": "research",
        "network": {"source": "torchvision", "name": "resnet18", "args": {"num_classes": 2}},
        "weights": {"file": "toy.pt", "sha256": None},
        "labels": [{"value": 0, "name": "a"}, {"value": 1, "name": "b", "color": [1, 2, 3]}],
        "input": {"size_px": 64, "scale": 0.5, "mean": [1, 2, 3], "std": [4, 5, 6]},
    } | changes
    path = folder / "classifier.json"
    path.write_text(json.dumps({key: value for key, value in row.items() if value is not None}))
    return path


def test_everything_is_read(tmp_path):
    spec = load_classifier_spec(write(tmp_path, training_mpp=0.5, outputs=[4, 2], head="fc"))
    assert (spec.source, spec.architecture, spec.arguments) == ("torchvision", "resnet18", {"num_classes": 2})
    assert (spec.size_px, spec.scale, spec.mean, spec.std) == (64, 0.5, (1.0, 2.0, 3.0), (4.0, 5.0, 6.0))
    assert (spec.training_mpp, spec.outputs, spec.head, spec.reference) == (0.5, (4, 2), "fc", None)
    assert spec.label_names == ("a", "b")
    assert spec.labels[1].color == (1, 2, 3)
    assert spec.weights_path == tmp_path / "toy.pt"


def test_description_hashes_the_file_that_is_there(tmp_path):
    spec = load_classifier_spec(write(tmp_path))
    spec.weights_path.write_bytes(b"weights")
    described = spec.describe()
    assert described["sha256"] == hashlib.sha256(b"weights").hexdigest()
    assert described["labels"] == ["a", "b"]
    assert (described["name"], described["purpose"], described["training_mpp"]) == ("toy", "research", None)


def test_labels_may_be_a_file_beside(tmp_path):
    (tmp_path / "labels.json").write_text(json.dumps([{"value": 0, "name": "x"}, {"value": 1, "name": "y"}]))
    assert load_classifier_spec(write(tmp_path, labels="labels.json")).label_names == ("x", "y")


def test_the_bundles_own_classifier():
    spec = load_classifier_spec(BUNDLE / "models" / "classifier.json")
    channels = json.loads((BUNDLE / "configs" / "metadata.json").read_text())["network_data_format"]
    names = channels["outputs"]["pred"]["channel_def"]
    assert {str(label.value): label.name for label in spec.labels} == names
    assert len({label.color for label in spec.labels}) == 9
    assert spec.training_mpp == 0.5
    quantiles = spec.reference["margin_quantiles"]
    assert quantiles["0.05"] < quantiles["0.25"] < quantiles["0.5"]


def test_missing_weights_say_how_to_get_them(tmp_path):
    with pytest.raises(
        ClassifierError, match=r"expected weights in toy.pt, got 'No such file.*tools/weights.py get"
    ):
        _ = load_classifier_spec(write(tmp_path)).weights_sha256


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labells": []}, "expected known keys, got 'labells': did you mean 'labels'"),
        ({"version": None}, "got no version"),
        ({"network": "resnet"}, "network: expected an object, got 'resnet'"),
        ({"network": {"source": "hub"}}, "network.source: expected one of monai, torchvision.*got 'hub'"),
        ({"purpose": "fun"}, "purpose: expected one of research, demonstration, clinical, got 'fun'"),
        ({"training_mpp": -1}, "training_mpp: expected a number above 0, got -1"),
        ({"input": {"size_px": True}}, "input.size_px: expected a number above 0, got True"),
        ({"input": {"size_px": 8, "mean": [0, 0]}}, r"input.mean: expected three numbers.*got \[0, 0\]"),
        ({"input": {"size_px": 8, "std": [0, 1, 1]}}, "input.std: expected a number above 0, got 0.0"),
        ({"outputs": [0, 0]}, r"outputs: expected 2 different indices, one a label, got \[0, 0\]"),
        ({"outputs": [0, 1, 2]}, "outputs: expected 2 different indices"),
        ({"labels": [{"value": 0, "name": "a"}]}, "labels: expected a list of at least two labels"),
        ({"labels": [{"value": 0, "name": "a"}, {"value": 2, "name": "b"}]}, "expected value 1 and a name"),
        (
            {"labels": [{"value": 0, "name": "a"}, {"value": 1, "name": "a"}]},
            "labels: expected different names",
        ),
        (
            {"labels": [{"value": 0, "name": "a"}, {"value": 1, "name": "b", "color": [0, 0, 300]}]},
            "expected a colour .* for b",
        ),
        ({"reference": ["0.25"]}, "reference: expected an object whose margin_quantiles are finite numbers"),
        ({"reference": {"margin_quantiles": {"0.25": float("nan")}}}, "reference: expected an object .* nan"),
        ({"labels": "none.json"}, "none.json: expected a readable JSON file, got 'No such file"),
    ],
)
def test_refusals(tmp_path, changes, message):
    with pytest.raises(ClassifierError, match=message):
        load_classifier_spec(write(tmp_path, **changes))


@pytest.mark.parametrize(("text", "message"), [("{", "expected a readable JSON file"), ("[]", "got list")])
def test_not_a_json_object(tmp_path, text, message):
    path = tmp_path / "classifier.json"
    path.write_text(text)
    with pytest.raises(ClassifierError, match=message):
        load_classifier_spec(path)
