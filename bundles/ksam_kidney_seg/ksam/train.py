"""The parts of `configs/train.json`: network, optimisation, and what a run leaves behind."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch.distributed as dist
from monai.utils import set_determinism
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from common.engines.torch_engine import find_device
from common.errors import ClassifierError
from common.training.datalist import hash_file_text
from common.training.optimisation import GradientClip, build_optimizer, build_scheduler
from common.training.processes import local_device, process_place, start_distributed, stop_distributed
from common.training.run_keeper import RunKeeper
from common.training.tracking import build_tracker
from common.training.trained_part import TrainedPart

from .averaging import AverageInUse, WeightAverage
from .delta_writer import DeltaWriter
from .episode_network import EpisodeNetwork, unwrap
from .knowledge_sam import KSam
from .network import build_ksam
from .training_data import EpisodeData, EpisodeSettings
from .validation import METRIC

__all__ = [
    "AverageInUse",
    "DeltaWriter",
    "EpisodeSettings",
    "GradientClip",
    "WeightAverage",
    "build_optimizer",
    "build_scheduler",
    "local_device",
    "start_distributed",
    "stop_distributed",
]


def build_start(
    backbone: str | None = None,
    base: str | None = None,
    start_from: str | None = None,
    pretrained: bool = True,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
    **switches: Any,
) -> KSam:
    """The network before training.

    Args:
        backbone: "lite", "vit_b" or "medsam".
        base: official checkpoint of the backbone.
        start_from: a delta to go on from (the paper moves from REFUGE to KAS so); it brings its options.
        pretrained: False starts from random weights everywhere, for tests.
        seed: of the weights that no file brings.
        options: of `KSamOptions`.
        switches: options with a name of their own in the config; None takes the backbone's default.

    Raises:
        ConfigError: an option is unknown, or differs from the delta's.
        ClassifierError: a file is missing or does not fit.
    """
    set_determinism(seed)
    given = {name: value for name, value in switches.items() if value is not None} | dict(options or {})
    for name, path in (("base", base), ("start_from", start_from)):
        if pretrained and (path or name == "base") and not Path(str(path)).is_file():
            raise ClassifierError(
                f"{name}: expected a file with weights, got '{Path(str(path)).name}': python3 "
                "tools/weights.py get, or name your own"
            )
    return build_ksam(backbone, base if pretrained else None, start_from or None, **given)


def build_trained_network(network_def: KSam, device: str, loss_prior: float = 0.0) -> nn.Module:
    """The network as it is trained, on its device; with torchrun one of several.

    Args:
        network_def: see `build_start`.
        device: "cpu", "cuda", "cuda:0".
        loss_prior: weight of the similarity prior in the loss; above 0 its logits are given too.

    Raises:
        ConfigError: this machine does not have the device, or the network no prior.
    """
    find_device(device)
    trained = EpisodeNetwork(network_def, loss_prior > 0).to(device)
    if not dist.is_initialized():
        return trained
    devices = [device] if device.startswith("cuda") else None
    # the bank is filled on the first process only, and no other buffer changes
    return DistributedDataParallel(trained, devices, find_unused_parameters=True, broadcast_buffers=False)


def count_steps(dataset: EpisodeData, batch_size: int) -> int:
    """Steps of an epoch in each process; the last, incomplete batch is left out."""
    return max(1, len(dataset) // process_place()[1] // batch_size)


def follow_weights(average: WeightAverage) -> WeightAverage:
    """The average as a handler of the trainer (MONAI wants handlers written out in a config's list)."""
    return average


def build_run_keeper(
    output_dir: str,
    network: nn.Module,
    datalist: str,
    average: WeightAverage,
    tracker: str = "none",
    settings: Mapping[str, Any] | None = None,
    **arguments: Any,
) -> RunKeeper:
    """A `RunKeeper` of the trained part, the mean Dice of the validation patients as its metric.

    Args:
        output_dir: the run's folder.
        network: as the optimizer sees it.
        datalist: a resumed run must have the same.
        average: kept in the checkpoint.
        tracker: "none", "tensorboard" or "mlflow", see `build_tracker`.
        settings: further values that a resumed run must share.
        arguments: further arguments of `RunKeeper`.

    Raises:
        ConfigError: see `RunKeeper` and `build_tracker`.
    """
    shared = {"datalist": hash_file_text(datalist), **(settings or {})}
    trained = unwrap(network)
    part = TrainedPart(trained, trained.trained_names)
    shown = build_tracker(tracker, output_dir, shared)
    kept = {"average": average}
    return RunKeeper(output_dir, part, metric=METRIC, tracker=shown, settings=shared, extra=kept, **arguments)
