"""An exponential mean of the trained weights, validated and written while training goes on beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from ignite.engine import Engine, Events

from common.errors import ConfigError

from .knowledge_sam import KSam


class WeightAverage:
    """Trainer handler: after every step mean = d mean + (1 - d) weights, d = min(decay, (1 + n) / (10 + n)).

    The first steps count less long, so that the mean soon forgets the start (choice; not in the paper).

    Args:
        network: KSam in training.
        decay: 0 takes the weights as they are (paper); 0.998 averages about 500 steps.

    Raises:
        ConfigError: outside [0, 1).
    """

    def __init__(self, network: KSam, decay: float = 0.0) -> None:
        if not 0 <= decay < 1:
            raise ConfigError(f"average: expected 0 (off) to below 1, got {decay}: 0.998 is usual")
        self.network, self.decay = network, decay
        self.steps = 0
        self.mean: list[torch.Tensor] = []

    def attach(self, engine: Engine) -> None:
        """Register with MONAI's trainer."""
        if self.decay:
            engine.add_event_handler(Events.ITERATION_COMPLETED, self.update)

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights after a step."""
        own = self.network.trainable_parameters()
        self.mean = self.mean or [value.detach().clone() for value in own]
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        for mean, value in zip(self.mean, own, strict=True):
            mean.lerp_(value, 1 - decay)
        self.steps += 1

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Inside the block the network has the mean's weights, if there is a mean."""
        self.swap()
        try:
            yield
        finally:
            self.swap()

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the network's weights and the mean."""
        for mean, value in zip(self.mean, self.network.trainable_parameters(), strict=False):
            kept = value.detach().clone()
            value.copy_(mean)
            mean.copy_(kept)

    def state_dict(self) -> dict[str, Any]:
        """For the checkpoint."""
        return {"steps": self.steps, "mean": self.mean}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """From the checkpoint."""
        device = next(self.network.parameters()).device
        self.steps, self.mean = state["steps"], [value.to(device) for value in state["mean"]]


class AverageInUse:
    """Validator handler: validation sees the mean's weights.

    Args:
        average: of the network that is validated.
    """

    def __init__(self, average: WeightAverage) -> None:
        self.average = average

    def attach(self, engine: Engine) -> None:
        """Register with MONAI's evaluator."""
        engine.add_event_handler(Events.STARTED, self.average.swap)
        engine.add_event_handler(Events.COMPLETED, self.average.swap)
