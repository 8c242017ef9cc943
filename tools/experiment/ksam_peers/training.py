"""Training of a peer on the datalist's training part: KSAM's frames, augmentation, loss and optimisation."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from common.errors import ConfigError
from common.io.files import atomic_path, write_text
from common.training.optimisation import PrecisionInferer, build_optimizer, build_scheduler
from ksam.augment import CameraRange, GeometryRange, augment_sample
from ksam.datalist import Case
from ksam.episode_network import EpisodeOutput
from ksam.loss import KnowledgeLoss
from ksam.postprocess import masks_from_logits
from ksam.samples import Sample, load_samples, shrink_sample
from ksam.structures import Structure
from ksam.validation import count_overlap, dice_of

WEIGHTS, HISTORY = "trained.pt", "training.json"
BETAS = (0.9, 0.999)
Picture = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class TrainingSettings:
    """How every trainable peer is trained; the defaults are those of `configs/train.json`.

    Attributes:
        epochs: of `episodes` pictures each.
        episodes: pictures of an epoch.
        batch_size: pictures of a step.
        learning_rate: of Adam.
        schedule: "constant" or "cosine".
        warmup_epochs: of linear start.
        loss_bce, loss_dice: weights of the two parts of the loss.
        camera: arguments of `CameraRange`; None for no change of appearance.
        geometry: arguments of `GeometryRange`; None for none.
        slices_per_case: of a volume; None for all that show a structure.
        val_interval: epochs between two looks at the validation part; the best weights are kept.
        precision: "bf16" or "fp32".
        seed: of pictures and changes.

    Raises:
        ConfigError: fewer than one epoch, batch or interval, or arguments that do not exist.
    """

    epochs: int = 300
    episodes: int = 400
    batch_size: int = 4
    learning_rate: float = 1e-4
    schedule: str = "constant"
    warmup_epochs: float = 5.0
    loss_bce: float = 0.2
    loss_dice: float = 0.8
    camera: Mapping[str, Any] | None = field(default_factory=dict)
    geometry: Mapping[str, Any] | None = field(default_factory=dict)
    slices_per_case: int | None = None
    val_interval: int = 10
    precision: str = "bf16"
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "episodes", "batch_size", "val_interval"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}: expected at least 1, got {getattr(self, name)}: correct training")
        self.ranges()

    def ranges(self) -> tuple[CameraRange | None, GeometryRange | None]:
        """What cameras and warps are drawn from. Raises ConfigError."""
        try:
            camera = None if self.camera is None else CameraRange(**self.camera)
            plain = {k: tuple(v) if isinstance(v, list) else v for k, v in (self.geometry or {}).items()}
            return camera, None if self.geometry is None else GeometryRange(**plain)
        except TypeError as error:
            raise ConfigError(
                f"camera, geometry: expected arguments of CameraRange and GeometryRange, got '{error}': "
                "correct training"
            ) from error


def read_training_settings(content: Mapping[str, Any]) -> TrainingSettings:
    """From the config's "training". Raises ConfigError for an unknown name."""
    try:
        return TrainingSettings(**content)
    except TypeError as error:
        raise ConfigError(
            f"training: expected settings of TrainingSettings, got '{error}': correct it"
        ) from error


def train_peer(
    network: nn.Module,
    cases: tuple[Sequence[Case], Sequence[Case]],
    structures: Sequence[Structure],
    settings: TrainingSettings,
    folder: Path,
) -> None:
    """Train, or load what an earlier run has trained in this folder; the network has the best weights then.

    Args:
        network: (image (B, 3, S, S) RGB 0..255, truth (B, n, S, S)) -> logits (B, n, S, S).
        cases: training, validation; without validation the last weights are kept.
        structures: n of them.
        settings: see `TrainingSettings`.
        folder: for weights and history.

    Raises:
        InputError: see `load_samples`.
        OutputError: the folder cannot be written.
    """
    trained = {name: value for name, value in network.named_parameters() if value.requires_grad}
    if not (folder / WEIGHTS).is_file():
        best, history = _fit(network, trained, cases, structures, settings)
        with atomic_path(folder / WEIGHTS) as path:
            torch.save(best, path)
        notes = {"settings": asdict(settings), "epochs": history}
        write_text(folder / HISTORY, json.dumps(notes, indent=1) + "\n")
    network.load_state_dict(torch.load(folder / WEIGHTS, weights_only=True), strict=False)
    network.eval()


def _fit(
    network: nn.Module,
    trained: Mapping[str, nn.Parameter],
    cases: tuple[Sequence[Case], Sequence[Case]],
    structures: Sequence[Structure],
    settings: TrainingSettings,
) -> tuple[dict[str, torch.Tensor], list[dict[str, float]]]:
    """The best state of what is trained, its buffers too, and the history."""
    size_px = int(network.image_size)  # type: ignore[arg-type]
    names = [structure.name for structure in structures]
    samples = load_samples(cases[0], size_px, settings.slices_per_case, names)
    shown = load_validation(cases[1], size_px, settings.slices_per_case, names)
    batches, steps = draw_batches(samples, settings), max(1, settings.episodes // settings.batch_size)
    optimizer = build_optimizer(network, "adam", settings.learning_rate, 0.0, BETAS)
    rates = build_scheduler(optimizer, steps, settings.schedule, settings.epochs, settings.warmup_epochs)
    run, loss_of = PrecisionInferer(settings.precision), KnowledgeLoss(settings.loss_bce, settings.loss_dice)
    best, best_dice, history = _copy_state(network, trained), -1.0, []
    for epoch in tqdm(range(1, settings.epochs + 1), "training", unit="epoch"):
        network.train()
        losses = []
        for image, truth in islice(batches, steps):
            loss = loss_of(EpisodeOutput(run(image, network, truth), None), truth)
            _step(loss, optimizer)
            rates.step()
            losses.append(loss.item())
        row = {"epoch": float(epoch), "loss": float(np.mean(losses))}
        if epoch % settings.val_interval == 0 or epoch == settings.epochs:
            found = validate(network.eval(), shown, structures, run) if shown else best_dice
            if found > best_dice or not shown:
                best, best_dice = _copy_state(network, trained), found
            row |= {"mean_dice": found} if shown else {}
        history.append(row)
    return best, history


def _step(loss: torch.Tensor, optimizer: torch.optim.Optimizer) -> None:
    """One step; none where nothing depends on weights: no prompt could be drawn in the whole batch."""
    optimizer.zero_grad()
    if loss.requires_grad:
        loss.backward()
        optimizer.step()


def _copy_state(network: nn.Module, trained: Mapping[str, nn.Parameter]) -> dict[str, torch.Tensor]:
    buffers = dict(network.named_buffers())
    return {
        name: value.detach().clone()
        for name, value in network.state_dict().items()
        if name in trained or name in buffers
    }


def draw_batches(
    samples: Sequence[Sample], settings: TrainingSettings
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Endless batches: pictures of different patients while there are enough, each changed anew.

    Args:
        samples: of the training part.
        settings: batch size, changes and seed.

    Yields:
        image (B, 3, S, S) RGB 0..255 and truth (B, n, S, S) 0 or 1, float32.
    """
    camera, geometry = settings.ranges()
    rng = np.random.default_rng(settings.seed)
    by_patient: dict[str, list[Sample]] = {}
    for sample in samples:
        by_patient.setdefault(sample.patient, []).append(sample)
    patients = sorted(by_patient)
    while True:
        some = rng.choice(len(patients), settings.batch_size, replace=len(patients) < settings.batch_size)
        drawn = [by_patient[patients[place]] for place in some]
        chosen = [own[rng.integers(len(own))] for own in drawn]
        views = [
            augment_sample(sample, None if camera is None else camera.sample(rng), geometry, rng)
            for sample in chosen
        ]
        yield to_tensors([(view.image, view.masks) for view in views])


def to_tensors(pictures: Sequence[Picture]) -> tuple[torch.Tensor, torch.Tensor]:
    """[(uint8 (S, S, 3), bool (n, S, S))] -> float (B, 3, S, S) and float (B, n, S, S)."""
    images = np.stack([image.transpose(2, 0, 1) for image, _ in pictures]).astype(np.float32)
    masks = np.stack([mask for _, mask in pictures]).astype(np.float32)
    return torch.from_numpy(images), torch.from_numpy(masks)


def load_validation(
    cases: Sequence[Case], size_px: int, slices: int | None, names: Sequence[str]
) -> list[Picture]:
    """The pictures of the validation part as they are; none where it has fewer than two patients."""
    if len({case.patient for case in cases}) < 2:
        return []
    return [shrink_sample(sample, size_px) for sample in load_samples(cases, size_px, slices, names)]


@torch.no_grad()
def validate(
    network: nn.Module, pictures: Sequence[Picture], structures: Sequence[Structure], run: PrecisionInferer
) -> float:
    """Mean over structures of the mean Dice over pictures; pairs of pictures, for methods that need two."""
    counts = []
    for place in range(len(pictures)):
        image, truth = to_tensors([pictures[place - 1], pictures[place]])
        logits = run(image, network, truth)[1].numpy()
        counts.append(count_overlap(masks_from_logits(logits, structures), truth[1].numpy() > 0.5))
    values = dice_of(np.stack(counts))
    means = [float(np.nanmean(column)) for column in values.T if np.isfinite(column).any()]
    return float(np.mean(means)) if means else 0.0
