"""Two steps with the toy network: its answers are known, so squares, merging and names can be checked."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from toy_ksam import build_toy
from toy_prompts import DARK, LIGHT, WINDOW, ToyNetwork

from common.errors import ConfigError
from ksam.bank_segmenter import BankSegmenter
from ksam.inferer import KnowledgePromptInferer
from ksam.predictions import merge_regions
from ksam.structures import Structure
from ksam.templates import Task, Template

SIDE = 48  # a first view of 8 x 8 shows 6 x 6 pixels as one, a region of 16 two


def draw(dark: list[tuple[int, int]], fine: tuple[int, int] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Squares of 12 pixels at -155 HU on 145 HU, and a hole of 2 that only the second step can see."""
    image = np.full((SIDE, SIDE), 145.0, dtype=np.float32)
    mask = np.zeros((SIDE, SIDE), dtype=bool)
    for y, x in dark:
        mask[y : y + 12, x : x + 12] = True
    if fine is not None:
        mask[fine[0] : fine[0] + 2, fine[1] : fine[1] + 2] = False
    image[mask] = -155
    return image, mask


def task_of(*structures: Structure) -> Task:
    image, mask = draw([(18, 18)])
    template = Template("a", image, {"dark": mask, "light": ~mask})
    masks = {structure.name: template.masks[structure.name] for structure in structures}
    return Task("toy", "CT", WINDOW, "region", structures, (Template("a", image, masks),))


def test_fine_detail_is_drawn_that_the_first_step_cannot_show() -> None:
    inferer = KnowledgePromptInferer(task_of(DARK))
    image, mask = draw([(6, 6), (30, 30)], fine=(10, 10))
    found = inferer.predict_slice(image, ToyNetwork(), members=True)
    assert not found.masks()[0][11, 11]
    assert found.templates == (("a",),)
    assert list(found.members["dark"]) == ["a"]
    plain = KnowledgePromptInferer(Task("toy", "CT", WINDOW, "none", (DARK,), inferer.task.templates))
    whole = plain.predict_slice(image, ToyNetwork()).masks()[0]
    assert whole[11, 11]
    assert (found.masks()[0] != mask).sum() < (whole != mask).sum()


def test_a_volume_is_looked_at_in_steps_and_drawn_where_something_was_found() -> None:
    inferer = KnowledgePromptInferer(task_of(DARK))
    empty, (image, mask) = draw([])[0], draw([(6, 6)])
    voxels = np.stack([empty, image, image, empty], axis=2)
    network = ToyNetwork()
    found = inferer.predict_volume(voxels, network)
    truth = np.stack([mask & False, mask, mask, mask & False], axis=2)
    assert ((found.labels > 0) == truth).mean() > 0.98
    assert found.templates == (((),), (("a",),), (("a",),), ((),))
    assert network.encoded == 4 + 2 + 2  # slices of the first step, of the region, two views of the template
    steady = KnowledgePromptInferer(task_of(DARK), consistency={"smooth_mm": 0.001})
    again = steady.predict_volume(voxels, ToyNetwork(), slice_mm=1.0)
    assert (again.labels == found.labels).mean() > 0.98  # its logits are clipped before they are smoothed


def test_templates_of_a_region_are_chosen_by_the_place_in_the_whole_volume() -> None:
    """Found in slices 1 and 2 of four, a third and two thirds up; the templates stand at 0 and at 0.6."""
    task = task_of(DARK)
    low, high = (
        replace(task.templates[0], id=name, position=at) for name, at in (("low", 0.0), ("high", 0.6))
    )
    task = replace(task, templates=(low, high))
    empty, image = draw([])[0], draw([(6, 6)])[0]
    voxels = np.stack([empty, image, image, empty], axis=2)
    for settings in (None, {"smooth_mm": 0.001}):
        inferer = KnowledgePromptInferer(task, "position", 1, consistency=settings)
        found = inferer.predict_volume(voxels, ToyNetwork(), slice_mm=1.0)
        assert [used[0] for used in found.templates] == [(), ("high",), ("high",), ()]


def test_nothing_found_is_an_empty_answer() -> None:
    inferer = KnowledgePromptInferer(task_of(DARK))
    empty = draw([])[0]
    found = inferer.predict_slice(empty, ToyNetwork())
    assert not found.masks().any() and found.templates == ((),)
    volume = inferer.predict_volume(np.repeat(empty[:, :, None], 3, axis=2), ToyNetwork())
    assert not volume.labels.any() and np.isnan(volume.expected_dice).all()


def test_where_regions_overlap_the_surer_one_speaks() -> None:
    inferer = KnowledgePromptInferer(task_of(DARK))
    one, other = (inferer.predict_slice(draw([place])[0], ToyNetwork()) for place in ((6, 6), (30, 30)))
    both = merge_regions([one, other], (DARK,), (SIDE, SIDE))
    np.testing.assert_array_equal(both.logits, np.maximum(one.logits, other.logits))
    assert both.masks()[0][10, 10] and both.masks()[0][34, 34]


def test_examples_of_regions_in_the_weights_are_not_enough() -> None:
    network = build_toy()
    images = torch.ones(2, 1, 3, network.image_size, network.image_size)
    network.set_bank(images, images[:, :, :1], ("dark", "light"))
    with pytest.raises(ConfigError, match="bring examples of regions only"):
        BankSegmenter(network, (DARK, LIGHT), WINDOW, "region")
