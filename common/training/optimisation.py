"""Optimizer, learning-rate schedule and precision of a training step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from ignite.engine import Engine
from monai.engines.utils import IterationEvents
from monai.inferers import Inferer
from monai.optimizers import WarmupCosineSchedule
from torch import nn

from ..errors import ConfigError


class PrecisionInferer(Inferer):
    """One forward pass in the wanted precision, on the memory layout that convolutions like.

    Args:
        precision: "fp32", or "bf16" for autocast (weights, gradients and the loss stay fp32); quick on a CPU
            with AMX or AVX512-BF16 and on a recent GPU.

    Raises:
        ConfigError: another precision.
    """

    def __init__(self, precision: str = "bf16") -> None:
        if precision not in ("fp32", "bf16"):
            raise ConfigError(f"precision: expected fp32 or bf16, got '{precision}': bf16 is the quicker")
        self.precision = precision

    def __call__(
        self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """(B, C, H, W) of any type -> the network's output as float32."""
        image = inputs.to(torch.float32, memory_format=torch.channels_last)
        with torch.autocast(image.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            return network(image, *args, **kwargs).float()


def build_optimizer(
    network: nn.Module,
    name: str,
    learning_rate: float,
    weight_decay: float,
    betas: tuple[float, float] = (0.9, 0.999),
    rates: Mapping[str, float] | None = None,
) -> torch.optim.Optimizer:
    """ "adamw" or "adam"; biases and normalisation layers are not decayed.

    Args:
        network: its parameters that require a gradient are trained.
        name: "adamw" or "adam".
        learning_rate: of the schedule's full height, positive.
        weight_decay: 0 for none.
        betas: decay rates of the two moments, each in [0, 1).
        rates: name of a module -> factor on the learning rate of what is below it, such as
            {"backbone": 0.1}; the first that a parameter's name contains counts.

    Raises:
        ConfigError: another name, betas outside their range, a learning rate or factor that is not positive,
            or a module that trains nothing.
    """
    kinds = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}
    if name not in kinds:
        raise ConfigError(f"optimizer: expected {' or '.join(kinds)}, got '{name}': adamw is usual")
    if not learning_rate > 0:
        raise ConfigError(f"learning_rate: expected a positive number, got {learning_rate}: 0.0003 is usual")
    if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
        raise ConfigError(f"betas: expected two numbers in [0, 1), got {betas}: 0.9 and 0.999 are usual")
    groups: list[dict[str, Any]] = []
    for factor, parameters in _by_rate(network, rates or {}).items():
        for decay, few in ((0.0, True), (weight_decay, False)):
            chosen = [p for p in parameters if (p.ndim < 2) == few]
            groups.append({"params": chosen, "weight_decay": decay, "lr": learning_rate * factor})
    return kinds[name](
        [group for group in groups if group["params"]], lr=learning_rate, betas=(betas[0], betas[1])
    )


def _by_rate(network: nn.Module, rates: Mapping[str, float]) -> dict[float, list[nn.Parameter]]:
    """Trained parameters by the factor on their learning rate, 1 at the end. Raises ConfigError."""
    found: dict[float, list[nn.Parameter]] = {factor: [] for factor in (*rates.values(), 1.0)}
    used = set()
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            module = next((module for module in rates if module in name.split(".")), None)
            used.add(module)
            found[1.0 if module is None else rates[module]].append(parameter)
    for module, factor in rates.items():
        if module not in used or not factor > 0:
            raise ConfigError(
                f"rates: expected factors above 0 for modules that are trained, got {module}: {factor}: "
                "correct it, or leave it out"
            )
    return found


def build_scheduler(
    optimizer: torch.optim.Optimizer,
    epoch_length: int,
    schedule: str,
    epochs: int,
    warmup_epochs: float,
    floor: float = 0.0,
) -> WarmupCosineSchedule:
    """Learning rate per iteration: a linear start from a tenth, then "cosine" down to `floor` or "constant".

    Args:
        optimizer: what is scheduled.
        epoch_length: iterations of an epoch.
        schedule: "cosine" or "constant".
        epochs: of the whole run, at least 1.
        warmup_epochs: length of the linear start; at most half of the run is taken.
        floor: share of the optimizer's learning rate below which the cosine does not fall, 0 to below 1.

    Raises:
        ConfigError: another schedule, no epoch, or a floor out of range.
    """
    cycles = {"cosine": 0.5, "constant": 0.0}
    if schedule not in cycles:
        raise ConfigError(f"schedule: expected cosine or constant, got '{schedule}': cosine is usual")
    if epochs < 1:
        raise ConfigError(f"epochs: expected at least 1, got {epochs}: 10 is usual")
    if not 0 <= floor < 1:
        raise ConfigError(f"floor: expected a share from 0 to below 1, got {floor}: 0.03 is usual")
    steps = epochs * epoch_length
    warmup = min(round(warmup_epochs * epoch_length), steps // 2)
    lowest = floor * float(optimizer.defaults["lr"])
    return WarmupCosineSchedule(optimizer, warmup, steps, lowest, cycles[schedule], warmup_multiplier=0.1)


class GradientClip:
    """Trainer handler: gradients longer than `norm` are shortened to it.

    Args:
        network: in training.
        norm: greatest length of all gradients together; 0 leaves them as they are (paper).

    Raises:
        ConfigError: a negative norm.
    """

    def __init__(self, network: nn.Module, norm: float) -> None:
        if norm < 0:
            raise ConfigError(f"clip_norm: expected 0 (off) or more, got {norm}: 1 is usual")
        self.parameters = [value for value in network.parameters() if value.requires_grad]
        self.norm = norm

    def attach(self, engine: Engine) -> None:
        """Register with MONAI's trainer."""
        if self.norm:
            engine.add_event_handler(IterationEvents.BACKWARD_COMPLETED, self._clip)

    def _clip(self) -> None:
        torch.nn.utils.clip_grad_norm_(self.parameters, self.norm)
