"""Networks taken apart: features @ weight + bias is what the network says before any softmax."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from common.errors import ClassifierError
from common.networks.linear_head import FeatureTap, split_network, split_scripted

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")
EXAMPLE = torch.linspace(-1, 1, 2 * 3 * 8 * 8).reshape(2, 3, 8, 8)


def body() -> list[nn.Module]:
    return [nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]


class HeadFirst(nn.Module):
    """Defined before the body, and followed by a softmax inside forward."""

    def __init__(self, bias: bool = True) -> None:
        super().__init__()
        self.answer = nn.Linear(5, 3, bias=bias)
        self.hidden = nn.Sequential(*body(), nn.Linear(4, 5))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.logits(image).softmax(1)

    def logits(self, image: torch.Tensor) -> torch.Tensor:
        return self.answer(self.hidden(image))


class Tokens(nn.Module):
    """A head on every token."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, 2)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.head(image.flatten(2).transpose(1, 2)).mean(1)


@torch.no_grad()
def logits_of(split, image=EXAMPLE):
    return split.features(image) @ split.weight + split.bias


def test_head_at_the_end_is_replaced_so_that_the_rest_can_be_scripted():
    network = nn.Sequential(*body(), nn.Dropout(), nn.Linear(4, 3)).eval()
    expected = network(EXAMPLE).detach()
    split = split_network(network, EXAMPLE)
    assert split.weight.shape == (4, 3)
    torch.testing.assert_close(logits_of(split), expected)
    torch.testing.assert_close(torch.jit.script(split.features)(EXAMPLE), split.features(EXAMPLE))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("head", [None, "answer"])
def test_logits_are_those_before_the_softmax(bias, head):
    network = HeadFirst(bias).eval()
    expected = network.logits(EXAMPLE).detach()
    split = split_network(network, EXAMPLE, head)
    assert isinstance(split.features, FeatureTap)
    torch.testing.assert_close(logits_of(split), expected)
    traced = torch.jit.trace(split.features, EXAMPLE)
    torch.testing.assert_close(traced(EXAMPLE * 2), split.features(EXAMPLE * 2))


@pytest.mark.parametrize(
    ("network", "head", "message"),
    [
        (
            nn.Sequential(*body()[:3], nn.Conv2d(4, 2, 1)),
            None,
            "expected a linear last layer, got Conv2d '3'",
        ),
        (nn.Sequential(*body(), nn.Linear(4, 2), nn.BatchNorm1d(2)), None, "got BatchNorm1d '5'"),
        (nn.Sequential(*body(), nn.Linear(4, 2)), "0", "expected a linear last layer, got Conv2d '0'"),
        (nn.Sequential(*body(), nn.Linear(4, 2)), "fc", r"head 'fc': expected a layer .* such as \['4'\]"),
        (nn.Flatten(), None, "Flatten: expected a last linear layer, got no layer with weights"),
        (
            nn.Sequential(*body(), nn.Linear(9, 2)),
            None,
            "expected a network for patches .* cannot be multiplied",
        ),
        (Tokens(), None, r"given one feature vector a patch \(B, M\), got \(2, 64, 3\)"),
    ],
)
def test_networks_without_a_linear_head_are_refused(network, head, message):
    with pytest.raises(ClassifierError, match=message):
        split_network(network.eval(), EXAMPLE, head)


@pytest.mark.parametrize("export", [torch.jit.script, lambda network: torch.jit.trace(network, EXAMPLE)])
@pytest.mark.parametrize("bias", [True, False])
def test_torchscript_gives_features(tmp_path, export, bias):
    network = nn.Sequential(*body(), nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3, bias=bias)).eval()
    export(network).save(str(tmp_path / "a.ts"))
    split = split_scripted(torch.jit.load(str(tmp_path / "a.ts")), EXAMPLE)
    assert split.weight.shape == (5, 3)
    torch.testing.assert_close(logits_of(split, EXAMPLE * 2), network(EXAMPLE * 2).detach())
    torch.testing.assert_close(split.features(EXAMPLE * 2), network[:-1](EXAMPLE * 2).detach())


def test_torchscript_head_by_name():
    network = nn.Sequential(*body(), nn.Linear(4, 3)).eval()
    expected = network(EXAMPLE).detach()
    split = split_scripted(torch.jit.script(network), EXAMPLE, "4")
    torch.testing.assert_close(logits_of(split), expected)


@pytest.mark.parametrize(
    ("network", "head", "message"),
    [
        (HeadFirst(), None, "expected a last linear layer whose output is the answer, got .*without softmax"),
        (nn.Sequential(*body()), None, "whose output is the answer, got none"),
        (nn.Sequential(*body(), nn.Linear(4, 3)), "0", "head '0': expected one of the file's linear layers"),
    ],
)
def test_torchscript_with_another_answer_is_refused(network, head, message):
    with pytest.raises(ClassifierError, match=message):
        split_scripted(torch.jit.trace(network.eval(), EXAMPLE), EXAMPLE, head)
