"""Where the knowledge comes from: a task folder, or the bank inside the weights; used alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from tqdm import tqdm

from common.engines.torch_engine import find_device
from common.errors import ConfigError, InputError

from .agreement import combine
from .eager import EagerNetwork
from .engines import build_ksam_engines
from .frame import Frame, Window, build_frame
from .inferer import KnowledgePromptInferer
from .network import KSam
from .predictions import SlicePrediction, VolumePrediction, gather_volume
from .structures import Structure, read_structures
from .template_reader import PromptNetwork
from .templates import Task, image_modality

TASK_NOTE = (
    "Nothing else told the network what to segment: a structure that looks different from these examples is "
    "likely to be missed."
)
BANK_NOTE = "No prompts were given: the examples that are stored in the weights were used."

MakeEngine = Callable[[], Any]

ShownTemplate = tuple[str, np.ndarray, dict[str, np.ndarray]]
"""Name, image (S, S, 3) 0..255 as the network sees it, and masks (S, S) bool by structure."""


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


class TaskSegmenter:
    """A network with the templates of a task.

    Args:
        network: KSam.
        inferer: with a task.
        make_engine: makes what runs the network, at first use; None: the network itself.

    Raises:
        ConfigError: the inferer has no task.
    """

    def __init__(
        self, network: KSam, inferer: KnowledgePromptInferer, make_engine: MakeEngine | None = None
    ) -> None:
        if inferer.task is None:
            raise ConfigError("prompts: expected a task folder, got none: set prompts to one")
        self.task: Task = inferer.task
        self.network, self.inferer, self._make_engine = network, inferer, make_engine
        self.modality, self.window, self.crop = self.task.modality, self.task.window, self.task.crop
        self.structures, self.size_px = self.task.structures, network.image_size

    @cached_property
    def engine(self) -> Any:
        """Runs the network; made at first use."""
        return self.network if self._make_engine is None else self._make_engine()

    def check_input(self, modality: str) -> None:
        self.task.check_input(modality)

    def describe_run(self) -> dict[str, Any]:
        settings = asdict(self.inferer.settings)
        if self.inferer.consistency.is_on:
            settings["consistency"] = asdict(self.inferer.consistency)
        return {**describe_network(self.network, self.engine), "settings": settings}

    def predict_slice(self, image: np.ndarray, frame: Frame, position: float | None) -> SlicePrediction:
        return self.inferer.predict_slice(image, self.engine, position=position, frame=frame)

    def predict_volume(self, voxels: np.ndarray, frame: Frame, slice_mm: float) -> VolumePrediction:
        return self.inferer.predict_volume(voxels, self.engine, frame, slice_mm=slice_mm)

    def describe(self, used: Sequence[Sequence[Sequence[str]]]) -> dict[str, Any]:
        counts = count_used(used, self.structures)
        templates = [
            {
                "id": template.id,
                "image_sha256": template.image_sha256,
                "structures": list(template.masks),
                "provenance": dict(template.provenance),
                "used": counts.get(template.id, {}),
            }
            for template in self.task.templates
        ]
        return {
            "task": self.task.name,
            "licence": self.task.licence,
            **_describe_view(self.modality, self.window, self.crop),
            "templates": templates,
            "note": TASK_NOTE,
        }

    def shown(self, used: Sequence[Sequence[Sequence[str]]]) -> list[ShownTemplate]:
        counts = count_used(used, self.structures)
        most = sorted(self.task.templates, key=lambda row: -sum(counts.get(row.id, {}).values()))
        found = []
        for template in most:
            frame = build_frame(template.image, self.crop, self.size_px)
            image = frame.to_network(template.image, self.window).transpose(1, 2, 0)
            masks = {name: frame.mask_to_network(mask) >= 0.5 for name, mask in template.masks.items()}
            if template.id in counts:
                found.append((template.id, image, masks))
        return found


class BankSegmenter:
    """A network with the templates that its weights bring.

    Args:
        network: KSam with a filled bank.
        structures: what the bank's templates show, in their order.
        window: of CT slices; None for pictures.
        crop: "none" or "body".
        progress: show a bar for volumes.
        make_engine: makes what runs the network, at first use; None: PyTorch as it is.

    Raises:
        ConfigError: the bank is empty, has other structures, or shows regions, see `region`.
    """

    def __init__(
        self,
        network: KSam,
        structures: tuple[Structure, ...],
        window: Window | None,
        crop: str,
        progress: bool = False,
        make_engine: MakeEngine | None = None,
    ) -> None:
        check_bank(network, structures)
        if crop == "region":
            raise ConfigError(
                "prompts: expected a task folder, because the weights bring examples of regions only, which "
                "cannot tell where to look, got none: set prompts to one"
            )
        self.network, self.structures, self.window, self.crop = network, structures, window, crop
        self.modality, self.size_px = "picture" if window is None else "CT", network.image_size
        self.progress, self._make_engine = progress, make_engine

    @cached_property
    def engine(self) -> PromptNetwork:
        """Runs the network; made at first use."""
        return EagerNetwork(self.network) if self._make_engine is None else self._make_engine()

    @cached_property
    def _knowledge(self) -> list[Any]:
        """What is known of each structure's templates: read once in a run."""
        bank = self.network.bank
        pictures = bank.pictures()
        features = self.engine.encode(pictures)
        found = []
        for place in range(len(self.structures)):
            index, masks = bank.templates(place)
            found.append(self.engine.read_prompt(features[index], pictures[index], masks))
        return found

    def check_input(self, modality: str) -> None:
        if modality != self.modality:
            raise InputError(
                f"expected a {self.modality}, as the examples in the weights are, got a {modality}: "
                f"set prompts to a task of a {modality}, or choose another input"
            )

    def describe_run(self) -> dict[str, Any]:
        return {**describe_network(self.network, self.engine), "settings": {"retrieval": "bank"}}

    @torch.inference_mode()
    def predict_slice(self, image: np.ndarray, frame: Frame, position: float | None) -> SlicePrediction:
        self.check_input(image_modality(image))
        embedding = self.engine.encode(torch.from_numpy(frame.to_network(image, self.window))[None])
        members = [self.engine.segment(embedding, known)[:, 0] for known in self._knowledge]
        answers = [combine(maps.cpu(), "logit") for maps in members]  # as the network and model.ts do
        pixels = (frame.box_px[2] / frame.size_px) ** 2
        doubt = torch.stack([answer.disagreement for answer in answers]).numpy()
        return SlicePrediction(
            structures=self.structures,
            logits=frame.to_slice(torch.stack([answer.logits for answer in answers]).numpy()),
            disagreement=np.clip(frame.to_slice(doubt), 0.0, 0.5),
            overlaps=tuple(answer.overlaps * pixels for answer in answers),
            templates=tuple(_bank_ids(self.network, place) for place in range(len(self.structures))),
        )

    def predict_volume(self, voxels: np.ndarray, frame: Frame, slice_mm: float) -> VolumePrediction:
        return gather_volume(self._slices(voxels, frame), voxels.shape, self.structures)

    def _slices(self, voxels: np.ndarray, frame: Frame) -> Iterator[SlicePrediction]:
        for z in tqdm(range(voxels.shape[2]), "slices", unit="slice", disable=not self.progress):
            yield self.predict_slice(voxels[:, :, z], frame, None)

    def describe(self, used: Sequence[Sequence[Sequence[str]]]) -> dict[str, Any]:
        counts = count_used(used, self.structures)
        return {
            "task": "bank",
            "licence": self.network.card.training_data,
            **_describe_view(self.modality, self.window, self.crop),
            "templates": [{"id": name, "used": found} for name, found in counts.items()],
            "note": BANK_NOTE,
        }

    def shown(self, used: Sequence[Sequence[Sequence[str]]]) -> list[ShownTemplate]:
        pictures = self.network.bank.pictures().cpu().numpy()
        found: dict[str, ShownTemplate] = {}
        for place, structure in enumerate(self.structures):
            index, masks = self.network.bank.templates(place)
            names = _bank_ids(self.network, place)
            for name, picture, mask in zip(names, index.tolist(), masks.cpu().numpy(), strict=True):
                shown = found.setdefault(name, (name, pictures[picture].transpose(1, 2, 0), {}))
                shown[2][structure.name] = mask[0] >= 0.5
        return list(found.values())


def describe_network(network: KSam, engine: Any) -> dict[str, Any]:
    """What a result says about its "weights" and its "engine"."""
    weights = {**network.card.as_json(), "backbone": network.options.backbone, "base": network.base_name}
    described = getattr(engine, "describe", None)
    if described is not None:
        return {"weights": weights, "engine": described()}
    device = next(network.parameters()).device
    eager = {"engine": "torch", "precision": "fp32", "device": str(device), "version": torch.__version__}
    return {"weights": weights, "engine": eager}


def check_bank(network: KSam, structures: Sequence[Structure]) -> None:
    """Raises ConfigError unless the bank holds these structures."""
    bank, names = network.bank, [structure.name for structure in structures]
    if bank.is_placeholder:
        raise ConfigError(
            "prompts: expected a task folder, because these weights bring no examples of their own, got "
            "none: set prompts to one (tools/prompts.py makes it)"
        )
    if bank.structures != len(names) or list(bank.names or names) != names:
        held = ", ".join(bank.names) or str(bank.structures)
        raise ConfigError(
            f"labels: expected the structures of the weights' examples ({held}), got {', '.join(names)}: "
            "correct labels, or set prompts to a task folder"
        )


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


def _bank_ids(network: KSam, place: int) -> tuple[str, ...]:
    return tuple(f"bank {picture + 1}" for picture in network.bank.templates(place)[0].tolist())


def _describe_view(modality: str, window: Window | None, crop: str) -> dict[str, Any]:
    window_hu = window and {"center_hu": window.center_hu, "width_hu": window.width_hu}
    return {"modality": modality, "window": window_hu, "crop": crop}


def count_used(
    used: Sequence[Sequence[Sequence[str]]], structures: Sequence[Structure]
) -> dict[str, dict[str, int]]:
    """Template id -> structure name -> number of slices.

    Args:
        used: for each slice and structure the ids of the templates.
        structures: in the order of `used`.
    """
    counts: dict[str, Counter[str]] = {}
    for by_structure in used:
        for structure, ids in zip(structures, by_structure, strict=True):
            for name in ids:
                counts.setdefault(name, Counter())[structure.name] += 1
    return {name: dict(found) for name, found in counts.items()}
