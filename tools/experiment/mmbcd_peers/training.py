"""Training of a peer on the datalist's training part; what an earlier run has trained is taken as it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from common.errors import ConfigError
from common.io.files import atomic_path, write_json
from common.networks.freezing import trained_names
from common.networks.state_dict import State, read_state
from common.training.optimisation import build_optimizer, build_scheduler
from mmbcd.statistics import auc

from .base import Batch, Peer, TrainedPeer
from .scoring import to_cases
from .views import Views

WEIGHTS, HISTORY = "trained.pt", "training.json"
_AT_LEAST_ONE = ("epochs", "batch_size", "accumulate", "val_interval")


@dataclass(frozen=True)
class TrainingSettings:
    """How the peers of a family are trained.

    Attributes:
        epochs: passes through the training part.
        batch_size: mammograms at once; a contrastive loss compares those.
        accumulate: batches of a step.
        learning_rate: of Adam.
        rates: factors on it by module, see `build_optimizer`.
        weight_decay: of AdamW.
        schedule: "constant" or "cosine".
        warmup_epochs: of linear start.
        clip_norm: greatest length of the gradient; 0 leaves it.
        flip: share of mammograms that are mirrored, for each of the two axes.
        val_interval: epochs between two looks at the validation part; the weights of the greatest AUC are
            kept. None: the last weights, for methods without confidence.
        precision: "bf16" or "fp32".
        seed: of order, mirroring and weights that no file brings.

    Raises:
        ConfigError: a number outside its range.
    """

    epochs: int = 100
    batch_size: int = 16
    accumulate: int = 1
    learning_rate: float = 1e-4
    rates: Mapping[str, float] = field(default_factory=dict)
    weight_decay: float = 0.01
    schedule: str = "cosine"
    warmup_epochs: float = 2.0
    clip_norm: float = 1.0
    flip: float = 0.5
    val_interval: int | None = 1
    precision: str = "bf16"
    seed: int = 0

    def __post_init__(self) -> None:
        for name in _AT_LEAST_ONE:
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name}: expected at least 1, got {value}: correct training")
        if not 0 <= self.flip <= 1 or self.precision not in ("bf16", "fp32"):
            raise ConfigError(
                f"flip, precision: expected 0 to 1 and bf16 or fp32, got {self.flip} and '{self.precision}': "
                "correct training"
            )


def read_training_settings(content: Mapping[str, Any]) -> TrainingSettings:
    """From the config. Raises ConfigError: an unknown name, see also `TrainingSettings`."""
    try:
        return TrainingSettings(**content)
    except TypeError as error:
        raise ConfigError(
            f"training: expected settings of TrainingSettings, got '{error}': correct it"
        ) from error


def train_peer(
    peer: TrainedPeer, views: tuple[Views, Views | None], settings: TrainingSettings, folder: Path
) -> None:
    """Train, or load what an earlier run has trained in this folder; the network has the best weights then.

    Args:
        peer: on its device.
        views: training and validation part; without the latter the last weights are kept.
        settings: see `TrainingSettings`.
        folder: for weights and history.

    Raises:
        ConfigError: fewer mammograms than a batch, or settings that the optimizer refuses.
        OutputError: the folder cannot be written.
    """
    names = trained_names(peer.network)
    if not (folder / WEIGHTS).is_file():
        best, history = _fit(peer, names, views, settings)
        with atomic_path(folder / WEIGHTS) as path:
            torch.save(best, path)
        write_json(folder / HISTORY, {"settings": asdict(settings), "epochs": history})
    peer.network.load_state_dict(read_state(folder / WEIGHTS), strict=False)
    peer.network.eval()


def _fit(
    peer: TrainedPeer, names: tuple[str, ...], views: tuple[Views, Views | None], settings: TrainingSettings
) -> tuple[State, list[dict[str, float]]]:
    """The best state of what is trained, and the history."""
    training, shown = views
    steps = len(training) // (settings.batch_size * settings.accumulate)
    if not steps:
        raise ConfigError(
            f"batch_size: expected a step of at most the {len(training)} mammograms of training, got "
            f"{settings.batch_size} x {settings.accumulate}: lower them"
        )
    rate, decay = settings.learning_rate, settings.weight_decay
    optimizer = build_optimizer(peer.network, "adamw", rate, decay, rates=settings.rates)
    rates = build_scheduler(optimizer, steps, settings.schedule, settings.epochs, settings.warmup_epochs)
    best, best_auc, history = _copy(peer, names), -1.0, []
    for epoch in tqdm(range(1, settings.epochs + 1), "training", unit="epoch"):
        peer.network.train()
        losses = []
        for number, batch in enumerate(draw_batches(training, settings, epoch, steps), 1):
            losses.append(_learn(peer, batch, settings))
            if number % settings.accumulate == 0:
                _step(peer, optimizer, settings.clip_norm)
                rates.step()
        row = {"epoch": float(epoch), "loss": float(np.mean(losses))}
        if shown is None or settings.val_interval is None:
            best = _copy(peer, names) if epoch == settings.epochs else best
        elif epoch % settings.val_interval == 0 or epoch == settings.epochs:
            row["auc"] = validate(peer, shown, settings)
            if row["auc"] > best_auc:
                best, best_auc = _copy(peer, names), row["auc"]
        history.append(row)
    return best, history


def _learn(peer: TrainedPeer, batch: Batch, settings: TrainingSettings) -> float:
    """Gradients of one batch; its loss."""
    with torch.autocast(peer.device.type, torch.bfloat16, enabled=settings.precision == "bf16"):
        loss = peer.find_loss(move(batch, peer.device))
    (loss / settings.accumulate).backward()
    return loss.item()


def _step(peer: TrainedPeer, optimizer: torch.optim.Optimizer, clip_norm: float) -> None:
    if clip_norm:
        trained = [value for value in peer.network.parameters() if value.requires_grad]
        torch.nn.utils.clip_grad_norm_(trained, clip_norm)
    optimizer.step()
    optimizer.zero_grad()


def _copy(peer: TrainedPeer, names: tuple[str, ...]) -> State:
    state = peer.network.state_dict()
    return {name: state[name].detach().cpu().clone() for name in names}


def draw_batches(views: Views, settings: TrainingSettings, epoch: int, steps: int) -> Iterator[Batch]:
    """The batches of an epoch, the same ones for all peers: every mammogram at most once, mirrored anew."""
    rng = np.random.default_rng((settings.seed, epoch))
    order = rng.permutation(len(views))[: steps * settings.accumulate * settings.batch_size]
    for numbers in order.reshape(-1, settings.batch_size):
        yield views.take(numbers.tolist(), rng.random((len(numbers), 2)) < settings.flip)


def move(batch: Batch, device: torch.device) -> Batch:
    """Pictures and masks on a device; texts and labels stay where they are."""
    return batch._replace(crops=batch.crops.to(device), present=batch.present.to(device))


@torch.no_grad()
def score_views(peer: Peer, views: Views, batch_size: int, precision: str = "fp32") -> np.ndarray:
    """(N,) scores of a part, NaN where a peer gives no answer.

    Args:
        peer: in eval mode.
        views: of the part.
        batch_size: mammograms at once.
        precision: "bf16" or "fp32".
    """
    device = peer.device if isinstance(peer, TrainedPeer) else torch.device("cpu")
    found = []
    for start in range(0, len(views), batch_size):
        numbers = list(range(start, min(start + batch_size, len(views))))
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            found.append(peer.score(move(views.take(numbers), device)))
    return np.concatenate(found)


def validate(peer: TrainedPeer, views: Views, settings: TrainingSettings) -> float:
    """AUC of the validation part."""
    peer.network.eval()
    scores = score_views(peer, views, settings.batch_size, settings.precision)
    return float(auc(to_cases(scores, views.entries)))
