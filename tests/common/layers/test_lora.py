"""LoRA against a loop over heads and rows, on both encoders."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from toy_backbones import TOY_TINY, TOY_VIT, TOYS, build_toy, random_images

from common.errors import ConfigError
from common.layers.lora import LoraLinear, add_lora, merge_lora
from common.networks.sam_vit import VitEncoder, VitSizes
from common.networks.tiny_vit import TinyVitEncoder

KINDS = sorted(TOYS)
ALL = ("q", "k", "v", "mlp")


def set_b(module: nn.Module, scale: float = 0.1) -> None:
    """Give every B other numbers than zero."""
    generator = torch.Generator().manual_seed(1)
    for name, value in module.named_parameters():
        if name.endswith("lora_b"):
            value.data = scale * torch.randn(value.shape, generator=generator)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_nothing_changes_at_first(kind: str) -> None:
    encoder, image = build_toy(kind).image_encoder, random_images(1, TOYS[kind][1])
    with torch.no_grad():
        before = encoder(image)
        assert torch.equal(add_lora(encoder, targets=ALL)(image), before)
        set_b(encoder)
        assert not torch.allclose(encoder(image), before, atol=1e-3)


def test_merged_equals_unmerged_and_is_plain(kind: str) -> None:
    encoder, image = build_toy(kind).image_encoder, random_images(2, TOYS[kind][1])
    names = set(encoder.state_dict())
    set_b(add_lora(encoder, targets=ALL))
    assert {name for name in encoder.state_dict() if "lora" not in name} == names
    with torch.no_grad():
        unmerged = encoder(image)
        merged = merge_lora(copy.deepcopy(encoder))
        torch.testing.assert_close(merged(image), unmerged, rtol=0, atol=1e-5)
    assert set(merged.state_dict()) == names
    assert not any(isinstance(module, LoraLinear) for module in merged.modules())


def test_gradient_reaches_lora_only(kind: str) -> None:
    encoder = add_lora(build_toy(kind).image_encoder, targets=ALL).train()
    encoder(random_images(1, TOYS[kind][1])).square().mean().backward()
    for name, value in encoder.named_parameters():
        assert value.requires_grad == ("lora" in name)
        assert (value.grad is not None and bool(value.grad.any())) == name.endswith("lora_b")


@pytest.mark.parametrize("targets", [("q", "v"), ("k",), ("v", "q", "k")])
def test_vit_rows_are_q_then_k_then_v(targets: tuple[str, ...]) -> None:
    layer = nn.Linear(6, 3 * 8)
    lora = LoraLinear(layer, 2, ["qkv".index(target) for target in targets], (1, 3))
    set_b(lora)
    x = torch.randn(5, 6)
    expected = layer(x).detach().clone()
    for index, target in enumerate(targets):
        first = 8 * "qkv".index(target)
        expected[:, first : first + 8] += (x @ lora.lora_a[index].T @ lora.lora_b[index].T).detach()
    torch.testing.assert_close(lora(x), expected)


def test_tiny_vit_rows_are_q_k_v_of_each_head() -> None:
    heads, width = 3, 4
    layer = nn.Linear(6, heads * 3 * width)
    lora = LoraLinear(layer, 2, (0, 2), (heads, 3))
    set_b(lora)
    x = torch.randn(5, 6)
    expected = layer(x).detach().clone()
    for index, part in enumerate((0, 2)):
        added = (x @ lora.lora_a[index].T @ lora.lora_b[index].T).detach()
        for head in range(heads):
            for row in range(width):
                expected[:, (head * 3 + part) * width + row] += added[:, head * width + row]
    torch.testing.assert_close(lora(x), expected)


def test_only_the_named_part_of_the_attention_changes() -> None:
    """With q = k = 0 every token weighs the same whatever q does: LoRA on q must then change nothing."""
    encoder = build_toy("tiny").image_encoder
    assert isinstance(encoder, TinyVitEncoder)
    attention = encoder.stages[1].blocks[0].attn
    with torch.no_grad():
        rows = attention.qkv.weight.view(2, 3, 8, -1), attention.qkv.bias.view(2, 3, 8)
        for part in rows:
            part[:, 1] = 0  # k
        attention.attention_biases.zero_()
        tokens = torch.randn(1, 49, 16)
        before = attention(tokens)
        set_b(add_lora(attention, targets=("q",)))
        torch.testing.assert_close(attention(tokens), before)
        merge_lora(attention)
        set_b(add_lora(attention, targets=("v",)))
        assert not torch.allclose(attention(tokens), before, atol=1e-3)


@pytest.mark.parametrize(("targets", "expected"), [(("q", "v"), 147_456), (("q", "v", "mlp"), 516_096)])
def test_parameters_of_a_vit_b(targets: tuple[str, ...], expected: int) -> None:
    with torch.device("meta"):
        encoder = VitEncoder(VitSizes(TOY_VIT.pixels), 512)
        add_lora(encoder, 4, targets)
    trained = [value.numel() for value in encoder.parameters() if value.requires_grad]
    assert sum(trained) == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rank": 0}, "LoRA rank: expected at least 1, got 0: leave LoRA out for none"),
        ({"targets": ("q", "w")}, r"LoRA targets: expected some of q, k, v, mlp, got \['q', 'w'\]: correct"),
        ({"targets": ()}, r"LoRA targets: expected some of q, k, v, mlp, got \[\]: correct the setting"),
    ],
)
def test_refusals(change: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        add_lora(TinyVitEncoder(TOY_TINY, 64), **change)


def test_refused_twice_and_where_nothing_fits() -> None:
    encoder = add_lora(TinyVitEncoder(TOY_TINY, 64))
    with pytest.raises(ConfigError, match="expected a plain encoder, got one that has LoRA already: merge"):
        add_lora(encoder)
    with pytest.raises(ConfigError, match="expected attention blocks of .*, got Linear without any: give"):
        add_lora(nn.Linear(2, 2))
