"""The parts of `configs/train.json`: network, optimisation, and what a run leaves behind.

The paper's training (section 4) is `preset=paper learning_rate=1e-6 encoder_rate=1 epochs=100`, the released
code's `preset=released_code learning_rate=5e-6 encoder_rate=1 epochs=128 betas=[0.9,0.98]`. The default
trains the fusion, which starts from nothing, 20 times as fast as the encoders (choice).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Sized
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from monai.utils import set_determinism
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from common.engines.torch_engine import find_device
from common.errors import ConfigError
from common.networks.card import WeightsCard
from common.networks.freezing import is_frozen, trained_names
from common.training import optimisation
from common.training.datalist import hash_file_text, hash_patient
from common.training.loading import LazyLoader
from common.training.optimisation import GradientClip, build_scheduler
from common.training.processes import (
    local_device,
    process_place,
    start_distributed,
    stop_distributed,
)
from common.training.run_keeper import RunKeeper
from common.training.tracking import build_tracker
from common.training.trained_part import TrainedPart

from .classifier import Mmbcd
from .network import build_mmbcd
from .regions import Regions
from .training_data import Samples, TrainingMaterial
from .validation import METRIC, ValidationAuc
from .weights import read_weights, save_weights

WEIGHTS = "mmbcd.safetensors"

__all__ = [
    "GradientClip",
    "LazyLoader",
    "build_scheduler",
    "local_device",
    "start_distributed",
    "stop_distributed",
]


def build_start(
    preset: str | None = None,
    start_from: str | None = None,
    vision_weights: str | None = None,
    text_folder: str | None = None,
    pretrained: bool = True,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
    **switches: Any,
) -> Mmbcd:
    """The network before training.

    Args:
        preset, vision_weights, text_folder, pretrained: see `build_mmbcd`.
        start_from: trained weights to go on from; they bring their options.
        seed: of the weights that no file brings.
        options: of `MmbcdOptions`.
        switches: options with a name of their own in the config; None takes the preset's.

    Raises:
        ConfigError: an option is unknown, or differs from that of the weights.
        ClassifierError: a file is missing or does not fit.
    """
    set_determinism(seed)
    given = {name: value for name, value in switches.items() if value is not None} | dict(options or {})
    return build_mmbcd(start_from or None, vision_weights, text_folder, pretrained, preset, **given)


def build_trained_network(plain: nn.Module, device: str) -> nn.Module:
    """The network as the optimizer sees it, on its device; with torchrun one of several.

    Raises:
        ConfigError: this machine does not have the device.
    """
    find_device(device)
    trained = plain.to(device)
    if not dist.is_initialized():
        return trained
    devices = [device] if device.startswith("cuda") else None
    return DistributedDataParallel(trained, devices, find_unused_parameters=True)


def build_optimizer(
    network: nn.Module, network_def: Mmbcd, encoder_rate: float = 1.0, **arguments: Any
) -> torch.optim.Optimizer:
    """`common.training.optimisation.build_optimizer` with a rate of its own for encoders that are trained.

    Args:
        network: as the optimizer sees it.
        network_def: MMBCD.
        encoder_rate: factor on the learning rate of vision and text encoder.
        arguments: name, learning_rate, weight_decay, betas.

    Raises:
        ConfigError: see there.
    """
    encoders = {"vision": network_def.vision, "text": network_def.text}
    rates = {
        name: encoder_rate
        for name, encoder in encoders.items()
        if encoder is not None and not is_frozen(encoder)
    }
    return optimisation.build_optimizer(network, rates=rates, **arguments)


def count_steps(dataset: Sized, batch_size: int) -> int:
    """Steps of an epoch in each process; the last, incomplete batch is left out. Raises ConfigError."""
    if batch_size < 1:
        raise ConfigError(f"batch_size: expected 1 or more mammograms, got {batch_size}: correct it")
    return max(1, len(dataset) // process_place()[1] // batch_size)


def build_samples(material: TrainingMaterial, part: str, **arguments: Any) -> Samples:
    """`Samples` of one part of the material, nothing read yet. Raises ConfigError: see `Samples`."""
    return Samples(lambda: getattr(material, part), **arguments)


def build_validation_auc(material: TrainingMaterial, breast_rule: str = "max") -> ValidationAuc:
    """The metric over the material's validation part."""
    return ValidationAuc(lambda: material.validation, breast_rule)


class WeightsWriter:
    """Writes `mmbcd.safetensors` and its card into a run's folder whenever validation has improved.

    The file says on what and for what purpose it was trained, which detector its regions came from, and holds
    hashes of the patients, so that an evaluation on them is refused.

    Args:
        output_dir: the run's folder; its name becomes that of the weights.
        network: MMBCD in training.
        material: brings patients and licence.
        regions: described in the file.
        purpose: "research", "demonstration", ...; stands in every result.
        start_from: weights that the run went on from; their patients stay known.
    """

    def __init__(
        self,
        output_dir: str,
        network: Mmbcd,
        material: TrainingMaterial,
        regions: Regions,
        purpose: str = "research",
        start_from: str | None = None,
    ) -> None:
        self.folder, self.network, self.material = Path(output_dir), network, material
        self.regions, self.purpose, self.start_from = regions, purpose, start_from

    def write(self, history: Sequence[Mapping[str, float]]) -> None:
        """Raises OutputError: no room; ClassifierError: a weight that is not finite."""
        entries = [*self.material.training, *self.material.validation]
        header = entries[0].header
        own = {hash_patient(entry.patient) for entry in entries}
        card = WeightsCard(
            name=self.folder.resolve().name,
            version=str(int(history[-1]["epoch"])),
            purpose=self.purpose,
            training_data=(
                f"{header.name} (licence: {header.licence}; {header.history} histories), {len(own)} patients"
            ),
        )
        notes = {
            "training_patients": sorted(own | set(read_training_patients(self.start_from))),
            "regions": self.regions.describe(),
            "validation": dict(history[-1]),
        }
        save_weights(self.network, self.folder / WEIGHTS, card, notes=notes)


def read_training_patients(weights: str | None) -> list[str]:
    """Hashes of the patients that weights were trained on; none where the file does not say.

    Raises:
        ClassifierError: the file cannot be read.
    """
    if weights is None or Path(weights).suffix != ".safetensors":
        return []
    return list(read_weights(weights).notes.get("training_patients", []))


def build_run_keeper(
    output_dir: str,
    network_def: Mmbcd,
    datalist: str,
    tracker: str = "none",
    settings: Mapping[str, Any] | None = None,
    **arguments: Any,
) -> RunKeeper:
    """A `RunKeeper` of the trained part, the AUC of the validation mammograms as its metric.

    Args:
        output_dir: the run's folder.
        network_def: MMBCD; a resumed run must have the same options.
        datalist: a resumed run must have the same.
        tracker: "none", "tensorboard" or "mlflow", see `build_tracker`.
        settings: further values that a resumed run must share.
        arguments: further arguments of `RunKeeper`.

    Raises:
        ConfigError: see `RunKeeper` and `build_tracker`.
    """
    shared = {"datalist": hash_file_text(datalist), "preset": network_def.options.preset, **(settings or {})}
    part = TrainedPart(network_def, trained_names(network_def))
    shown = build_tracker(tracker, output_dir, shared)
    return RunKeeper(output_dir, part, metric=METRIC, tracker=shown, settings=shared, **arguments)
