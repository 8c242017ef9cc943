"""What a training run leaves behind: checkpoint, best or last weights and history, epoch by epoch."""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Protocol

import torch
from ignite.engine import Engine, Events
from monai.handlers import CheckpointLoader
from tqdm import tqdm

from ..errors import ConfigError
from ..io.files import atomic_path, write_json
from .processes import process_place
from .tracking import Tracker

CHECKPOINT = "checkpoint.pt"
HISTORY = "history.json"
KEPT = ("best", "last")
logger = logging.getLogger(__name__)


class Stateful(Protocol):
    """What a checkpoint keeps: a network, or the part of it that is trained."""

    def state_dict(self) -> Mapping[str, Any]:
        """Tensors by name."""

    def load_state_dict(self, state: Mapping[str, Any]) -> Any:
        """Take them over, strictly."""


class WeightWriter(Protocol):
    """Writes the result of a run."""

    def write(self, history: Sequence[Mapping[str, float]]) -> None:
        """Called when the weights are to be kept; the last row is that of their epoch."""


class RunKeeper:
    """Trainer handler: seeds each epoch, shows progress, saves checkpoint and best weights, stops early.

    Attach it after the validation and learning-rate handlers: it stores what they left, and every figure in
    the metrics of validator and trainer. Every epoch is seeded by itself, so that a resumed run repeats an
    uninterrupted one exactly.

    Args:
        output_dir: the run's folder: `checkpoint.pt`, `history.json`, and what `writer` writes.
        network: what is trained, without wrappers.
        optimizer: its optimizer.
        scheduler: its learning-rate schedule.
        validator: validation engine; its metric decides which epoch is best.
        metric: the name of that metric, greater is better.
        writer: writes the weights whenever the metric improves, or after every epoch.
        keep: "best" or "last". Where training ends with small steps and validation shows less than what is
            wanted (cameras that nobody has seen), the last weights are the better ones.
        seed: of everything random that is not a sample's own (dropout).
        patience: stop after this many validations without improvement; 0 never stops early.
        resume: continue from `checkpoint.pt`; False refuses a folder that holds one.
        tracker: shows the history elsewhere too.
        settings: what a resumed run must share with the one that wrote the checkpoint.
        extra: what else a checkpoint keeps, by name.

    Raises:
        ConfigError: the folder holds another run, there is nothing to resume, `keep` is another word, or the
            loss is not finite.
    """

    def __init__(
        self,
        output_dir: str | Path,
        network: Stateful,
        optimizer: torch.optim.Optimizer,
        scheduler: Any,
        validator: Engine,
        metric: str,
        writer: WeightWriter,
        keep: str = "best",
        seed: int = 0,
        patience: int = 0,
        resume: bool = False,
        tracker: Tracker | None = None,
        settings: Mapping[str, Any] | None = None,
        extra: Mapping[str, Stateful] | None = None,
    ) -> None:
        self.folder = Path(output_dir)
        _check_folder(self.folder, resume)
        if keep not in KEPT:
            raise ConfigError(f"keep: expected one of {', '.join(KEPT)}, got '{keep}': choose one")
        self.optimizer, self.metric, self.settings = optimizer, metric, dict(settings or {})
        self.objects: dict[str, Any] = {
            "keeper": self,
            "network": network,
            "optimizer": optimizer,
            "scheduler": scheduler,
            **(extra or {}),
        }
        self.validator, self.writer, self.tracker = validator, writer, tracker
        self.keep, self.seed, self.patience, self.resume = keep, seed, patience, resume
        self.rank = process_place()[0]
        self.history: list[dict[str, float]] = []
        self.validated_epoch = 0
        self.losses: list[float] = []
        self.start_s = 0.0
        self.bar = tqdm(disable=True)

    def attach(self, trainer: Engine) -> None:
        """Register with MONAI's trainer."""
        for engine in (trainer, self.validator):
            engine.logger.setLevel(logging.WARNING)
        self.objects |= {"trainer": trainer}
        if self.resume:
            trainer.add_event_handler(Events.STARTED, self._load)
        self.validator.add_event_handler(Events.COMPLETED, self._note_validation, trainer)
        trainer.add_event_handler(Events.EPOCH_STARTED, self._start_epoch)
        trainer.add_event_handler(Events.ITERATION_COMPLETED, self._add_loss)
        trainer.add_event_handler(Events.EPOCH_COMPLETED, self._end_epoch)
        trainer.add_event_handler(Events.COMPLETED, self._close)

    def state_dict(self) -> dict[str, Any]:
        return {"history": self.history, "settings": self.settings}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Raises ConfigError: the checkpoint was written under other settings."""
        written = state["settings"]
        for name, value in self.settings.items():
            if name in written and written[name] != value:
                raise ConfigError(
                    f"resume: expected {name} '{written[name]}' as in {CHECKPOINT}, got '{value}': repeat "
                    "the first command with --resume True, or choose another output_dir"
                )
        self.history = list(state["history"])

    @property
    def validated(self) -> list[dict[str, float]]:
        """The epochs that were validated."""
        return [row for row in self.history if self.metric in row]

    @property
    def best(self) -> dict[str, float] | None:
        """The validated epoch with the highest metric, the earliest of equals."""
        return max(self.validated, key=lambda row: row[self.metric], default=None)

    def _load(self, trainer: Engine) -> None:
        path, device = self.folder / CHECKPOINT, trainer.state.device  # type: ignore[attr-defined]
        try:
            CheckpointLoader(str(path), self.objects, map_location=device)(trainer)
        except (RuntimeError, ValueError, KeyError, UnpicklingError) as error:
            reason = str(error).strip().splitlines()[0][:120]
            raise ConfigError(
                f"resume: expected a {CHECKPOINT} of the same network and fewer epochs, got '{reason}': "
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
                f"learning_rate: expected a finite loss, got {self.losses[-1]} in epoch "
                f"{trainer.state.epoch}: lower it, or warm up longer ({CHECKPOINT} keeps the last complete "
                "epoch)"
            )
        self.bar.set_postfix(loss=f"{self.losses[-1]:.4f}", refresh=False)
        self.bar.update()

    def _note_validation(self, _: Engine, trainer: Engine) -> None:
        self.validated_epoch = trainer.state.epoch

    def _end_epoch(self, trainer: Engine) -> None:
        self.bar.close()
        row = self._row(trainer)
        improved = self.metric in row and (self.best is None or row[self.metric] > self.best[self.metric])
        self.history.append(row)
        if self.rank == 0:
            self._save(improved or self.keep == "last")
        logger.info("%s", _sentence(row, self.best, self.metric))
        if self.patience and self.best and self._epochs_since_best() >= self.patience:
            logger.info("stopped early: no improvement in %d validations", self.patience)
            trainer.terminate()

    def _save(self, kept: bool) -> None:
        if kept:
            self.writer.write(self.history)
        write_json(self.folder / HISTORY, self.history)
        if self.tracker is not None:
            self.tracker.log(self.history[-1])
        with atomic_path(self.folder / CHECKPOINT) as temporary:
            torch.save({name: item.state_dict() for name, item in self.objects.items()}, temporary)

    def _close(self, _: Engine) -> None:
        if self.tracker is not None and self.rank == 0:
            self.tracker.close()

    def _row(self, trainer: Engine) -> dict[str, float]:
        row = {
            "epoch": trainer.state.epoch,
            "loss": sum(self.losses) / len(self.losses),
            "learning_rate": self.optimizer.param_groups[-1]["lr"],
            "seconds": time.perf_counter() - self.start_s,
        }
        if self.validated_epoch == trainer.state.epoch:
            row |= {name: float(value) for name, value in self.validator.state.metrics.items()}
        row |= {name: float(value) for name, value in trainer.state.metrics.items()}
        trainer.state.metrics.clear()
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


def _sentence(row: Mapping[str, float], best: Mapping[str, float] | None, metric: str) -> str:
    text = f"epoch {row['epoch']}: loss {row['loss']:.4f}, {row['seconds']:.0f} s"
    if metric in row and best:
        name = metric.replace("_", " ")
        text += f", {name} {row[metric]:.4f} (best {best[metric]:.4f} in epoch {best['epoch']})"
    return text
