"""A classifier taken apart: features before the last linear layer, and that layer's hyperplanes.

Penkin et al. 2023, Algorithm 1: A[Phi, W] with features Phi(patch) in R^M and W in R^(M x C).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ..errors import ClassifierError

_TOLERANCE = 1e-4  # of the largest logit; fp32 sums in another order differ by about 1e-6


@dataclass(frozen=True)
class SplitNetwork:
    """features: (B, 3, e, e) -> (B, M); weight: (M, C), a column is a hyperplane's normal; bias: (C,)."""

    features: nn.Module
    weight: torch.Tensor
    bias: torch.Tensor


class FeatureTap(nn.Module):
    """A network run as it is, answering with what its head was given. Can be traced, not scripted."""

    def __init__(self, network: nn.Module, head: str) -> None:
        super().__init__()
        self.network = network
        self._given = torch.empty(0)
        network.get_submodule(head).register_forward_pre_hook(self._keep)

    def _keep(self, _: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        self._given = given[0]

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(B, 3, e, e) -> (B, M)."""
        self.network(image)
        return self._given


def split_network(network: nn.Module, example: torch.Tensor, head: str | None = None) -> SplitNetwork:
    """Separate features and head of a module in eval mode; changes `network`.

    Whatever follows the head (softmax, a tuple of outputs) is left out: logits are features @ weight + bias.

    Args:
        network: takes (B, 3, e, e).
        example: such a batch.
        head: dotted name of the linear layer, None: the last layer with weights that runs.

    Raises:
        ClassifierError: the network does not run, the head is not there or not linear, or not given (B, M).
    """
    order, given = _watch(network, example)
    if head is None:
        head = _last(order, network)
    layer = _get_linear(network, head)
    features = given.get(head, torch.empty(0))
    if features.ndim != 2:
        raise ClassifierError(
            f"head '{head}': expected a layer that is given one feature vector a patch (B, M), got "
            f"{tuple(features.shape)}: name another head"
        )
    weight = layer.weight.detach().T.clone()
    bias = torch.zeros(weight.shape[1]) if layer.bias is None else layer.bias.detach().clone()
    network.set_submodule(head, nn.Identity())
    if not _yields(network, example, features):
        network.set_submodule(head, layer)
        network = FeatureTap(network, head)
    return SplitNetwork(network, weight, bias)


def _watch(network: nn.Module, example: torch.Tensor) -> tuple[list[str], dict[str, torch.Tensor]]:
    """Layers with weights in the order in which they run, and what the linear ones were given."""
    order: list[str] = []
    given: dict[str, torch.Tensor] = {}

    def keep(name: str, module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        order.append(name)
        if isinstance(module, nn.Linear):
            given[name] = inputs[0]

    handles = [
        module.register_forward_pre_hook(functools.partial(keep, name))
        for name, module in network.named_modules()
        if next(module.parameters(recurse=False), None) is not None
    ]
    try:
        _run(network, example)
    finally:
        for handle in handles:
            handle.remove()
    return order, given


def _last(order: list[str], network: nn.Module) -> str:
    if not order:
        raise ClassifierError(
            f"{type(network).__name__}: expected a last linear layer, got no layer with weights: "
            "choose another network"
        )
    return order[-1]


def _yields(network: nn.Module, example: torch.Tensor, features: torch.Tensor) -> bool:
    """Is the network without its head all that leads to the features? (It can be scripted then.)"""
    try:
        return _same(_run(network, example), features)
    except ClassifierError:
        return False


def split_scripted(
    network: torch.jit.ScriptModule, example: torch.Tensor, head: str | None = None
) -> SplitNetwork:
    """The same for TorchScript, whose layers cannot be hooked: the head becomes the identity.

    A candidate is accepted only if features @ weight + bias then equals what the file itself answered.

    Raises:
        ClassifierError: no linear layer, or none that passes (e.g. a softmax inside the file).
    """
    expected = _run(network, example)
    layers = {name: module for name, module in network.named_modules() if _is_scripted_linear(module)}
    names = list(layers)
    if head is not None and head not in names:
        raise ClassifierError(
            f"head '{head}': expected one of the file's linear layers {names[-3:]}: correct it"
        )
    for name in [head] if head is not None else reversed(names):
        split = _open_scripted(network, layers[name], example, expected)
        if split is not None:
            return split
    raise ClassifierError(
        f"TorchScript file: expected a last linear layer whose output is the answer, got "
        f"{names[-3:] or 'none'} and another answer: export the network without softmax or sigmoid"
    )


def _open_scripted(
    network: nn.Module, layer: Any, example: torch.Tensor, expected: torch.Tensor
) -> SplitNetwork | None:
    """None, with the layer restored, when the answer is not features @ weight + bias."""
    weight, bias = layer.weight.detach().clone(), getattr(layer, "bias", None)
    bias = None if bias is None else bias.detach().clone()
    layer.weight.data = torch.eye(weight.shape[1])
    if bias is not None:
        layer.bias.data = torch.zeros(weight.shape[1])
    given_bias = torch.zeros(weight.shape[0]) if bias is None else bias
    try:
        features = _run(network, example)
        if features.ndim == 2 and _same(features @ weight.T + given_bias, expected):
            return SplitNetwork(network, weight.T.contiguous(), given_bias)
    except (ClassifierError, RuntimeError):
        pass  # another layer followed and no longer fits: not the head
    layer.weight.data = weight
    if bias is not None:
        layer.bias.data = bias
    return None


def _is_scripted_linear(module: nn.Module) -> bool:
    return getattr(module, "original_name", "") == "Linear" and hasattr(module, "weight")


def _get_linear(network: nn.Module, name: str) -> nn.Linear:
    try:
        layer = network.get_submodule(name)
    except AttributeError as error:
        known = [key for key, module in network.named_modules() if isinstance(module, nn.Linear)]
        raise ClassifierError(
            f"head '{name}': expected a layer of the network such as {known[-3:]}: correct it"
        ) from error
    if not isinstance(layer, nn.Linear):
        raise ClassifierError(
            f"expected a linear last layer, got {type(layer).__name__} '{name}': "
            "name the linear layer with `head` in classifier.json, or choose a network that has one"
        )
    return layer


def _same(one: object, other: torch.Tensor) -> bool:
    if not isinstance(one, torch.Tensor) or one.shape != other.shape:
        return False
    return bool((one - other).abs().max() <= _TOLERANCE * other.abs().max())


@torch.no_grad()
def _run(network: nn.Module, example: torch.Tensor) -> torch.Tensor:
    try:
        return network(example)
    except (RuntimeError, ValueError, TypeError, AttributeError, AssertionError, IndexError) as error:
        reason = str(error).strip().splitlines()[-1][:160] if str(error).strip() else type(error).__name__
        raise ClassifierError(
            f"{type(network).__name__}: expected a network for patches {tuple(example.shape)}, got "
            f"'{reason}': correct size_px or the network's arguments"
        ) from error
