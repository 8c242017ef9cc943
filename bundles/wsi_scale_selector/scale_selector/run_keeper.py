"""What a training run of a classifier leaves behind."""

from __future__ import annotations

from typing import Any

from torch import nn

from common.training.run_keeper import RunKeeper
from common.training.tracking import build_tracker

from .export import unwrap

METRIC = "mean_accuracy"


def build_run_keeper(
    output_dir: str, network: nn.Module, tensorboard: bool = False, **arguments: Any
) -> RunKeeper:
    """A `RunKeeper` of the whole classifier, the mean accuracy over the classes as its metric.

    Args:
        output_dir: the run's folder.
        network: the network in training, as the optimizer sees it.
        tensorboard: write the history for TensorBoard too.
        arguments: further arguments of `RunKeeper`.

    Raises:
        ConfigError: see `RunKeeper`.
    """
    tracker = build_tracker("tensorboard" if tensorboard else "none", output_dir)
    return RunKeeper(output_dir, unwrap(network), metric=METRIC, tracker=tracker, **arguments)
