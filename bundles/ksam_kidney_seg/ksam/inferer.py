"""The predict step: slices, volumes and tensors; templates tell the network what to segment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.inferers import Inferer
from monai.networks.utils import eval_mode
from torch import nn
from tqdm import tqdm

from common.errors import ConfigError, InputError

from .agreement import expected_dice
from .frame import Frame, build_frame
from .postprocess import label_map, masks_from_logits
from .predictor import Candidates, PromptSettings, SquarePrediction, SquarePredictor
from .prompt_cache import FeatureFiles, hash_settings, hash_weights
from .prompts import load_task
from .structures import Structure
from .template_reader import PromptNetwork, TemplateReader
from .templates import Task, Template, image_modality, relative_position


@dataclass(frozen=True, eq=False)
class SlicePrediction:
    """The answer for one slice.

    Attributes:
        structures: n of them, in the order of the maps.
        logits: (n, r, c) float32; above 0 inside, of each structure taken alone.
        disagreement: (n, r, c) standard deviation over the templates, 0..0.5.
        overlaps: for each structure (pairs, 2) slice pixels, see `agreement.count_overlaps`.
        templates: for each structure the ids of the templates used, best first.
        members: structure name -> template id -> (r, c) logits of that template alone, where asked for.
    """

    structures: tuple[Structure, ...]
    logits: np.ndarray
    disagreement: np.ndarray
    overlaps: tuple[np.ndarray, ...]
    templates: tuple[tuple[str, ...], ...]
    members: Mapping[str, Mapping[str, np.ndarray]] = field(default_factory=dict)

    @property
    def probabilities(self) -> np.ndarray:
        """(n, r, c) 0..1."""
        return torch.from_numpy(self.logits).sigmoid().numpy()

    @property
    def expected_dice(self) -> np.ndarray:
        """(n,), see `agreement.expected_dice`; NaN with one template."""
        return np.array([expected_dice(counts) for counts in self.overlaps])

    def masks(self) -> np.ndarray:
        """(n, r, c) bool: exclusive among siblings, children inside their parent."""
        return masks_from_logits(self.logits, self.structures)

    def labels(self) -> np.ndarray:
        """(r, c) uint8 label map."""
        return label_map(self.masks(), self.structures)


@dataclass(frozen=True, eq=False)
class VolumePrediction:
    """The answer for a volume.

    Attributes:
        structures: n of them.
        labels: (R, C, Z) uint8; `structures.mask_of` gives a structure's mask.
        expected_dice: (n,) over the whole volume, see `agreement.expected_dice`; NaN with one template.
        disagreement: (n,) mean standard deviation inside each structure, 0..0.5; NaN where it was not found.
        templates: for each slice and structure the ids of the templates used.
    """

    structures: tuple[Structure, ...]
    labels: np.ndarray
    expected_dice: np.ndarray
    disagreement: np.ndarray
    templates: tuple[tuple[tuple[str, ...], ...], ...]


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
    ) -> None:
        self.task = load_task(task) if isinstance(task, (str, Path)) else task
        self.settings = PromptSettings(retrieval, templates, average, batch_size)
        self.cache, self.progress = cache, progress
        self._made_for: tuple[Any, ...] = ()
        self._predictor: SquarePredictor | None = None

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
    ) -> Iterator[SlicePrediction]:
        """Segment a volume from its lowest slice to its highest; holds one slice at a time.

        Args:
            voxels: (R, C, Z) HU, as `AxialView.voxels`.
            network, frame, task: as in `predict_slice`.

        Raises:
            InputError, ConfigError: as `predict_slice`.
        """
        check_volume(voxels)
        slices = tqdm(range(voxels.shape[2]), "slices", unit="slice", disable=not self.progress)
        for z in slices:
            place = relative_position(z, voxels.shape[2])
            yield self.predict_slice(voxels[:, :, z], network, None, place, frame, task)

    def predict_volume(
        self,
        voxels: np.ndarray,
        network: nn.Module | PromptNetwork,
        frame: Frame | None = None,
        task: Task | None = None,
    ) -> VolumePrediction:
        """Segment a volume. Arguments and errors as in `iterate_volume`."""
        task = self._task(task)
        return gather_volume(self.iterate_volume(voxels, network, frame, task), voxels.shape, task.structures)

    def predictor(self, network: nn.Module | PromptNetwork, task: Task) -> SquarePredictor:
        """What runs the network on squares; made anew when weights, window, crop or folder change."""
        made_for = (weights_version(network), task.window, task.crop, task.folder)
        if self._predictor is None or made_for != self._made_for:
            self._predictor, self._made_for = self._make_predictor(network, task), made_for
        return self._predictor

    def _make_predictor(self, network: nn.Module | PromptNetwork, task: Task) -> SquarePredictor:
        engine = EagerNetwork(network) if isinstance(network, nn.Module) else network
        folder = task.folder if self.cache and isinstance(network, nn.Module) else None
        weights = hash_weights(network) if folder is not None and isinstance(network, nn.Module) else ""
        files = FeatureFiles(
            folder, hash_settings(weights, "fp32", engine.image_size, task.window, task.crop)
        )
        return SquarePredictor(engine, TemplateReader(engine, task.window, task.crop, files), self.settings)

    def _task(self, task: Task | None) -> Task:
        task = task or self.task
        if task is None:
            raise ConfigError("prompts: expected a task folder, got none: set prompts to one")
        return task


class EagerNetwork:
    """KSam as it is, in eval mode; the reference for the engines.

    Args:
        network: KSam, on any device.
    """

    def __init__(self, network: nn.Module) -> None:
        self._network: Any = network
        self.image_size: int = self._network.image_size

    def encode(self, image: torch.Tensor) -> torch.Tensor:
        return self._run("encode", image)

    def read_prompt(self, embedding: torch.Tensor, image: torch.Tensor, mask: torch.Tensor) -> Any:
        return self._run("read_prompt", embedding, image, mask)

    def segment(self, embedding: torch.Tensor, knowledge: Any) -> torch.Tensor:
        return self._run("segment", embedding, knowledge)

    @torch.inference_mode()
    def _run(self, name: str, *tensors: Any) -> Any:
        device = next(self._network.parameters()).device
        with eval_mode(self._network):
            return getattr(self._network, name)(*(move(tensor, device) for tensor in tensors))


def move(value: Any, device: torch.device) -> Any:
    """A tensor or a named tuple of tensors on another device."""
    return (
        value.to(device)
        if isinstance(value, torch.Tensor)
        else type(value)(*(move(v, device) for v in value))
    )


def weights_version(network: nn.Module | PromptNetwork) -> tuple[Any, ...]:
    """Changes whenever a parameter or buffer is replaced or written to; costs no pass over the values."""
    if not isinstance(network, nn.Module):
        return (id(network),)
    tensors = (*network.parameters(), *network.buffers())
    return (id(network), *((id(tensor), tensor.data_ptr(), _version(tensor)) for tensor in tensors))


def _version(tensor: torch.Tensor) -> int:
    return 0 if tensor.is_inference() else tensor._version  # inference tensors cannot be trained further


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


def to_slice(
    answer: SquarePrediction, frame: Frame, structures: tuple[Structure, ...], members: bool = False
) -> SlicePrediction:
    """From the network's square to the slice; outside the square nothing is found and nothing doubted."""
    pixels = (frame.box_px[2] / frame.size_px) ** 2
    return SlicePrediction(
        structures=structures,
        logits=frame.to_slice(answer.logits),
        disagreement=np.clip(frame.to_slice(answer.disagreement), 0.0, 0.5),
        overlaps=tuple(counts * pixels for counts in answer.overlaps),
        templates=tuple(tuple(template.id for template in chosen) for chosen in answer.used),
        members=_name_members(answer, frame, structures) if members else {},
    )


def _name_members(
    answer: SquarePrediction, frame: Frame, structures: tuple[Structure, ...]
) -> dict[str, dict[str, np.ndarray]]:
    found = {}
    for structure, chosen, logits in zip(structures, answer.used, answer.members, strict=True):
        maps = frame.to_slice(logits.float().cpu().numpy())
        found[structure.name] = {template.id: part for template, part in zip(chosen, maps, strict=True)}
    return found


def gather_volume(
    slices: Iterator[SlicePrediction], shape: tuple[int, ...], structures: tuple[Structure, ...]
) -> VolumePrediction:
    """Label map and summary of slices that come from the lowest to the highest."""
    labels = np.zeros(shape, dtype=np.uint8)
    overlaps: list[Any] = [0.0] * len(structures)
    doubt, area = np.zeros(len(structures)), np.zeros(len(structures))
    used = []
    for z, prediction in enumerate(slices):
        masks = prediction.masks()
        labels[:, :, z] = label_map(masks, structures)
        overlaps = [total + counts for total, counts in zip(overlaps, prediction.overlaps, strict=True)]
        doubt += (prediction.disagreement * masks).sum((1, 2))
        area += masks.sum((1, 2))
        used.append(prediction.templates)
    expected = np.array([expected_dice(counts) for counts in overlaps])
    means = np.where(area > 0, doubt / np.maximum(area, 1), np.nan)
    return VolumePrediction(structures, labels, expected, means, tuple(used))


def check_volume(voxels: np.ndarray) -> None:
    """Raises InputError unless (R, C, Z) with at least one slice."""
    if voxels.ndim != 3 or 0 in voxels.shape:
        raise InputError(f"expected a volume (rows, columns, slices), got {voxels.shape}: give one CT series")
