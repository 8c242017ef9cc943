"""The eager network: where tensors go, when weights count as changed."""

import torch
from toy_prompts import SIZE, ToyNetwork

from ksam.eager import EagerNetwork, move, weights_version


def test_it_says_how_the_network_is_run() -> None:
    eager = EagerNetwork(ToyNetwork())
    assert eager.image_size == SIZE
    assert eager.describe() == {
        "engine": "torch",
        "precision": "fp32",
        "device": "cpu",
        "version": torch.__version__,
    }


def test_a_version_changes_with_the_values_only() -> None:
    network = ToyNetwork()
    version = weights_version(network)
    network.segment(torch.zeros(1, 3, SIZE, SIZE), network.read_prompt(*[torch.ones(1, 3, SIZE, SIZE)] * 3))
    assert weights_version(network) == version
    torch.optim.SGD(network.parameters(), 0.1).step()  # without gradients nothing is written
    assert weights_version(network) == version
    network.reach.sum().backward()
    torch.optim.SGD(network.parameters(), 0.1).step()
    assert weights_version(network) != version
    version = weights_version(network)
    network.load_state_dict(ToyNetwork().state_dict())
    assert weights_version(network) != version


def test_frozen_weights_have_a_version() -> None:
    with torch.inference_mode():
        network = ToyNetwork()
    assert weights_version(network) == weights_version(network)
    eager = EagerNetwork(network)
    assert weights_version(eager) == (id(eager),)


def test_named_tuples_move_as_a_whole() -> None:
    knowledge = ToyNetwork().read_prompt(*[torch.ones(1, 3, SIZE, SIZE)] * 3)
    moved = move(knowledge, torch.device("cpu"))
    assert type(moved) is type(knowledge)
    torch.testing.assert_close(moved.color, knowledge.color)
