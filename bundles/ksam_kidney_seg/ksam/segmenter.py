"""Where the knowledge comes from: a task folder, or the bank inside the weights; used alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from common.engines.torch_engine import find_device

from .bank_segmenter import BankSegmenter
from .descriptions import ShownTemplate
from .engines import build_ksam_engines
from .frame import Frame, Window
from .inferer import KnowledgePromptInferer
from .network import KSam
from .predictions import SlicePrediction, VolumePrediction
from .structures import Structure, read_structures
from .task_segmenter import TaskSegmenter


class Segmenter(Protocol):
    """A network that has been told what to segment."""

    modality: str
    window: Window | None
    crop: str
    structures: tuple[Structure, ...]
    size_px: int

    def check_input(self, modality: str) -> None:
        """Raises InputError where the input ("CT" or "picture") is of another modality than the examples."""

    def predict_slice(self, image: np.ndarray, frame: Frame, position: float | None) -> SlicePrediction:
        """One slice (r, c) HU or picture (r, c, 3)."""

    def predict_volume(self, voxels: np.ndarray, frame: Frame, slice_mm: float) -> VolumePrediction:
        """A volume (R, C, Z) HU with the distance of its slices."""

    def describe_run(self) -> dict[str, Any]:
        """What a result says about "weights", "engine" and "settings"."""

    def describe(self, used: Sequence[Sequence[Sequence[str]]]) -> dict[str, Any]:
        """What a result says about its prompts.

        Args:
            used: for each slice and structure the ids of the templates.
        """

    def shown(self, used: Sequence[Sequence[Sequence[str]]]) -> list[ShownTemplate]:
        """The templates that were used, those used most first."""


def build_segmenter(
    network: KSam,
    inferer: KnowledgePromptInferer,
    labels: str | Path,
    window: Mapping[str, float] | None = None,
    crop: str = "none",
    engine: str = "auto",
    precision: str = "auto",
    device: str = "cpu",
) -> Segmenter:
    """The segmenter of a config.

    Args:
        network: KSam.
        inferer: with a task, which then brings structures, window and crop; without one the bank is asked.
        labels: labels.json with the structures of the bank.
        window: {"center_hu", "width_hu"} of the bank's examples; None: they are pictures.
        crop: of the bank's examples.
        engine, precision, device: see `common.engines.build_tensor_engine`.

    Raises:
        ConfigError: neither a task nor a bank, a bank of other structures, or a device that is not there.
    """
    find_device(device)
    make_engine = partial(build_ksam_engines, network, engine, precision, device)
    if inferer.task is not None:
        return TaskSegmenter(network, inferer, make_engine)
    shown = None if window is None else Window(**window)
    return BankSegmenter(network, read_structures(labels), shown, crop, inferer.progress, make_engine)
