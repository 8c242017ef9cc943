"""A pipeline whose answers can be worked out by hand: see `toy_prompts`; volumes of 8 x 8 pixels."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
from phantoms.ct_series import write_ct_series
from PIL import Image
from toy_prompts import DARK, LIGHT, ToyNetwork, toy_masks, toy_slice

from common.networks.card import WeightsCard
from ksam.frame import Window
from ksam.inferer import KnowledgePromptInferer
from ksam.task_segmenter import TaskSegmenter
from ksam.templates import Task, Template

SLICES = 5
AFFINE = np.diag([-40.0, -40.0, 3.0, 1.0])
"""DICOM's usual way: I to the left, J to the back, K to the head; 40 x 40 x 3 mm."""


class ToyKSam(ToyNetwork):
    """`ToyNetwork` that says which weights it has."""

    def __init__(self, purpose: str = "demonstration") -> None:
        super().__init__()
        self.card = WeightsCard("toy", "1", purpose, "nothing", "0" * 64)
        self.options, self.base_name = SimpleNamespace(backbone="toy"), "toy.pth"


def ct_task(*templates: Template) -> Task:
    """Dark and light squares in a CT; the window goes from -1000 HU, so that air is black."""
    window = Window(-245, 1510)
    return Task("toy", "CT", window, "none", (DARK, LIGHT), templates or (body_template("a"),))


def body_slice(dark: bool = True, light: bool = True) -> np.ndarray:
    """(8, 8) HU: body of -255 HU with a dark square at the patient's right, a light one at the left."""
    image = toy_slice(*(level if shown else -255 for level, shown in ((-55, dark), (345, light))))
    return image


def body_template(name: str) -> Template:
    return Template(name, body_slice(), toy_masks(), (2.0, 2.0), 0.5, {"file": "phantom", "slice": 3})


def body_volume(**shown: bool) -> np.ndarray:
    """(I, J, K) int16: `body_slice` in every slice."""
    return np.repeat(body_slice(**shown).T[:, :, None], SLICES, axis=2).astype(np.int16)


def write_ct(folder: Path, **shown: bool) -> Path:
    """A DICOM series."""
    write_ct_series(folder, body_volume(**shown), AFFINE)
    return folder


def picture() -> np.ndarray:
    """(8, 8, 3): a square of 100 and one of 200 on 0."""
    masks = toy_masks()
    grey = 100 * masks["dark"] + 200 * masks["light"]
    return np.repeat(grey[:, :, None], 3, axis=2).astype(np.uint8)


def picture_task() -> Task:
    return Task("eye", "picture", None, "none", (DARK, LIGHT), (Template("p", picture(), toy_masks()),))


def write_picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture()).save(path)
    return path


def segmenter_of(task: Task, purpose: str = "demonstration", **options) -> TaskSegmenter:
    return TaskSegmenter(ToyKSam(purpose), KnowledgePromptInferer(task, cache=False, **options))  # type: ignore[arg-type]
