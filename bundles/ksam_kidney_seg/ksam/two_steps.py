"""Slices and volumes in two steps, see `region`: first where the structures are, then what they look like."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from torch import nn
from tqdm import tqdm

from .frame import Frame, build_frame, build_volume_frame
from .predictions import SlicePrediction, merge_regions, name_origins
from .region import Region, TwoSteps, find_regions, split_task
from .template_reader import PromptNetwork
from .templates import Task, relative_position

if TYPE_CHECKING:
    from .inferer import KnowledgePromptInferer

FIRST_SLICES = 32
"""Slices of a volume that the first step looks at: every 10 mm of an abdomen."""

Network = nn.Module | PromptNetwork


def predict_in_regions(
    inferer: KnowledgePromptInferer,
    image: np.ndarray,
    network: Network,
    task: Task,
    frame: Frame | None = None,
    position: float | None = None,
    members: bool = False,
) -> SlicePrediction:
    """One slice in two steps; arguments as in `KnowledgePromptInferer.predict_slice`."""
    steps = split_task(task)
    frame = frame or build_frame(image, task.crop, inferer.predictor(network, steps.outer).network.image_size)
    first = inferer.predict_slice(image, network, None, position, frame, steps.outer)
    answers = [
        inferer.predict_slice(image, network, None, position, region.frame, steps.inner, members)
        for region in find_regions(first.found(), frame)
    ]
    named = [name_origins(answer, steps.origin) for answer in answers]
    return merge_regions(named, task.structures, frame.shape_px)


def iterate_in_regions(
    inferer: KnowledgePromptInferer,
    voxels: np.ndarray,
    network: Network,
    task: Task,
    frame: Frame | None = None,
    slice_mm: float | None = None,
) -> Iterator[SlicePrediction]:
    """A volume in two steps, one set of regions for all slices; arguments as in `iterate_volume`."""
    steps = split_task(task)
    size_px = inferer.predictor(network, steps.outer).network.image_size
    frame = frame or build_volume_frame(voxels, task.crop, size_px)
    regions = _find_regions(inferer, voxels, network, frame, steps.outer)
    parts = [_iterate_region(inferer, voxels, network, region, steps, slice_mm) for region in regions]
    for z in tqdm(range(voxels.shape[2]), "slices", unit="slice", disable=not inferer.progress):
        answers = [next(part) for part, region in zip(parts, regions, strict=True) if z in region.slices]
        yield merge_regions(answers, task.structures, frame.shape_px)


def _find_regions(
    inferer: KnowledgePromptInferer, voxels: np.ndarray, network: Network, frame: Frame, outer: Task
) -> list[Region]:
    """From at most `FIRST_SLICES` slices; each region reaches to the next slice that was looked at."""
    count = voxels.shape[2]
    step = -(-count // FIRST_SLICES)
    found = np.zeros(voxels.shape, dtype=bool)
    for z in range(step // 2, count, step):
        position = relative_position(z, count)
        found[:, :, z] = inferer.predict_slice(voxels[:, :, z], network, None, position, frame, outer).found()
    return [region.reach(step, count) for region in find_regions(found, frame)]


def _iterate_region(
    inferer: KnowledgePromptInferer,
    voxels: np.ndarray,
    network: Network,
    region: Region,
    steps: TwoSteps,
    slice_mm: float | None,
) -> Iterator[SlicePrediction]:
    """The slices of one region from the lowest to the highest."""
    part = voxels[:, :, region.slices.start : region.slices.stop]
    places = [relative_position(z, voxels.shape[2]) for z in region.slices]
    arguments = (part, network, region.frame, steps.inner, places, slice_mm)
    for answer in inferer.iterate_slices(*arguments, progress=False):
        yield name_origins(answer, steps.origin)
