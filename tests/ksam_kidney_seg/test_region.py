"""Regions: squares around what was found, worked out by hand; the task as the two steps see it."""

import numpy as np
import pytest
from toy_prompts import DARK, LIGHT, WINDOW

from ksam.frame import Frame, build_frame
from ksam.region import Region, find_regions, split_task
from ksam.templates import Task, Template

OUTER = Frame((0, 0, 90), (90, 90), 8)  # regions of 30 pixels


def show(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    """(90, 90) bool: y0, x0, y1, x1."""
    found = np.zeros((90, 90), dtype=bool)
    for y0, x0, y1, x1 in boxes:
        found[y0:y1, x0:x1] = True
    return found


def test_a_part_lies_in_the_middle_of_its_square() -> None:
    (region,) = find_regions(show((40, 20, 50, 40)), OUTER)
    assert region.frame == Frame((30, 15, 30), (90, 90), 8)
    assert region.slices == range(1)


def test_parts_get_squares_of_their_own_the_largest_first() -> None:
    regions = find_regions(show((10, 10, 16, 16), (60, 60, 72, 72)), OUTER)
    assert [region.frame.box_px for region in regions] == [(51, 51, 30), (0, 0, 30)]


def test_near_parts_share_a_square_and_stray_ones_get_none() -> None:
    near = find_regions(show((40, 40, 50, 50), (40, 52, 44, 55)), OUTER)
    assert [region.frame.box_px for region in near] == [(30, 32, 30)]
    stray = show((40, 40, 50, 50), (80, 80, 82, 82))  # 4 % of the voxels
    assert len(find_regions(stray, OUTER)) == 1
    assert len(find_regions(stray, OUTER, min_part=0.0)) == 2


def test_a_bridge_does_not_move_the_squares_off_what_it_connects() -> None:
    kidneys = show((30, 5, 50, 25), (30, 65, 50, 85))
    alone = {region.frame.box_px for region in find_regions(kidneys, OUTER)}
    bridge = show((38, 25, 40, 65))
    first, second, third = find_regions(kidneys | bridge, OUTER)
    assert {first.frame.box_px[0], second.frame.box_px[0]} == {25} == {box[0] for box in alone}
    assert kidneys[_slices(first)].sum() == kidneys[_slices(second)].sum() == 400
    assert bridge[_slices(third)].sum() >= 2 * 20


def _slices(region: Region) -> tuple[slice, slice]:
    y0, x0, side = region.frame.box_px
    return slice(y0, y0 + side), slice(x0, x0 + side)


def test_a_wide_part_is_covered_whole() -> None:
    found = show((5, 2, 85, 88))
    covered = np.zeros_like(found)
    regions = find_regions(found, OUTER, min_part=0.0)
    for region in regions:
        covered[_slices(region)] = True
    assert 9 <= len(regions) <= 16
    assert covered[found].all()


def test_squares_stay_inside_the_slice_even_a_narrow_one() -> None:
    (region,) = find_regions(show((0, 0, 4, 4)), OUTER)
    assert region.frame.box_px == (0, 0, 30)
    wide = Frame((-35, 0, 90), (20, 90), 8)
    (region,) = find_regions(show((0, 40, 10, 50))[:20], wide)
    assert region.frame.box_px == (0, 35, 20)  # 30 would reach outside


def test_a_volume_has_one_square_for_all_slices() -> None:
    found = np.stack([show(), show((40, 20, 45, 25)), show((40, 25, 45, 40)), show()], axis=2)
    (region,) = find_regions(found, OUTER)
    assert region.frame.box_px == (27, 15, 30)
    assert region.slices == range(1, 3)
    assert region.reach(1, 4).slices == range(1, 3)
    assert region.reach(2, 4).slices == range(0, 4)
    assert region.reach(9, 4).slices == range(0, 4)


def test_nothing_found_has_no_region() -> None:
    assert find_regions(show(), OUTER) == []


def region_task() -> Task:
    """Dark in two far squares, light in one of them."""
    image = np.full((90, 90), -100.0, dtype=np.float32)
    dark, light = show((10, 10, 20, 20), (60, 60, 75, 75)), show((12, 12, 15, 15))
    image[dark], image[light] = 0.0, 100.0
    template = Template("a", image, {"dark": dark, "light": light}, provenance={"file": "phantom"})
    return Task("toy", "CT", WINDOW, "region", (DARK, LIGHT), (template,))


def test_a_template_is_cut_into_its_regions() -> None:
    task = region_task()
    steps = split_task(task)
    assert (steps.outer.crop, steps.inner.crop) == ("body", "none")
    assert steps.outer.templates == task.templates
    assert steps.origin == {"a region 1": "a", "a region 2": "a"}
    first, second = steps.inner.templates
    assert set(first.masks) == {"dark"} and set(second.masks) == {"dark", "light"}
    assert first.masks["dark"].sum() == 225 and second.masks["light"].sum() == 9
    assert (second.image[second.masks["light"]] == 100).all()
    assert split_task(task) is steps  # what was read of its templates stays known


def test_a_picture_is_seen_whole_first() -> None:
    image, mask = np.zeros((30, 60, 3), np.uint8), np.zeros((30, 60), bool)
    mask[10:14, 20:24] = True
    task = Task("eye", "picture", None, "region", (DARK,), (Template("a", image, {"dark": mask}),))
    assert split_task(task).outer.crop == "none"
    assert split_task(task).inner.templates[0].image.shape == (20, 20, 3)
    assert build_frame(image, "region").box_px == build_frame(image, "none").box_px


@pytest.mark.parametrize("step", [1, 3])
def test_reach_keeps_the_frame(step: int) -> None:
    assert Region(OUTER, range(2, 4)).reach(step, 10).frame is OUTER
