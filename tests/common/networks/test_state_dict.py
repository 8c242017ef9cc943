"""State dicts: unwrapped, checked, loaded."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from common.errors import ClassifierError
from common.networks.state_dict import load_state, read_state


@pytest.fixture
def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))


@pytest.mark.parametrize("wrap", ["state_dict", "model", None])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.module."])
def test_wrappers_and_prefixes_are_cut_off(tmp_path, network, wrap, prefix):
    state = {prefix + key: value for key, value in network.state_dict().items()}
    torch.save({wrap: state, "epoch": 3} if wrap else state, tmp_path / "a.pt")
    assert read_state(tmp_path / "a.pt").keys() == network.state_dict().keys()


def test_safetensors(tmp_path, network):
    save_file(network.state_dict(), tmp_path / "a.safetensors")
    torch.testing.assert_close(read_state(tmp_path / "a.safetensors")["0.weight"], network[0].weight.data)


def test_counters_of_batches_may_be_absent(network):
    state = {key: value + 1 for key, value in network.state_dict().items() if "num_batches" not in key}
    load_state(network, state, "a.pt")
    torch.testing.assert_close(network[0].weight.data, state["0.weight"])


def test_code_in_a_file_is_not_executed(tmp_path, network):
    torch.save(network, tmp_path / "a.pt")
    with pytest.raises(
        ClassifierError, match="a.pt: expected a plain state dict, got 'Weights only load failed"
    ):
        read_state(tmp_path / "a.pt")


@pytest.mark.parametrize("name", ["a.pt", "a.safetensors"])
def test_truncated_files(tmp_path, network, name):
    path = tmp_path / name
    torch.save(network.state_dict(), path) if name == "a.pt" else save_file(network.state_dict(), path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ClassifierError, match=f"{name}: expected a plain state dict"):
        read_state(path)


def test_other_things_than_tensors(tmp_path):
    torch.save({"epoch": 3}, tmp_path / "a.pt")
    with pytest.raises(
        ClassifierError, match="a.pt: expected a dictionary of tensors, got dict with other things"
    ):
        read_state(tmp_path / "a.pt")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite(tmp_path, network, value):
    state = network.state_dict()
    state["0.weight"][1, 1] = value
    torch.save(state, tmp_path / "a.pt")
    with pytest.raises(
        ClassifierError, match=r"expected finite weights, got NaN or infinity in 1 of 7 .*0.weight"
    ):
        read_state(tmp_path / "a.pt")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"0.weight": None}, "it lacks 0.weight"),
        ({"2.weight": torch.zeros(1)}, "it has unknown 2.weight"),
        ({"0.weight": torch.zeros(3, 5)}, r"it has other shapes: 0.weight \(3, 5\) instead of \(3, 2\)"),
    ],
)
def test_tensors_of_another_network(network, change, message):
    state = {key: value for key, value in (network.state_dict() | change).items() if value is not None}
    with pytest.raises(ClassifierError, match=f"a.pt: expected the tensors of Sequential, but {message}"):
        load_state(network, state, "a.pt")
