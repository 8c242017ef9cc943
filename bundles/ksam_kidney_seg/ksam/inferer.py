"""The predict step: slices, volumes and tensors; templates tell the network what to segment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.inferers import Inferer
from torch import nn
from tqdm import tqdm

from common.errors import ConfigError, InputError

from .carry import Carried, carry_slices, find_own_slices
from .consistency import Consistency, build_consistency, predict_squares
from .eager import EagerNetwork, weights_version
from .frame import Frame, build_frame, build_volume_frame
from .predictions import SlicePrediction, VolumePrediction, gather_volume, to_slice
from .predictor import Candidates, PromptSettings, SquarePredictor
from .prompt_cache import FeatureFiles, hash_settings, hash_weights
from .prompts import load_task
from .template_reader import PromptNetwork, TemplateReader
from .templates import Task, Template, image_modality, relative_position
from .two_steps import iterate_in_regions, predict_in_regions

__all__ = ["EagerNetwork", "KnowledgePromptInferer", "SlicePrediction", "VolumePrediction", "gather_volume"]


class KnowledgePromptInferer(Inferer):
    """Segments what the templates of a task show.

    A slice is encoded once, a template once in a run (or never, if its features are on disk); each structure
    and template then costs one pass of the small part of the network. Volumes go slice by slice. What was
    read of templates is dropped when the network's weights change.

    Args:
        task: a `Task`, the path of a task or library folder, or None: then each call brings its task, or
            `__call__` uses the bank inside the network.
        retrieval, templates, average, batch_size: see `predictor.PromptSettings`.
        cache: keep the features of templates in the task's folder.
        progress: show a bar for volumes.
        consistency: how slices of a volume help each other, see `consistency.Consistency`; None: not at all.
        carry: where a template is a slice of the volume itself, carry what SAM's decoder can redraw of it
            from there, see `carry`; the network is asked for the rest, and encodes its slices itself.

    Raises:
        InputError: the task cannot be read.
        ConfigError: a setting out of range.
    """

    def __init__(
        self,
        task: Task | str | Path | None = None,
        retrieval: str = PromptSettings.retrieval,
        templates: int = PromptSettings.templates,
        average: str = PromptSettings.average,
        batch_size: int = PromptSettings.batch_size,
        cache: bool = True,
        progress: bool = False,
        consistency: Mapping[str, Any] | Consistency | None = None,
        carry: bool = False,
    ) -> None:
        self.task = load_task(task) if isinstance(task, (str, Path)) else task
        self.settings = PromptSettings(retrieval, templates, average, batch_size)
        self.cache, self.progress, self.carry = cache, progress, carry
        self.consistency = build_consistency(consistency)
        self._made_for: tuple[Any, ...] = ()
        self._predictors: dict[str, SquarePredictor] = {}

    def __call__(  # type: ignore[override]
        self, inputs: torch.Tensor, network: nn.Module, *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """As MONAI's inferers.

        Args:
            inputs: (B, 3, H, W) RGB 0..255.
            network: KSam.
            args, kwargs: for the network, where there is no task.

        Returns:
            Logits (B, n, H, W); without a task, what the network itself returns.
        """
        if self.task is None:
            return network(inputs, *args, **kwargs)
        predictor, task = self.predictor(network, self.task), self.task
        size = (predictor.network.image_size,) * 2
        images = torch.nn.functional.interpolate(inputs.float(), size, mode="bilinear", align_corners=False)
        found = [predictor.predict(image[None], candidates_of(task)).logits for image in images]
        logits = torch.from_numpy(np.stack(found)).to(inputs.device)
        return torch.nn.functional.interpolate(
            logits, inputs.shape[-2:], mode="bilinear", align_corners=False
        )

    def predict_slice(
        self,
        image: np.ndarray,
        network: nn.Module | PromptNetwork,
        templates: Sequence[Template] | None = None,
        position: float | None = None,
        frame: Frame | None = None,
        task: Task | None = None,
        members: bool = False,
    ) -> SlicePrediction:
        """Segment one slice.

        Args:
            image: (r, c) HU, or (r, c, 3) RGB uint8.
            network: KSam, or an engine.
            templates: to choose from, instead of the task's.
            position: of the slice along the patient's axis, 0 (inferior) to 1.
            frame: what the network sees of the slice; made by the task's crop where it is None.
            task: instead of the inferer's own.
            members: also return what each template says alone.

        Raises:
            InputError: a slice of another modality than the prompts, or no template for a structure.
            ConfigError: neither task given; retrieval by position without one.
        """
        task = self._task(task)
        task.check_input(image_modality(image))
        if task.crop == "region":
            task = task if templates is None else replace(task, templates=tuple(templates))
            return predict_in_regions(self, image, network, task, frame, position, members)
        predictor = self.predictor(network, task)
        frame = frame or build_frame(image, task.crop, predictor.network.image_size)
        square = torch.from_numpy(frame.to_network(image, task.window))[None]
        answer = predictor.predict(square, candidates_of(task, templates), position)
        return to_slice(answer, frame, task.structures, members)

    def iterate_volume(
        self,
        voxels: np.ndarray,
        network: nn.Module | PromptNetwork,
        frame: Frame | None = None,
        task: Task | None = None,
        slice_mm: float | None = None,
    ) -> Iterator[SlicePrediction]:
        """Segment a volume from its lowest slice to its highest.

        Holds one slice at a time, unless slices help each other.

        Args:
            voxels: (R, C, Z) HU, as `AxialView.voxels`.
            network, task: as in `predict_slice`.
            frame: of all slices; made by the task's crop where it is None.
            slice_mm: distance of slices; needed for smoothing only.

        Raises:
            InputError, ConfigError: as `predict_slice`.
        """
        check_volume(voxels)
        task = self._task(task)
        size: Any = network.image_size
        frame = frame or build_volume_frame(voxels, task.crop, size)
        carried = self._carry(voxels, network, frame, task)
        if carried is None:
            yield from self._iterate_network(voxels, network, frame, task, slice_mm)
            return
        left = [name for name in task.structure_names if name not in carried.logits]
        rest: Iterator[SlicePrediction | None] = repeat(None, voxels.shape[2])
        if left:
            rest = self._iterate_network(voxels, network, frame, task.only(left), slice_mm)
        for z, answer in enumerate(rest):
            yield carried.join(z, task.structures, answer)

    def _carry(
        self, voxels: np.ndarray, network: nn.Module | PromptNetwork, frame: Frame, task: Task
    ) -> Carried | None:
        """What slices of the volume itself tell; None where there are none, or no box tells anything."""
        own = find_own_slices(voxels, task.templates) if self.carry else {}
        if not own:
            return None
        engine = self.predictor(network, task).network
        sam: Any = engine.network.sam
        carried = carry_slices(sam, engine.encode, voxels, frame, task.window, own, self.progress)
        return carried if carried.logits else None

    def _iterate_network(
        self,
        voxels: np.ndarray,
        network: nn.Module | PromptNetwork,
        frame: Frame,
        task: Task,
        slice_mm: float | None,
    ) -> Iterator[SlicePrediction]:
        """What the network says of every slice."""
        if task.crop == "region":
            yield from iterate_in_regions(self, voxels, network, task, frame, slice_mm)
            return
        places = [relative_position(z, voxels.shape[2]) for z in range(voxels.shape[2])]
        yield from self.iterate_slices(voxels, network, frame, task, places, slice_mm)

    def iterate_slices(
        self,
        voxels: np.ndarray,
        network: nn.Module | PromptNetwork,
        frame: Frame,
        task: Task,
        places: Sequence[float],
        slice_mm: float | None = None,
        progress: bool | None = None,
    ) -> Iterator[SlicePrediction]:
        """Segment neighbouring slices of a volume in one frame, from the lowest to the highest.

        Args:
            voxels: (r, c, Z) HU of these slices.
            network, frame, task: as in `iterate_volume`; the task works in one step.
            places: positions of these slices in the whole volume, 0 (inferior) to 1.
            slice_mm: distance of slices; needed for smoothing only.
            progress: show a bar; None: as the inferer does.

        Raises:
            InputError, ConfigError: as `predict_slice`.
        """
        progress = self.progress if progress is None else progress
        if self.consistency.is_on:
            yield from self._iterate_consistent(voxels, network, frame, task, places, slice_mm, progress)
            return
        for z in tqdm(range(voxels.shape[2]), "slices", unit="slice", disable=not progress):
            yield self.predict_slice(voxels[:, :, z], network, None, places[z], frame, task)

    def predict_volume(
        self,
        voxels: np.ndarray,
        network: nn.Module | PromptNetwork,
        frame: Frame | None = None,
        task: Task | None = None,
        slice_mm: float | None = None,
    ) -> VolumePrediction:
        """Segment a volume. Arguments and errors as in `iterate_volume`."""
        task = self._task(task)
        slices = self.iterate_volume(voxels, network, frame, task, slice_mm)
        return gather_volume(slices, voxels.shape, task.structures)

    def _iterate_consistent(
        self,
        voxels: np.ndarray,
        network: nn.Module | PromptNetwork,
        frame: Frame,
        task: Task,
        places: Sequence[float],
        slice_mm: float | None,
        progress: bool,
    ) -> Iterator[SlicePrediction]:
        task.check_input("CT")
        predictor, candidates = self.predictor(network, task), candidates_of(task)
        options = (places, self.consistency, slice_mm, progress)
        for answer in predict_squares(predictor, voxels, frame, task, candidates, *options):
            yield to_slice(answer, frame, task.structures)

    def describe(self) -> dict[str, Any]:
        """What a result says about retrieval, averaging and, where it is on, consistency."""
        settings = asdict(self.settings) | {"carry": self.carry}
        return settings | ({"consistency": asdict(self.consistency)} if self.consistency.is_on else {})

    def predictor(self, network: nn.Module | PromptNetwork, task: Task) -> SquarePredictor:
        """What runs the network on squares; made anew when weights, window or folder change."""
        made_for = (weights_version(network), task.window, task.folder)
        if made_for != self._made_for:
            self._predictors, self._made_for = {}, made_for
        if task.crop not in self._predictors:
            self._predictors[task.crop] = self._make_predictor(network, task)
        return self._predictors[task.crop]

    def _make_predictor(self, network: nn.Module | PromptNetwork, task: Task) -> SquarePredictor:
        engine = EagerNetwork(network) if isinstance(network, nn.Module) else network
        folder = task.folder if self.cache else None
        key = ""
        if folder is not None:
            view = (engine.image_size, task.window, task.crop)
            key = hash_settings(hash_weights(engine.network), sorted(engine.describe().items()), view)
        files = FeatureFiles(folder, key)
        return SquarePredictor(engine, TemplateReader(engine, task.window, task.crop, files), self.settings)

    def _task(self, task: Task | None) -> Task:
        task = task or self.task
        if task is None:
            raise ConfigError("prompts: expected a task folder, got none: set prompts to one")
        return task


def candidates_of(task: Task, templates: Sequence[Template] | None = None) -> Candidates:
    """The templates of each structure: the task's, or those given.

    Raises:
        InputError: a structure that none of the given templates shows, or templates of another modality.
    """
    if templates is not None:
        task = Task(
            task.name, task.modality, task.window, task.crop, task.structures, tuple(templates), task.licence
        )
    return {name: task.templates_of(name) for name in task.structure_names}


def check_volume(voxels: np.ndarray) -> None:
    """Raises InputError unless (R, C, Z) with at least one slice."""
    if voxels.ndim != 3 or 0 in voxels.shape:
        raise InputError(f"expected a volume (rows, columns, slices), got {voxels.shape}: give one CT series")
