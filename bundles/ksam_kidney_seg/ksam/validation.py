"""Validation during training: Dice on validation patients, with templates of training patients."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from ignite.engine import Engine, Events
from ignite.metrics import Metric
from monai.engines import SupervisedEvaluator
from monai.inferers import Inferer
from torch.utils.data import Dataset
from tqdm import tqdm

from common.errors import ConfigError
from common.training.loading import LazyLoader
from common.training.optimisation import PrecisionInferer
from common.training.processes import is_first_process

from .averaging import WeightAverage
from .datalist import Case
from .eager import weights_version
from .inferer import KnowledgePromptInferer
from .knowledge_sam import KSam
from .material import TrainingMaterial, view_case
from .postprocess import masks_from_logits
from .prompt_cache import RecentStore
from .remembered import KEPT_BYTES, FrozenEncoderNetwork
from .samples import spread_slices

METRIC = "mean_dice"
logger = logging.getLogger(__name__)


class ValidationData(Dataset):
    """Slices of validation patients in the network's square; for two steps, in the regions of the truth.

    Args:
        material: datalist.
        network: says how large the square is.
        slices_per_case: of a volume: evenly spaced between the lowest and the highest that show a structure.

    Raises:
        ConfigError: fewer than one slice of a volume.
    """

    def __init__(self, material: TrainingMaterial, network: KSam, slices_per_case: int = 8) -> None:
        if slices_per_case < 1:
            raise ConfigError(f"val_slices: expected at least 1, got {slices_per_case}: 8 is usual")
        self.material, self.size_px, self.slices_per_case = material, network.image_size, slices_per_case

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """image (3, S, S) RGB 0..255, label (n, S, S) bool, case: its number."""
        return self.items[index]

    @cached_property
    def items(self) -> list[dict[str, Any]]:
        """All slices; the first use reads them. Raises InputError."""
        quiet = not is_first_process()
        cases = tqdm(self.material.validation, "reading validation cases", disable=quiet, leave=False)
        return [item for number, case in enumerate(cases) for item in self._read(case, number)]

    def _read(self, case: Case, number: int) -> list[dict[str, Any]]:
        task = self.material.task
        names, entries = task.structure_names, list(case.slices())
        views = view_case(entries, names, task.crop, self.size_px)
        shown = [any(entry.masks[name].any() for name in names) for entry in entries]
        items = []
        for frame, is_region in views:
            if is_region != (task.crop == "region"):
                continue
            for place in spread_slices(shown, self.slices_per_case):
                masks = [frame.mask_to_network(entries[place].masks[name]) for name in names]
                image = torch.from_numpy(frame.to_network(entries[place].image, task.window))
                label = torch.from_numpy(np.stack(masks) >= 0.5)
                items.append({"image": image, "label": label, "case": number})
        return items


class ValidationInferer(Inferer):
    """`KnowledgePromptInferer` with the material's task; features of a frozen encoder are kept.

    Args:
        material: brings the task.
        templates: averaged for each structure, the first ones that were drawn.
        batch_size: passes of the network at once.
        precision: "fp32" or "bf16", as in training.
    """

    def __init__(
        self, material: TrainingMaterial, templates: int = 1, batch_size: int = 8, precision: str = "fp32"
    ) -> None:
        self.material, self.precision = material, PrecisionInferer(precision).precision
        self.templates, self.batch_size = templates, batch_size
        self.kept: RecentStore[torch.Tensor] = RecentStore(KEPT_BYTES)
        self.version: tuple[Any, ...] = ()
        self.engine: Any = None

    @cached_property
    def inferer(self) -> KnowledgePromptInferer:
        """Raises InputError, ConfigError: see `KnowledgePromptInferer`."""
        return KnowledgePromptInferer(
            self.material.squares_task, "fixed", self.templates, batch_size=self.batch_size, cache=False
        )

    def __call__(self, inputs: torch.Tensor, network: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        """(B, 3, S, S) RGB 0..255 -> logits (B, n, S, S)."""
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            return self.inferer(inputs, self._engine(network))

    def _engine(self, network: Any) -> Any:
        """The network itself, or, where its encoder is frozen, with the features that are kept."""
        if network.options.lora_rank:
            return network
        version = weights_version(network)
        if version != self.version:
            self.engine, self.version = FrozenEncoderNetwork(network, self.kept), version
        return self.engine


class CaseDice(Metric):
    """Dice of every structure over all slices of a case, then the mean over cases, then over structures.

    A case without the structure does not count for it.

    Args:
        material: brings the structures.
    """

    def __init__(self, material: TrainingMaterial) -> None:
        self.material = material
        self.counts: dict[int, np.ndarray] = {}
        super().__init__(metrics_result_mode="flatten")

    def reset(self) -> None:
        self.counts = {}

    def iteration_completed(self, engine: Engine) -> None:
        output: Any = engine.state.output
        batch: Any = engine.state.batch
        self.update((output["pred"], output["label"], batch["case"]))

    def update(self, output: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> None:
        """Logits (B, n, S, S), truth bool (B, n, S, S), case numbers (B,)."""
        logits, truth, cases = (value.cpu().numpy() for value in output)
        structures = self.material.task.structures
        for row, label, case in zip(logits, truth.astype(bool), cases.tolist(), strict=True):
            counts = count_overlap(masks_from_logits(row, structures), label)
            self.counts[case] = self.counts.get(case, 0) + counts

    def compute(self) -> dict[str, float]:
        """{"mean_dice": ..., "dice_NAME": ...}; NaN for a structure that no case shows."""
        names = self.material.task.structure_names
        values = dice_of(np.stack(list(gather_counts(self.counts).values())))
        means = [float(np.nanmean(column)) if np.isfinite(column).any() else np.nan for column in values.T]
        shown = [mean for mean in means if np.isfinite(mean)]
        result = {f"dice_{name}": mean for name, mean in zip(names, means, strict=True)}
        return {METRIC: float(np.mean(shown)) if shown else 0.0, **result}


def count_overlap(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(n, ...) bool twice -> int64 (n, 3): pixels in both, predicted, true."""
    both = (predicted & truth).reshape(len(truth), -1).sum(1)
    return np.stack([both, *(m.reshape(len(m), -1).sum(1) for m in (predicted, truth))], axis=1)


def dice_of(counts: np.ndarray) -> np.ndarray:
    """2 |A and B| / (|A| + |B|) of (..., 3) counts; NaN where nothing is true."""
    both, predicted, truth = np.moveaxis(counts.astype(float), -1, 0)
    return np.where(truth > 0, 2 * both / np.maximum(predicted + truth, 1), np.nan)


def gather_counts(counts: dict[int, np.ndarray]) -> dict[int, np.ndarray]:
    """The sums over all processes."""
    if not dist.is_initialized():
        return counts
    parts: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(parts, counts)
    total: dict[int, np.ndarray] = {}
    for part in parts:
        for case, own in part.items():
            total[case] = total.get(case, 0) + own
    return total


class WatchedTasks:
    """Trainer handler: Dice on the validation patients of further datalists (the paper's Fig. 6).

    The figures stand in the run's history as `NAME_mean_dice`, `NAME_dice_STRUCTURE`.

    Args:
        datalists: JSON files; their templates come from their own training patients.
        network: KSam in training.
        average: its weights are evaluated, if it has any.
        interval: in epochs.
        templates, batch_size, precision: see `ValidationInferer`.
        slices_per_case: see `ValidationData`.
        device: of the network.
        seed: of the templates' choice.

    Raises:
        ConfigError: an interval below 1.
    """

    def __init__(
        self,
        datalists: Sequence[str],
        network: KSam,
        average: WeightAverage,
        interval: int = 10,
        templates: int = 1,
        batch_size: int = 8,
        precision: str = "fp32",
        slices_per_case: int = 8,
        device: str = "cpu",
        seed: int = 0,
    ) -> None:
        if interval < 1:
            raise ConfigError(f"watch_interval: expected at least 1, got {interval}: 10 is the paper's")
        self.average, self.interval = average, interval
        self.materials = [TrainingMaterial(path, None, templates, seed) for path in datalists]
        self.evaluators = [
            build_evaluator(
                material,
                network,
                ValidationData(material, network, slices_per_case),
                ValidationInferer(material, templates, batch_size, precision),
                batch_size,
                device,
            )
            for material in self.materials
        ]

    def prepare(self) -> None:
        """Read the datalists before the first step. Raises InputError: one is missing or has no cases."""
        for material in self.materials:
            logger.info("watched: %d validation cases", len(material.validation))
            logger.info("watched: templates of %s", ", ".join(material.task.structure_names))

    def attach(self, engine: Engine) -> None:
        """Register with MONAI's trainer, before the run keeper."""
        engine.add_event_handler(Events.STARTED, self.prepare)
        engine.add_event_handler(Events.EPOCH_COMPLETED(every=self.interval), self._evaluate)

    def _evaluate(self, engine: Engine) -> None:
        for material, evaluator in zip(self.materials, self.evaluators, strict=True):
            with self.average.in_use():
                evaluator.run(engine.state.epoch)
            name = material.task.name
            found = {f"{name}_{key}": float(value) for key, value in evaluator.state.metrics.items()}
            engine.state.metrics.update(found)


def build_evaluator(
    material: TrainingMaterial,
    network: KSam,
    dataset: ValidationData,
    inferer: ValidationInferer,
    batch_size: int,
    device: str,
) -> SupervisedEvaluator:
    """What `validate::evaluator` of train.json is, for another datalist."""
    evaluator = SupervisedEvaluator(
        device=torch.device(device),
        val_data_loader=LazyLoader(dataset, batch_size),
        network=network,
        inferer=inferer,
        key_val_metric={METRIC: CaseDice(material)},
        decollate=False,
    )
    evaluator.logger.setLevel(logging.WARNING)
    return evaluator
