"""KSAM itself, and its ablation in One-Prompt's place: a delta, run as evaluate.json runs it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from common.errors import ConfigError
from ksam.delta_writer import read_training_patients
from ksam.engines import build_ksam_engines
from ksam.evaluation_table import ENSEMBLE
from ksam.inferer import KnowledgePromptInferer, candidates_of
from ksam.knowledge_sam import KSam
from ksam.network import build_network
from ksam.remembered import RememberedNetwork
from ksam.template_choice import single_template_tasks
from ksam.templates import Task

from .base import Context, Peer


class KnowledgePeer(Peer):
    """Each template by itself, and all of them together.

    Args:
        network: KSam.
        context: see `Context`.
        patients: hashes of those that the delta was trained on.
        engine, precision: see `common.engines`.
    """

    def __init__(
        self,
        network: KSam,
        context: Context,
        patients: tuple[str, ...] = (),
        engine: str = "auto",
        precision: str = "auto",
    ) -> None:
        self.engine = RememberedNetwork(build_ksam_engines(network, engine, precision, "cpu"))
        self.image_size, self.patients = network.image_size, patients
        self.answers = single_template_tasks(context.task)
        if len(self.answers) > 1:
            self.answers[ENSEMBLE] = context.task
        self.inferers = {name: KnowledgePromptInferer(cache=False) for name in self.answers}

    def segment(self, image: torch.Tensor, truth: torch.Tensor) -> Mapping[str, torch.Tensor]:
        """See `Peer`; the truth is not looked at."""
        return {name: torch.from_numpy(self._ask(image, name, task)) for name, task in self.answers.items()}

    def _ask(self, image: torch.Tensor, name: str, task: Task) -> np.ndarray:
        """Logits (n, S, S); every answer keeps what it has read of its templates."""
        predictor = self.inferers[name].predictor(self.engine, task)
        return predictor.predict(image, candidates_of(task)).logits


def build_knowledge(
    context: Context,
    weights: str | None,
    delta: str,
    engine: str = "auto",
    precision: str = "auto",
    backbone: str | None = None,
) -> Peer:
    """A trained KSAM.

    Args:
        context: see `Context`.
        weights: checkpoint of the backbone.
        delta: trained part.
        engine, precision: see `common.engines`.
        backbone: to be checked against the delta's.

    Raises:
        ConfigError: no delta is named.
        ClassifierError: see `build_network`.
    """
    if Path(delta).suffix != ".safetensors":
        raise ConfigError(f"delta: expected a .safetensors file, got '{Path(delta).name}': name a delta")
    network = build_network(delta, weights, backbone=backbone)
    return KnowledgePeer(network, context, tuple(read_training_patients(delta)), engine, precision)
