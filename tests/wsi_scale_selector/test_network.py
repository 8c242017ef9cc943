"""The patch classifier from every source, and its refusals."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import monai.networks.nets
import numpy as np
import pytest
import timm
import torch
import torchvision
from torch import nn

from common.errors import ClassifierError
from scale_selector.classifier import load_classifier_spec
from scale_selector.convert import import_weights
from scale_selector.network import PatchClassifier, build_network

BUNDLE = Path(__file__).resolve().parents[2] / "bundles" / "wsi_scale_selector"
MONAI_ARGUMENTS = {
    "spatial_dims": 2,
    "in_channels": 3,
    "out_channels": 3,
    "init_features": 4,
    "growth_rate": 4,
}
MONAI_ARGUMENTS |= {"block_config": [2, 2]}
NETWORK = {"source": "torchvision", "name": "shufflenet_v2_x0_5", "args": {"num_classes": 3}}
MODULE = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.head = nn.Linear(4, classes)
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())

    def forward(self, image):
        return torch.sigmoid(self.head(self.body(image)))
"""
SCALE, MEAN, STD = 1 / 255, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)


def describe(folder: Path, network: dict[str, Any], classes: int = 3, **changes: Any) -> Path:
    row = {
        "name": "toy",
        "version": "1",
        "purpose": "research",
        "network": network,
        "weights": {"file": "toy.pt"},
        "labels": [{"value": i, "name": f"class {i}"} for i in range(classes)],
        "input": {"size_px": 32, "scale": SCALE, "mean": list(MEAN), "std": list(STD)},
    } | changes
    path = folder / "classifier.json"
    path.write_text(json.dumps(row))
    return path


def pixels(size_px: int = 32) -> torch.Tensor:
    return torch.rand(2, 3, size_px, size_px, generator=torch.Generator().manual_seed(1)) * 255


def normalised(image: torch.Tensor) -> torch.Tensor:
    mean, std = (torch.tensor(values).reshape(1, 3, 1, 1) for values in (MEAN, STD))
    return (image / 255 - mean) / std


@torch.no_grad()
def check_same(network: PatchClassifier, expected: nn.Module) -> None:
    logits = expected.eval()(normalised(pixels()))
    torch.testing.assert_close(network(pixels()), logits, atol=1e-4, rtol=1e-4)
    features = network.features(pixels())
    assert features.shape == (2, network.weight.shape[0])
    torch.testing.assert_close(features @ network.weight + network.bias, logits, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(network.feature_network()(pixels()), features)


@pytest.mark.parametrize(
    ("network", "build"),
    [
        (NETWORK, lambda: torchvision.models.shufflenet_v2_x0_5(num_classes=3)),
        (
            {"source": "monai", "name": "DenseNet", "args": MONAI_ARGUMENTS},
            lambda: monai.networks.nets.DenseNet(**MONAI_ARGUMENTS),
        ),
        (
            {"source": "timm", "name": "resnet10t", "args": {"num_classes": 3}},
            lambda: timm.create_model("resnet10t", num_classes=3),
        ),
    ],
    ids=["torchvision", "monai", "timm"],
)
def test_named_architectures(tmp_path, network, build):
    torch.manual_seed(0)
    trained = build()
    torch.save({"state_dict": trained.state_dict()}, tmp_path / "toy.pt")
    check_same(build_network(describe(tmp_path, network)), trained)


def test_module_with_a_sigmoid_still_gives_logits(tmp_path, monkeypatch):
    (tmp_path / "foreign_net.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    path = describe(tmp_path, {"source": "module", "name": "foreign_net:Net", "args": {"classes": 3}})
    network = build_network(path, pretrained=False)
    import foreign_net

    trained = foreign_net.Net(3).eval()
    torch.save(trained.state_dict(), tmp_path / "toy.pt")
    network = build_network(path)
    check_same(network, nn.Sequential(trained.body, trained.head))


@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")
def test_torchscript(tmp_path):
    trained = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)).eval()
    torch.jit.script(trained).save(str(tmp_path / "toy.pt"))
    check_same(build_network(describe(tmp_path, {"source": "torchscript"}), pretrained=False), trained)


def test_chosen_outputs_are_columns_of_the_head(tmp_path):
    torch.manual_seed(0)
    trained = torchvision.models.shufflenet_v2_x0_5(num_classes=5).eval()
    torch.save(trained.state_dict(), tmp_path / "toy.pt")
    network = build_network(
        describe(tmp_path, NETWORK | {"args": {"num_classes": 5}}, classes=2, outputs=[4, 1])
    )
    assert network.weight.shape == (1024, 2)
    with torch.no_grad():
        expected = trained(normalised(pixels()))[:, [4, 1]]
        torch.testing.assert_close(network(pixels()), expected, atol=1e-4, rtol=1e-4)


def test_own_state_dict_comes_back(tmp_path):
    path = describe(tmp_path, NETWORK | {"args": {"num_classes": 5}}, classes=2, outputs=[4, 1])
    network = build_network(path, pretrained=False)
    torch.save(network.state_dict(), tmp_path / "toy.pt")
    torch.testing.assert_close(build_network(path).state_dict(), network.state_dict())


@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")
def test_default_network_can_be_scripted_and_takes_bytes():
    """MONAI's ckpt_export scripts; the normalisation must be inside the file."""
    network = build_network(BUNDLE / "models" / "classifier.json", pretrained=False)
    assert network(torch.rand(1, 3, 224, 224)).shape == (1, 9)
    scripted = torch.jit.script(network)
    image = pixels(64)
    torch.testing.assert_close(scripted(image), network(image))


def test_import_keeps_what_is_described_and_gives_the_same_bytes(tmp_path):
    trained = torchvision.models.shufflenet_v2_x0_5(num_classes=5).eval()
    torch.save(trained.state_dict(), tmp_path / "source.pt")
    path = describe(tmp_path, NETWORK | {"args": {"num_classes": 5}}, classes=2, outputs=[4, 1])
    for name in ("toy.pt", "again.pt"):
        import_weights(tmp_path / "source.pt", path, tmp_path / name)
    assert (tmp_path / "toy.pt").read_bytes() == (tmp_path / "again.pt").read_bytes()
    with torch.no_grad():
        expected = trained(normalised(pixels()))[:, [4, 1]]
        torch.testing.assert_close(build_network(path)(pixels()), expected, atol=1e-4, rtol=1e-4)


def test_another_file_is_refused(tmp_path):
    (tmp_path / "toy.pt").write_bytes(b"one")
    digest = hashlib.sha256(b"other").hexdigest()
    path = describe(tmp_path, NETWORK, weights={"file": "toy.pt", "sha256": digest})
    with pytest.raises(ClassifierError, match=f"toy.pt: expected sha256 {digest[:12]}..., got "):
        build_network(path)


def test_missing_weights_are_refused(tmp_path):
    with pytest.raises(ClassifierError, match="expected weights in toy.pt, got 'No such file"):
        build_network(describe(tmp_path, NETWORK))


@pytest.mark.parametrize(
    ("network", "changes", "message"),
    [
        (NETWORK, {"classes": 4}, r"expected one class a label \(4 labels\), got 3 classes"),
        (NETWORK, {"outputs": [0, 1, 7]}, "outputs: expected indices below 3, the width of the head, got 7"),
        (NETWORK | {"name": "resnet7"}, {}, "network torchvision 'resnet7': expected a known name"),
        (NETWORK | {"args": {"klasses": 3}}, {}, "fitting args, got .*klasses"),
        (NETWORK | {"name": "squeezenet1_1"}, {}, "expected a linear last layer, got Conv2d 'classifier.1'"),
        ({"source": "monai", "name": "NoNet"}, {}, "network monai 'NoNet'"),
        ({"source": "module", "name": "no_such_package.Net"}, {}, "No module named 'no_such_package'"),
    ],
)
def test_descriptions_that_fit_no_network_are_refused(tmp_path, network, changes, message):
    with pytest.raises(ClassifierError, match=message):
        build_network(describe(tmp_path, network, **changes), pretrained=False)


def test_own_state_dict_with_other_classes_is_refused(tmp_path):
    network = build_network(describe(tmp_path, NETWORK), pretrained=False)
    torch.save(network.state_dict(), tmp_path / "toy.pt")
    path = describe(tmp_path, NETWORK | {"args": {"num_classes": 4}}, classes=4)
    with pytest.raises(ClassifierError, match=r"expected one class a label \(4 labels\), got 3 classes"):
        build_network(path)


@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")
def test_a_state_dict_is_no_torchscript_file(tmp_path):
    torch.save({"weight": torch.zeros(1)}, tmp_path / "toy.pt")
    with pytest.raises(ClassifierError, match="toy.pt: expected a TorchScript file, got"):
        build_network(describe(tmp_path, {"source": "torchscript"}))


@pytest.mark.weights("capricorn-densenet121")
def test_the_real_weights_say_what_keras_says():
    """Golden logits were made by Keras itself from the original file; nine of 24 outputs are kept."""
    spec = load_classifier_spec(BUNDLE / "models" / "classifier.json")
    if not spec.weights_path.is_file():
        pytest.skip("models/model.pt is not here: python3 tools/weights.py get --bundle wsi_scale_selector")
    golden = Path(__file__).parents[1] / "common" / "networks" / "golden" / "capricorn_logits.json"
    y, x, c = np.meshgrid(np.arange(224), np.arange(224), np.arange(3), indexing="ij")
    patches = [(x * (3 + k) + y * (5 + 2 * k) + c * (40 + k) + x * y // (7 + k)) % 256 for k in range(3)]
    with torch.no_grad():
        logits = build_network(spec)(torch.from_numpy(np.stack(patches)).permute(0, 3, 1, 2).float())
    expected = np.array(json.loads(golden.read_text())["logits"])[:, :9]
    np.testing.assert_allclose(logits, expected, atol=2e-3)  # of 55
