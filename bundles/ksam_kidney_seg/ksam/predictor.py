"""One slice, seen by the network: encoded once, then a cheap pass for each structure and template."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from common.errors import ConfigError

from .agreement import AVERAGES, combine
from .quality import round_trip_dice
from .retrieval import Score, check_retrieval, choose_templates, score_nearest, score_position
from .template_reader import PromptNetwork, TemplateReader
from .templates import Template


@dataclass(frozen=True)
class PromptSettings:
    """How templates are chosen and averaged.

    Attributes:
        retrieval: "nearest" (cosine of pooled features), "position" (along the patient's axis), "fixed" (the
            first ones) or "round_trip" (the best way there and back; tries every template on every slice).
        templates: k, templates for each structure.
        average: "probability" or "logit", see `agreement.combine`.
        batch_size: passes of the network at once.
    """

    retrieval: str = "nearest"
    templates: int = 3
    average: str = "probability"
    batch_size: int = 8

    def __post_init__(self) -> None:
        check_retrieval(self.retrieval)
        if self.average not in AVERAGES:
            raise ConfigError(f"average: expected {' or '.join(AVERAGES)}, got '{self.average}': correct it")
        for name in ("templates", "batch_size"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise ConfigError(f"{name}: expected a whole number of at least 1, got {value!r}: correct it")


@dataclass(frozen=True, eq=False)
class SquarePrediction:
    """The answer for one slice in the network's square.

    Attributes:
        logits: (n, S, S) float32, above 0 inside.
        disagreement: (n, S, S) standard deviation of the templates' probabilities, 0..0.5.
        overlaps: for each structure (pairs, 2), see `agreement.count_overlaps`; network pixels.
        used: for each structure the templates, best first.
        members: for each structure (k, S, S), what each of them says alone.
        embedding: (1, C, g, g) of the slice.
    """

    logits: np.ndarray
    disagreement: np.ndarray
    overlaps: tuple[np.ndarray, ...]
    used: tuple[tuple[Template, ...], ...]
    members: tuple[torch.Tensor, ...]
    embedding: torch.Tensor


Candidates = Mapping[str, Sequence[Template]]
"""Structure name -> templates that show it, at least one."""


class SquarePredictor:
    """Predicts squares with one network; what it has read of templates is kept.

    Args:
        network: engine.
        reader: of the templates, same network.
        settings: retrieval and average.
    """

    def __init__(self, network: PromptNetwork, reader: TemplateReader, settings: PromptSettings) -> None:
        self.network, self.reader, self.settings = network, reader, settings

    @torch.inference_mode()
    def predict(
        self,
        image: torch.Tensor,
        candidates: Candidates,
        position: float | None = None,
        extra: Mapping[str, Sequence[Template]] | None = None,
    ) -> SquarePrediction:
        """Segment one square.

        Args:
            image: (1, 3, S, S) RGB 0..255.
            candidates: templates to choose from.
            position: of the slice along the patient's axis, 0..1.
            extra: structure name -> templates that are used besides the chosen ones.

        Raises:
            ConfigError: retrieval by position without positions.
        """
        embedding = self.network.encode(image)
        extra = extra or {}
        used = tuple(
            (*self._choose(image, embedding, name, found, position), *extra.get(name, ()))
            for name, found in candidates.items()
        )
        jobs = [
            (name, template) for name, chosen in zip(candidates, used, strict=True) for template in chosen
        ]
        members = self._segment(embedding, jobs).split([len(chosen) for chosen in used])
        answers = [combine(part, self.settings.average) for part in members]
        return SquarePrediction(
            torch.stack([answer.logits for answer in answers]).cpu().numpy(),
            torch.stack([answer.disagreement for answer in answers]).cpu().numpy(),
            tuple(answer.overlaps for answer in answers),
            used,
            members,
            embedding,
        )

    def _choose(
        self,
        image: torch.Tensor,
        embedding: torch.Tensor,
        structure: str,
        found: Sequence[Template],
        position: float | None,
    ) -> tuple[Template, ...]:
        scores: dict[str, Callable[[], Score | None]] = {
            "fixed": lambda: None,
            "position": partial(score_position, position),
            "nearest": partial(score_nearest, embedding, self.reader.descriptor),
            "round_trip": lambda: partial(self.round_trip, image, embedding, structure),
        }
        return choose_templates(found, self.settings.templates, scores[self.settings.retrieval]())

    def round_trip(
        self, image: torch.Tensor, embedding: torch.Tensor, structure: str, template: Template
    ) -> float:
        """`round_trip_dice` of a template on a slice."""
        reader = self.reader
        return round_trip_dice(
            self.network,
            embedding,
            image,
            self.network.segment(embedding, reader.knowledge(template, structure)),
            reader.embedding(template),
            reader.mask(template, structure),
        )

    def _segment(self, embedding: torch.Tensor, jobs: Sequence[tuple[str, Template]]) -> torch.Tensor:
        """Logits (jobs, S, S)."""
        size = self.settings.batch_size
        parts = []
        for start in range(0, len(jobs), size):
            batch = jobs[start : start + size]
            knowledge = join_knowledge([self.reader.knowledge(template, name) for name, template in batch])
            parts.append(self.network.segment(embedding.expand(len(batch), -1, -1, -1), knowledge)[:, 0])
        return torch.cat(parts)


def join_knowledge(parts: Sequence[Any]) -> Any:
    """Knowledge of single prompts as one batch, the same named tuple."""
    if len(parts) == 1:
        return parts[0]
    return type(parts[0])(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))
