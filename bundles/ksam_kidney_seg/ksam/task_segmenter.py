"""A network that is told what to segment by the templates of a task folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from common.errors import ConfigError

from .descriptions import ShownTemplate, count_used, describe_network, describe_view
from .frame import Frame, build_frame
from .inferer import KnowledgePromptInferer
from .network import KSam
from .predictions import SlicePrediction, VolumePrediction
from .templates import Task

NOTE = (
    "Nothing else told the network what to segment: a structure that looks different from these examples is "
    "likely to be missed."
)


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
        self, network: KSam, inferer: KnowledgePromptInferer, make_engine: Callable[[], Any] | None = None
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
        return {**describe_network(self.network, self.engine), "settings": self.inferer.describe()}

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
            **describe_view(self.modality, self.window, self.crop),
            "templates": templates,
            "note": NOTE,
        }

    def shown(self, used: Sequence[Sequence[Sequence[str]]]) -> list[ShownTemplate]:
        counts = count_used(used, self.structures)
        seen = [template for template in self.task.templates if template.id in counts]
        found = []
        for template in sorted(seen, key=lambda row: -sum(counts[row.id].values())):
            frame = build_frame(template.image, self.crop, self.size_px)
            image = frame.to_network(template.image, self.window).transpose(1, 2, 0)
            masks = {name: frame.mask_to_network(mask) >= 0.5 for name, mask in template.masks.items()}
            found.append((template.id, image, masks))
        return found
