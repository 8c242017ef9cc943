"""What a checkpoint keeps of a network whose other part never changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import nn


class TrainedPart:
    """The tensors that are trained.

    Args:
        network: of which they are a part.
        names: of them in its state dict.
    """

    def __init__(self, network: nn.Module, names: Iterable[str]) -> None:
        self.network, self.names = network, tuple(names)

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Tensors by name."""
        state = self.network.state_dict()
        return {name: state[name] for name in self.names}

    def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
        """Raises RuntimeError: another network, or another part of it was trained."""
        unlike = set(self.names) ^ set(state)
        if unlike:
            raise RuntimeError(f"the trained part of the network differs, for example in {min(unlike)}")
        self.network.load_state_dict(dict(state), strict=False)
