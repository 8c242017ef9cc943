"""What a peer is: a method that turns the network's square of a slice into one map for each structure."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from common.networks.sam import Sam, build_sam
from common.networks.sam_weights import load_backbone
from ksam.frame import OUTSIDE_LOGIT, build_frame
from ksam.template_choice import single_template_tasks
from ksam.templates import Task, Template

ALONE = "trained"


@dataclass(frozen=True)
class Context:
    """What every peer is told.

    Attributes:
        task: structures in order, and the templates that KSAM gets too.
        answers: how often a peer with random prompts answers, each time with other prompts.
        seed: of prompts and of weights that no file brings.
    """

    task: Task
    answers: int = 5
    seed: int = 0


class Peer(ABC):
    """A method of Table 1.

    Attributes:
        image_size: S, edge of the square that it sees.
        answers: id of each answer (a template, a drawn prompt, or one alone) -> structures that it knows.
        trained: what is trained on the datalist before it is scored; None for a method without training.
    """

    image_size: int
    answers: Mapping[str, Task]
    trained: nn.Module | None = None

    @abstractmethod
    def segment(self, image: torch.Tensor, truth: torch.Tensor) -> Mapping[str, torch.Tensor]:
        """All answers for one slice.

        Args:
            image: (1, 3, S, S) RGB 0..255.
            truth: (n, S, S) share of each pixel in the structures of the context's task, 0..1; only methods
                that are called oracles may look at it.

        Returns:
            Answer id -> logits (n, S, S), above 0 inside; n of that answer's own task.
        """


class FixedPeer(Peer):
    """A network trained for the datalist's structures, which takes no prompt.

    Args:
        network: (B, 3, S, S) RGB 0..255 -> logits (B, n, S, S); has `image_size`.
        context: see `Context`.
    """

    def __init__(self, network: nn.Module, context: Context) -> None:
        self.trained, self.network = network, network
        self.image_size = int(network.image_size)  # type: ignore[arg-type]
        self.answers = {ALONE: context.task}

    def segment(self, image: torch.Tensor, truth: torch.Tensor) -> Mapping[str, torch.Tensor]:
        """See `Peer`."""
        return {ALONE: self.network(image)[0]}


class ShownTemplate(NamedTuple):
    """A template as a network sees it.

    Attributes:
        id: of the template.
        task: the structures that it shows.
        image: (1, 3, S, S) RGB 0..255.
        masks: (n, S, S) 0..1 of those structures.
    """

    id: str
    task: Task
    image: torch.Tensor
    masks: torch.Tensor


def show_templates(task: Task, size_px: int) -> list[ShownTemplate]:
    """Every template of a task, framed and windowed as for KSAM."""
    return [_show(name, own, own.templates[0], size_px) for name, own in single_template_tasks(task).items()]


def _show(name: str, task: Task, template: Template, size_px: int) -> ShownTemplate:
    frame = build_frame(template.image, task.crop, size_px)
    image = torch.from_numpy(frame.to_network(template.image, task.window))[None]
    masks = [torch.from_numpy(frame.mask_to_network(template.masks[n])) for n in task.structure_names]
    return ShownTemplate(name, task, image, torch.stack(masks))


def load_sam(backbone: str, weights: str | Path | None, image_size: int | None, seed: int = 0) -> Sam:
    """A frozen SAM.

    Args:
        backbone: "vit_b", "medsam" or "lite".
        weights: official checkpoint; None for random ones.
        image_size: None for the backbone's default.
        seed: of random weights.

    Raises:
        ConfigError: see `build_sam`.
        ClassifierError: see `load_backbone`.
    """
    torch.manual_seed(seed)
    sam = build_sam(backbone, image_size)
    if weights is not None:
        load_backbone(sam, Path(weights))
    return sam.requires_grad_(False)


def enlarge(logits: torch.Tensor, size_px: int) -> torch.Tensor:
    """(B, n, h, w) -> (B, n, S, S), bilinear."""
    return F.interpolate(logits, (size_px, size_px), mode="bilinear", align_corners=False)


def nothing_found(count: int, structures: int, size_px: int) -> torch.Tensor:
    """Logits (count, structures, S, S) that find nothing."""
    return torch.full((count, structures, size_px, size_px), OUTSIDE_LOGIT)
