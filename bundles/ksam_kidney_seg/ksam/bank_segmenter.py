"""A network that is told what to segment by the templates inside its own weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from common.errors import ConfigError, InputError

from .agreement import combine
from .descriptions import ShownTemplate, count_used, describe_network, describe_view
from .eager import EagerNetwork
from .frame import Frame, Window
from .network import KSam
from .predictions import SlicePrediction, VolumePrediction, gather_volume
from .structures import Structure
from .template_reader import PromptNetwork
from .templates import image_modality

NOTE = "No prompts were given: the examples that are stored in the weights were used."


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
        make_engine: Callable[[], Any] | None = None,
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
            **describe_view(self.modality, self.window, self.crop),
            "templates": [{"id": name, "used": found} for name, found in counts.items()],
            "note": NOTE,
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


def _bank_ids(network: KSam, place: int) -> tuple[str, ...]:
    return tuple(f"bank {picture + 1}" for picture in network.bank.templates(place)[0].tolist())
