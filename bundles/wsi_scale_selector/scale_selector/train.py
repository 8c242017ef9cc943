"""The parts of `configs/train.json`, in the order of the data: material, datasets, network, optimisation."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from ignite.metrics import ConfusionMatrix, Metric, MetricsLambda
from monai.utils import set_determinism
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Subset

from common.engines.torch_engine import find_device
from common.errors import ConfigError
from common.geometry import parse_scale
from common.networks.linear_head import FeatureTap
from common.training.processes import is_first_process, process_place

from .augment import Augmentation
from .classifier import ClassifierSpec, load_classifier_spec, read_labels
from .data import Patch, PatchSettings, collect_patches, count_by_class, split_by_group
from .dataset import BalancedSampler, PatchDataset
from .export import ClassifierWriter, MarginCollector, adapt_head, with_class_count
from .network import PatchClassifier

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingMaterial:
    """What is trained on, and to what end.

    Attributes:
        start: the classifier to start from.
        spec: the classifier as it shall become, with its new labels and training scale.
        patches: {"train": [...], "validation": [...]}, of different patients or slides.
        augmentation: random changes of the training patches.
    """

    start: ClassifierSpec
    spec: ClassifierSpec
    patches: Mapping[str, list[Patch]]
    augmentation: Augmentation


def build_material(
    classifier: str,
    dataset_dir: str,
    scale: str | float,
    labels: str | None,
    augmentation: Mapping[str, Any],
    seed: int,
    val_fraction: float,
    group_pattern: str | None,
    **taking: Any,
) -> TrainingMaterial:
    """Collect and split the patches.

    Args:
        classifier: `classifier.json` to start from.
        dataset_dir: see `material`.
        scale: training scale, "x20" or "0.5um".
        labels: a labels.json that replaces the classifier's labels (its head is then replaced too).
        augmentation: arguments of `Augmentation`.
        seed: of the patches' places and the split.
        val_fraction: share of validation where the material names none.
        group_pattern: takes the patient from a file's name, see `find_material`.
        taking: further arguments of `PatchSettings`.

    Raises:
        ClassifierError, ConfigError, InputError: see the functions used.
    """
    start = load_classifier_spec(classifier)
    spec = replace(start, training_mpp=parse_scale(scale), reference=None)
    if labels is not None:
        spec = with_class_count(replace(spec, labels=read_labels(labels, Path(classifier))))
    changes = Augmentation(**augmentation)
    settings = PatchSettings(
        spec.label_names, spec.size_px, parse_scale(scale), margin=changes.scale, seed=seed, **taking
    )
    patches = collect_patches(dataset_dir, settings, (None, "train", "val"), group_pattern)
    train, validation = split_by_group(patches, val_fraction, seed)
    for name, part in (("training", train), ("validation", validation)):
        counts = count_by_class(part, spec.label_names)
        logger.info("%s patches: %s", name, counts)
        if missing := [label for label, count in counts.items() if not count]:
            logger.warning("no %s patches of: %s", name, ", ".join(missing))
    return TrainingMaterial(start, spec, {"train": train, "validation": validation}, changes)


def build_dataset(material: TrainingMaterial, part: str, cache_gb: float) -> PatchDataset:
    """The patches of one part, "train" with its random changes or "validation" without."""
    changes = material.augmentation if part == "train" else None
    return PatchDataset(material.patches[part], material.spec.size_px, changes, cache_gb, is_first_process())


def build_train_loader(
    dataset: PatchDataset, batch_size: int, num_workers: int, balanced: bool, seed: int
) -> DataLoader:
    """Batches of the training patches; with torchrun each process has its own balanced share.

    Raises:
        ConfigError: no batch, or fewer draws than one batch holds.
    """
    rank, processes = process_place()
    sampler = BalancedSampler(dataset, seed, balanced, rank, processes)
    if not 1 <= batch_size <= len(sampler):
        raise ConfigError(
            f"batch_size: expected 1 to the {len(sampler)} patches of an epoch, got {batch_size}: lower "
            "it or raise --patches_per_class"
        )
    workers: dict[str, Any] = {"num_workers": num_workers, "persistent_workers": num_workers > 0}
    return DataLoader(dataset, batch_size, sampler=sampler, drop_last=True, **workers)


def build_validation_loader(dataset: PatchDataset, batch_size: int, num_workers: int) -> DataLoader:
    """Batches of the validation patches, in order; with torchrun every process takes every n-th patch."""
    rank, processes = process_place()
    part = Subset(dataset, range(rank, len(dataset), processes))
    return DataLoader(part, batch_size, num_workers=num_workers, persistent_workers=num_workers > 0)


def build_trained_network(
    network_def: PatchClassifier, material: TrainingMaterial, device: str, freeze_features: bool, seed: int
) -> nn.Module:
    """The network in the form in which it is trained.

    New labels give it a new head: the architecture is built again for their number, and everything before the
    head is taken over.

    Args:
        network_def: the classifier to start from.
        material: says which labels the result has.
        device: "cpu", "cuda", "cuda:0".
        freeze_features: train the last linear layer only.
        seed: of a new head's weights.

    Returns:
        uint8 or float RGB 0..255 (B, 3, e, e) -> logits (B, C).

    Raises:
        ClassifierError: the architecture cannot be built for another number of classes.
        ConfigError: this machine does not have the device.
    """
    set_determinism(seed)
    find_device(device)
    network = adapt_head(network_def, material.start, material.spec)
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    trained: nn.Module = HeadOnly(network) if freeze_features else network
    if freeze_features:
        network.backbone.requires_grad_(False)
    if dist.is_initialized():
        devices = [device] if device.startswith("cuda") else None
        kept_head = isinstance(network.backbone, FeatureTap)
        return DistributedDataParallel(trained, devices, find_unused_parameters=kept_head)
    return trained


class HeadOnly(nn.Module):
    """Trains the last linear layer on features that do not move: neither weights nor batch statistics.

    Args:
        network: the classifier.
    """

    def __init__(self, network: PatchClassifier) -> None:
        super().__init__()
        self.network = network

    def train(self, mode: bool = True) -> HeadOnly:
        super().train(mode)
        self.network.eval()
        return self

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(B, 3, e, e) RGB 0..255 -> logits (B, C)."""
        with torch.no_grad():
            features = self.network.features(image)
        return features @ self.network.weight + self.network.bias


def build_writer(
    output_dir: str, network: nn.Module, material: TrainingMaterial, margins: MarginCollector
) -> ClassifierWriter:
    """Writes the best classifier; see `ClassifierWriter`."""
    patches = [patch for part in material.patches.values() for patch in part]
    return ClassifierWriter(output_dir, network, material.spec, patches, margins)


def build_loss(label_smoothing: float = 0.0) -> nn.Module:
    """Cross entropy; the classes are balanced by the sampler, not by weights."""
    return nn.CrossEntropyLoss(label_smoothing=label_smoothing)


def build_metric(material: TrainingMaterial) -> Metric:
    """Mean over the classes of their share of recognised patches, the paper's "mean" in Table 1."""
    matrix = ConfusionMatrix(len(material.spec.labels), output_transform=_pred_and_label)
    return MetricsLambda(mean_class_accuracy, matrix)


def mean_class_accuracy(matrix: torch.Tensor) -> float:
    """Mean of the diagonal over the row sums; classes without patches do not count.

    Args:
        matrix: (C, C) counts, rows are the true classes.
    """
    totals = matrix.sum(1)
    return float((matrix.diagonal()[totals > 0] / totals[totals > 0]).double().mean())


def _pred_and_label(output: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    return output["pred"], output["label"]
