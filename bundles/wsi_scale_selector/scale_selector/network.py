"""The patch classifier A[Phi, W] of the paper, whatever library it was trained with."""

import importlib
from pathlib import Path
from typing import Any

import monai.networks.nets
import torch
import torchvision
from torch import nn

from common.errors import ClassifierError
from common.networks.keras_densenet import is_keras_file, read_keras_densenet121
from common.networks.linear_head import SplitNetwork, split_network, split_scripted
from common.networks.state_dict import State, check_finite, load_state, read_state

from .classifier import ClassifierSpec, load_classifier_spec


class PatchClassifier(nn.Module):
    """Raw RGB in, logits out: normalisation, features Phi and hyperplanes W, b in one module.

    Args:
        backbone: normalised (B, 3, e, e) -> (B, M).
        weight: (M, C), column c is the normal w_c of the hyperplane of class c.
        bias: (C,).
        scale, mean, std: the backbone sees (RGB 0..255 * scale - mean) / std.
    """

    # TorchScript reads these: real types, so this file has no `from __future__ import annotations`
    image_scale: torch.Tensor
    image_mean: torch.Tensor
    image_std: torch.Tensor

    def __init__(
        self,
        backbone: nn.Module,
        weight: torch.Tensor,
        bias: torch.Tensor,
        scale: float = 1 / 255,
        mean: tuple[float, ...] = (0.0, 0.0, 0.0),
        std: tuple[float, ...] = (1.0, 1.0, 1.0),
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(bias)
        # stated by classifier.json, so they are no part of the weights
        self.register_buffer("image_scale", torch.tensor(scale), persistent=False)
        self.register_buffer("image_mean", torch.tensor(mean).reshape(1, 3, 1, 1), persistent=False)
        self.register_buffer("image_std", torch.tensor(std).reshape(1, 3, 1, 1), persistent=False)

    def features(self, image: torch.Tensor) -> torch.Tensor:
        """Phi: (B, 3, e, e) RGB 0..255 -> (B, M)."""
        return self.backbone((image * self.image_scale - self.image_mean) / self.image_std)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(B, 3, e, e) RGB 0..255 -> logits (B, C) = Phi W + b."""
        return self.features(image) @ self.weight + self.bias

    def feature_network(self) -> "FeatureNetwork":
        """This network with `features` as its forward, for an engine; shares the weights."""
        return FeatureNetwork(self)


class FeatureNetwork(nn.Module):
    """`PatchClassifier.features` as a module of its own."""

    def __init__(self, classifier: PatchClassifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(B, 3, e, e) RGB 0..255 -> (B, M)."""
        return self.classifier.features(image)


def build_network(classifier: str | Path | ClassifierSpec, pretrained: bool = True) -> PatchClassifier:
    """The classifier that `classifier.json` describes, in eval mode, on the CPU.

    Args:
        classifier: the file, or what was read from it.
        pretrained: load the weights; False leaves the architecture's own initialisation (but a TorchScript
            file is always read, it is the network).

    Raises:
        ClassifierError: weights missing, damaged, of another network, not finite, or another class count.
    """
    spec = classifier if isinstance(classifier, ClassifierSpec) else load_classifier_spec(classifier)
    if pretrained or spec.source == "torchscript":
        _check_hash(spec)
    if spec.source == "torchscript":
        return _assemble(spec, _read_scripted(spec))
    state = _read_weights(spec) if pretrained else None
    network = _build_architecture(spec, state).eval()
    whole = state is not None and _is_whole(state)
    if state is not None and not whole:
        load_state(network, state, spec.weights_path.name)
    patch_classifier = _assemble(spec, split_network(network, _example(spec), spec.head))
    if state is not None and whole:
        _check_count(spec, state["weight"].shape[1])
        load_state(patch_classifier, state, spec.weights_path.name)
    return patch_classifier


def _assemble(spec: ClassifierSpec, split: SplitNetwork) -> PatchClassifier:
    weight, bias, count = split.weight, split.bias, split.weight.shape[1]
    if spec.outputs is not None:
        if max(spec.outputs) >= count:
            raise ClassifierError(
                f"outputs: expected indices below {count}, the width of the head, got {max(spec.outputs)}: "
                "correct them"
            )
        weight, bias = weight[:, list(spec.outputs)], bias[list(spec.outputs)]
    _check_count(spec, weight.shape[1])
    check_finite({"weight": weight, "bias": bias}, spec.weights_path.name)
    return PatchClassifier(split.features, weight.contiguous(), bias, spec.scale, spec.mean, spec.std).eval()


def _check_count(spec: ClassifierSpec, count: int) -> None:
    if count != len(spec.labels):
        raise ClassifierError(
            f"{spec.name}: expected one class a label ({len(spec.labels)} labels), got {count} classes in "
            "the network: correct the labels, or select outputs"
        )


def _check_hash(spec: ClassifierSpec) -> None:
    found = spec.weights_sha256
    if spec.expected_sha256 is not None and found != spec.expected_sha256.lower():
        raise ClassifierError(
            f"{spec.weights_path.name}: expected sha256 {spec.expected_sha256[:12]}..., got {found[:12]}...: "
            "get the file again, or correct weights.sha256 in classifier.json"
        )


def _example(spec: ClassifierSpec) -> torch.Tensor:
    """A noise patch as the backbone sees them, the same on every call."""
    pixels = torch.rand(1, 3, spec.size_px, spec.size_px, generator=torch.Generator().manual_seed(0)) * 255
    mean, std = (torch.tensor(values).reshape(1, 3, 1, 1) for values in (spec.mean, spec.std))
    return (pixels * spec.scale - mean) / std


def _is_whole(state: State) -> bool:
    """Is it a PatchClassifier's own state dict, or that of the network that it was made from?"""
    return {"weight", "bias"} < state.keys() and any(key.startswith("backbone.") for key in state)


def _read_scripted(spec: ClassifierSpec) -> SplitNetwork:
    try:
        network = torch.jit.load(str(spec.weights_path), map_location="cpu").eval()
    except RuntimeError as error:
        raise ClassifierError(
            f"{spec.weights_path.name}: expected a TorchScript file, got '{str(error)[:120]}': "
            "export it with torch.jit.save"
        ) from error
    check_finite(network.state_dict(), spec.weights_path.name)
    return split_scripted(network, _example(spec), spec.head)


def _read_weights(spec: ClassifierSpec) -> State:
    if not is_keras_file(spec.weights_path):
        return read_state(spec.weights_path)
    keras = read_keras_densenet121(spec.weights_path)
    keras.check_input(spec.scale, spec.mean, spec.std)
    return keras.state


def _build_architecture(spec: ClassifierSpec, state: State | None) -> nn.Module:
    try:
        return _BUILDERS[spec.source](spec, state)
    except (ImportError, AttributeError, ValueError, TypeError, RuntimeError, KeyError) as error:
        reason = str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__
        raise ClassifierError(
            f"network {spec.source} '{spec.architecture}': expected a known name and fitting args, "
            f"got '{reason}': correct network in classifier.json"
        ) from error


def _build_torchvision(spec: ClassifierSpec, _: State | None) -> nn.Module:
    return torchvision.models.get_model(spec.architecture, weights=None, **spec.arguments)


def _build_monai(spec: ClassifierSpec, _: State | None) -> nn.Module:
    return getattr(monai.networks.nets, spec.architecture)(**spec.arguments)


def _build_timm(spec: ClassifierSpec, _: State | None) -> nn.Module:
    import timm  # takes seconds, and only these classifiers need it

    return timm.create_model(spec.architecture, pretrained=False, **spec.arguments)


def _build_module(spec: ClassifierSpec, _: State | None) -> nn.Module:
    """`package.module.Class` or `package.module:Class`."""
    module, _separator, attribute = spec.architecture.replace(":", ".").rpartition(".")
    return getattr(importlib.import_module(module), attribute)(**spec.arguments)


def _build_keras_densenet121(spec: ClassifierSpec, state: State | None) -> nn.Module:
    """The head is as wide as the file says, else as `args` says, else as wide as the labels need."""
    needed = len(spec.labels) if spec.outputs is None else max(spec.outputs) + 1
    arguments: dict[str, Any] = {"num_classes": needed} | spec.arguments
    if state is not None and "classifier.weight" in state:
        arguments["num_classes"] = state["classifier.weight"].shape[0]
    return torchvision.models.densenet121(weights=None, **arguments)


_BUILDERS = {
    "torchvision": _build_torchvision,
    "monai": _build_monai,
    "timm": _build_timm,
    "module": _build_module,
    "keras_densenet121": _build_keras_densenet121,
}
