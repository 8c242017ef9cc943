"""Optimizer, schedule and precision, for the configs (their targets stay inside the bundle's own package)."""

from __future__ import annotations

from typing import Any

from monai.optimizers import WarmupCosineSchedule
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from common.training import optimisation
from common.training.optimisation import PrecisionInferer, build_optimizer

__all__ = ["PrecisionInferer", "build_optimizer", "build_scheduler"]


def build_scheduler(optimizer: Optimizer, loader: DataLoader, **arguments: Any) -> WarmupCosineSchedule:
    """`common.training.optimisation.build_scheduler` for the epochs of this loader. Raises ConfigError."""
    return optimisation.build_scheduler(optimizer, len(loader), **arguments)
