"""A network that can be worked out by hand: a prompt means "the colour inside the mask"."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from ksam.frame import Window
from ksam.prompts import Task, Template
from ksam.structures import Structure

SIZE = 8
WINDOW = Window(0, 510)
"""HU -255..255 become 0..255 in steps of two HU."""

DARK = Structure("dark", 1, None, (255, 0, 0))
LIGHT = Structure("light", 2, None, (0, 255, 0))


class ToyKnowledge(NamedTuple):
    """The mean colour (B, 3, 1, 1) inside the mask."""

    color: torch.Tensor


class ToyNetwork(nn.Module):
    """Logits = reach - mean distance of the three colours; counts what it is asked for."""

    image_size = SIZE
    sam = None
    """No decoder: its squares of six pixels are too small to be carried from slice to slice."""

    def __init__(self, reach: float = 20.0) -> None:
        super().__init__()
        self.reach = nn.Parameter(torch.tensor(reach))
        self.encoded, self.read, self.passes = 0, 0, 0

    def encode(self, image: torch.Tensor) -> torch.Tensor:
        self.encoded += len(image)
        return image.clone()

    def read_prompt(self, embedding: torch.Tensor, image: torch.Tensor, mask: torch.Tensor) -> ToyKnowledge:
        self.read += len(image)
        return ToyKnowledge((embedding * mask).sum((2, 3), keepdim=True) / mask.sum((2, 3), keepdim=True))

    def segment(self, embedding: torch.Tensor, knowledge: ToyKnowledge) -> torch.Tensor:
        self.passes += 1
        return self.reach - (embedding - knowledge.color).abs().mean(1, keepdim=True)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image[:, :2] - 100


def toy_slice(dark_hu: float = -155, light_hu: float = 145) -> np.ndarray:
    """(8, 8) HU: background -255 (network: 0), a dark and a light square of 2 x 3 pixels."""
    image = np.full((SIZE, SIZE), -255, np.float32)
    image[1:3, 1:4] = dark_hu
    image[5:7, 4:7] = light_hu
    return image


def toy_masks() -> dict[str, np.ndarray]:
    """Masks of `toy_slice`."""
    dark, light = np.zeros((SIZE, SIZE), bool), np.zeros((SIZE, SIZE), bool)
    dark[1:3, 1:4], light[5:7, 4:7] = True, True
    return {"dark": dark, "light": light}


def toy_template(name: str = "a", position: float | None = None, **levels: float) -> Template:
    return Template(name, toy_slice(**levels), toy_masks(), (1.0, 1.0), position)


def toy_task(*templates: Template) -> Task:
    return Task("toy", "CT", WINDOW, "none", (DARK, LIGHT), templates or (toy_template(),))
