import numpy as np
import pytest

from common.errors import ConfigError
from ksam.fields import View
from ksam.tasks import TaskMix, plain_tasks

EDGE = 96
KINDS = ("structure", "level", "ring", "sector", "zone", "lines", "pattern", "combination", "side")


def _only(kind, **more):
    return TaskMix(**(dict.fromkeys(KINDS, 0.0) | {kind: 1.0, "inverted": 0.0} | more))


def _view(radius=30.0, inner=12.0, y0=48, x0=48, drawn=(True, True)):
    y, x = np.mgrid[:EDGE, :EDGE]
    away = np.hypot(y - y0, x - x0)
    image = np.repeat((220 - 4 * away * 30 / radius).clip(0, 255)[..., None], 3, axis=2).astype(np.uint8)
    masks = np.stack([away < radius, away < inner])
    return View(image, masks & np.array(drawn)[:, None, None])


def _dice(a, b):
    return 2 * (a & b).sum() / max(1, a.sum() + b.sum())


def test_plain_tasks_are_the_structures():
    rng, target, template = np.random.default_rng(0), _view(), _view(26, 10)
    found = [plain_tasks().sample(rng, target, template) for _ in range(40)]
    known = list(zip(target.masks, template.masks, strict=True))
    for task in found:
        assert any(np.array_equal(task, pair) for pair in known)
    assert 8 < sum(np.array_equal(task.target, target.masks[0]) for task in found) < 32


@pytest.mark.parametrize("kind", KINDS)
def test_equal_views_get_equal_masks(kind):
    for seed in range(15):
        task = _only(kind).sample(np.random.default_rng(seed), _view(), _view())
        assert task.target.dtype == bool
        assert np.array_equal(task.target, task.template)
        assert task.template.any()


@pytest.mark.parametrize("kind", ["level", "ring", "sector", "zone", "pattern", "combination"])
def test_a_shifted_picture_gets_the_shifted_mask(kind):
    for seed in range(15):
        task = _only(kind).sample(np.random.default_rng(seed), _view(y0=52, x0=44), _view())
        moved = np.roll(task.template, (4, -4), (0, 1))
        assert _dice(task.target[8:-8, 8:-8], moved[8:-8, 8:-8]) > 0.95


def test_a_side_is_a_half_of_the_picture():
    y, x = np.mgrid[:EDGE, :EDGE]
    pair = np.minimum(np.hypot(y - 40, x - 20), np.hypot(y - 40, x - 76)) < 10
    view = View(np.zeros((EDGE, EDGE, 3), np.uint8), pair[None])
    found = {
        _only("side").sample(np.random.default_rng(seed), view, view).target.tobytes() for seed in range(20)
    }
    assert found == {(pair & (x < EDGE // 2)).tobytes(), (pair & (x >= EDGE // 2)).tobytes()}


def test_a_level_stands_for_the_same_share_of_another_size():
    for seed in range(30):
        task = _only("level").sample(np.random.default_rng(seed), _view(20, 8), _view(30, 12))
        radii = [np.sqrt(mask.sum() / np.pi) for mask in task]
        if radii[1] > 8:  # smaller ones are a matter of single pixels
            assert radii[0] / radii[1] == pytest.approx(20 / 30, abs=0.12)


def test_levels_reach_from_inside_the_inner_to_outside_the_outer_structure():
    sizes = []
    for seed in range(60):
        task = _only("level").sample(np.random.default_rng(seed), _view(), _view())
        sizes.append(float(np.sqrt(task.target.sum() / np.pi)))
    assert min(sizes) < 11 and max(sizes) > 33
    assert np.histogram(sizes, [0, 11, 20, 29, 60])[0].min() > 3


def test_the_combination_is_what_the_outer_has_beyond_the_inner():
    masks = _view().masks
    found = {
        _only("combination").sample(np.random.default_rng(seed), _view(), _view()).target.sum()
        for seed in range(20)
    }
    assert (masks[0] & ~masks[1]).sum() in found


def test_inverted_tasks_turn_both_masks():
    view = _view()
    task = _only("structure", inverted=1.0).sample(np.random.default_rng(0), view, view)
    assert np.array_equal(task.target, task.template)
    assert task.target[0, 0]


def test_what_the_target_lacks_is_an_empty_label():
    rng, target, template = np.random.default_rng(0), _view(drawn=(False, False)), _view()
    for mix in (plain_tasks(), _only("sector")):
        task = mix.sample(rng, target, template)
        assert task.template.any()
        assert not task.target.any()


def test_a_template_without_structures_is_refused():
    with pytest.raises(ConfigError, match="expected a template with at least one structure"):
        plain_tasks().sample(np.random.default_rng(0), _view(), _view(drawn=(False, False)))


def test_equal_seeds_give_equal_tasks():
    first, second = (TaskMix().sample(np.random.default_rng(3), _view(), _view(25)) for _ in range(2))
    assert np.array_equal(first.target, second.target)


@pytest.mark.parametrize("arguments", [{"level": -1}, dict.fromkeys(KINDS, 0.0), {"inverted": 1.2}])
def test_weights_out_of_range_are_refused(arguments):
    with pytest.raises(ConfigError, match="tasks: expected weights of 0 or more"):
        TaskMix(**arguments)
