import numpy as np
import pytest

from ksam.fields import View, signed_distance

EDGE = 96


@pytest.fixture
def view():
    y, x = np.mgrid[:EDGE, :EDGE]
    away = np.hypot(y - 48, x - 48)
    image = np.repeat((200 - 2 * away).clip(0, 255)[..., None], 3, axis=2).astype(np.uint8)
    image[:, 20:22] = 5
    return View(image, np.stack([away < 30, away < 10, np.zeros((EDGE, EDGE), bool)]))


def test_depth_alone_is_linear_from_the_deepest_point_to_the_border(view):
    depth = view.depth(0)
    assert depth[48, 48] == pytest.approx(0, abs=0.05)
    assert depth[48, 48 + 15] == pytest.approx(0.5, abs=0.05)
    assert depth[48, 48 + 30] == pytest.approx(1, abs=0.06)
    assert depth[48, 48 + 45] == pytest.approx(1.5, abs=0.06)


def test_depth_between_two_borders_is_the_ratio_of_distances(view):
    depth = view.depth(0, 1)
    assert depth[48, 48] == pytest.approx(-1, abs=0.05)
    assert depth[48, 48 + 10] == pytest.approx(0, abs=0.06)
    assert depth[48, 48 + 20] == pytest.approx(0.5, abs=0.05)
    assert depth[48, 48 + 30] == pytest.approx(1, abs=0.06)
    assert ((depth < 0.999) == view.masks[0]).mean() > 0.99


def test_direction_is_the_angle_around_the_centre(view):
    direction = view.direction(0)
    assert direction[48, 70] == pytest.approx(0, abs=0.02)
    assert direction[70, 48] == pytest.approx(np.pi / 2, abs=0.02)


def test_parts_are_known_and_the_empty_structure_is_absent(view):
    assert view.present == (0, 1)
    assert view.holds(0, 1)
    assert not view.holds(1, 0)


def test_brightness_falls_from_the_centre_and_lines_are_found(view):
    assert view.brightness(3)[48, 48] > view.brightness(0)[48, 75]
    assert view.dark_lines[48, 20:22].min() > 5 * view.dark_lines[48, 60]


def test_fields_are_computed_once(view):
    assert view.depth(0) is view.depth(0)
    assert view.depth(0) is not view.depth(1)


def test_signed_distance_counts_pixels_to_the_border():
    mask = np.zeros((9, 9), bool)
    mask[3:6, 3:6] = True
    distance = signed_distance(mask)
    assert distance[4, 4] == pytest.approx(-2, abs=0.1)
    assert distance[4, 7] == pytest.approx(2, abs=0.1)
    assert (signed_distance(np.zeros((3, 3), bool)) == 99).all()
    assert (signed_distance(np.ones((3, 3), bool)) < 0).all()
