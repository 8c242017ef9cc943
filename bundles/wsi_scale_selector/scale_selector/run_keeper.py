"""What a training run leaves behind: checkpoint, best classifier and history, epoch by epoch."""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
import torch.distributed as dist
from ignite.engine import Engine, Events
from monai.handlers import CheckpointLoader
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from common.errors import ConfigError
from common.io.files import atomic_path, write_json

from .export import ClassifierWriter, unwrap

CHECKPOINT = "checkpoint.pt"
HISTORY = "history.json"
METRIC = "mean_accuracy"
logger = logging.getLogger(__name__)


class RunKeeper:
    """Trainer handler: seeds each epoch, shows progress, saves checkpoint and best classifier, stops early.

    Attach it after the validation and learning-rate handlers: it stores what they left. Every epoch is seeded
    by itself, so that a resumed run repeats an uninterrupted one exactly.

    Args:
        output_dir: the run's folder: `checkpoint.pt`, `history.json`, and what `writer` writes.
        network: the network in training, as the optimizer sees it.
        optimizer: its optimizer.
        scheduler: its learning-rate schedule.
        validator: validation engine; its mean accuracy decides which epoch is best.
        writer: writes the classifier whenever the metric improves.
        seed: of everything random that is not a patch's own (dropout).
        patience: stop after this many validations without improvement; 0 never stops early.
        resume: continue from `checkpoint.pt`; False refuses a folder that holds one.
        tensorboard: write the history for TensorBoard too.

    Raises:
        ConfigError: the folder holds another run, there is nothing to resume, or the loss is not finite.
    """

    def __init__(
        self,
        output_dir: str | Path,
        network: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        scheduler: Any,
        validator: Engine,
        writer: ClassifierWriter,
        seed: int = 0,
        patience: int = 0,
        resume: bool = False,
        tensorboard: bool = False,
    ) -> None:
        self.folder = Path(output_dir)
        _check_folder(self.folder, resume)
        self.optimizer = optimizer
        self.objects: dict[str, Any] = {
            "network": unwrap(network),
            "optimizer": optimizer,
            "scheduler": scheduler,
        }
        self.validator, self.writer = validator, writer
        self.seed, self.patience, self.resume = seed, patience, resume
        self.rank = dist.get_rank() if dist.is_initialized() else 0
        self.board = SummaryWriter(output_dir) if tensorboard and self.rank == 0 else None
        self.history: list[dict[str, float]] = []
        self.validated_epoch = 0
        self.losses: list[float] = []
        self.start_s = 0.0
        self.bar = tqdm(disable=True)

    def attach(self, trainer: Engine) -> None:
        """Register with MONAI's trainer."""
        for engine in (trainer, self.validator):
            engine.logger.setLevel(logging.WARNING)
        self.objects |= {"trainer": trainer, "keeper": self}
        if self.resume:
            trainer.add_event_handler(Events.STARTED, self._load)
        self.validator.add_event_handler(Events.COMPLETED, self._note_validation, trainer)
        trainer.add_event_handler(Events.EPOCH_STARTED, self._start_epoch)
        trainer.add_event_handler(Events.ITERATION_COMPLETED, self._add_loss)
        trainer.add_event_handler(Events.EPOCH_COMPLETED, self._end_epoch)

    def state_dict(self) -> dict[str, Any]:
        return {"history": self.history}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.history = list(state["history"])

    @property
    def validated(self) -> list[dict[str, float]]:
        """The epochs that were validated."""
        return [row for row in self.history if METRIC in row]

    @property
    def best(self) -> dict[str, float] | None:
        """The validated epoch with the highest metric, the earliest of equals."""
        return max(self.validated, key=lambda row: row[METRIC], default=None)

    def _load(self, trainer: Engine) -> None:
        path, device = self.folder / CHECKPOINT, trainer.state.device  # type: ignore[attr-defined]
        try:
            CheckpointLoader(str(path), self.objects, map_location=device)(trainer)
        except (RuntimeError, ValueError, KeyError, UnpicklingError) as error:
            reason = str(error).strip().splitlines()[0][:120]
            raise ConfigError(
                f"resume: expected a {CHECKPOINT} of the same classifier and fewer epochs, got '{reason}': "
                "repeat the first command with --resume True, or choose another output_dir"
            ) from error

    def _start_epoch(self, trainer: Engine) -> None:
        torch.manual_seed((self.seed * 1009 + trainer.state.epoch) * 1009 + self.rank)
        self.start_s, self.losses = time.perf_counter(), []
        title = f"epoch {trainer.state.epoch}/{trainer.state.max_epochs}"
        pause_s = 0.2 if sys.stderr.isatty() else 15.0
        quiet = self.rank > 0
        total = trainer.state.epoch_length
        self.bar = tqdm(total=total, desc=title, leave=False, mininterval=pause_s, disable=quiet)

    def _add_loss(self, trainer: Engine) -> None:
        output: Any = trainer.state.output
        self.losses.append(output["loss"].item())

        if not math.isfinite(self.losses[-1]):
            raise ConfigError(
                f"learning_rate: expected a finite loss, got {self.losses[-1]}: lower it, or warm up longer"
            )
        self.bar.set_postfix(loss=f"{self.losses[-1]:.4f}", refresh=False)
        self.bar.update()

    def _note_validation(self, _: Engine, trainer: Engine) -> None:
        self.validated_epoch = trainer.state.epoch

    def _end_epoch(self, trainer: Engine) -> None:
        self.bar.close()
        row = self._row(trainer.state.epoch)
        improved = METRIC in row and (self.best is None or row[METRIC] > self.best[METRIC])
        self.history.append(row)
        if self.rank == 0:
            self._save(improved)
        logger.info("%s", _sentence(row, self.best))
        if self.patience and self.best and self._epochs_since_best() >= self.patience:
            logger.info("stopped early: no improvement in %d validations", self.patience)
            trainer.terminate()

    def _save(self, improved: bool) -> None:
        if improved:
            self.writer.write(self.history)
        write_json(self.folder / HISTORY, self.history)
        if self.board is not None:
            for name in self.history[-1].keys() - {"epoch"}:
                self.board.add_scalar(name, self.history[-1][name], self.history[-1]["epoch"])
            self.board.flush()
        with atomic_path(self.folder / CHECKPOINT) as temporary:
            torch.save({name: item.state_dict() for name, item in self.objects.items()}, temporary)

    def _row(self, epoch: int) -> dict[str, float]:
        row = {
            "epoch": epoch,
            "loss": sum(self.losses) / len(self.losses),
            "learning_rate": self.optimizer.param_groups[-1]["lr"],
            "seconds": time.perf_counter() - self.start_s,
        }
        if self.validated_epoch == epoch:
            row[METRIC] = float(self.validator.state.metrics[METRIC])
        return row

    def _epochs_since_best(self) -> int:
        return len(self.validated) - 1 - self.validated.index(self.best) if self.best else 0


def _check_folder(folder: Path, resume: bool) -> None:
    exists = (folder / CHECKPOINT).is_file()
    if resume and not exists:
        raise ConfigError(f"resume: expected {CHECKPOINT} in output_dir, got none: start with --resume False")
    if exists and not resume:
        raise ConfigError(
            f"output_dir: expected no earlier run, got its {CHECKPOINT}: continue with --resume True, or "
            "choose another folder"
        )


def _sentence(row: Mapping[str, float], best: Mapping[str, float] | None) -> str:
    text = f"epoch {row['epoch']}: loss {row['loss']:.4f}, {row['seconds']:.0f} s"
    if METRIC in row and best:
        text += f", mean accuracy {row[METRIC]:.4f} (best {best[METRIC]:.4f} in epoch {best['epoch']})"
    return text
