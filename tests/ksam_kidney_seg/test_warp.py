import numpy as np
import pytest

from common.errors import ConfigError
from ksam.augment import Geometry, GeometryRange

EDGE = 64


@pytest.fixture
def picture():
    image = np.random.default_rng(0).integers(0, 256, (EDGE, EDGE, 3)).astype(np.uint8)
    y, x = np.mgrid[:EDGE, :EDGE]
    disc = np.hypot(y - 31.5, x - 31.5) < 20
    cup = np.hypot(y - 31.5, x - 31.5) < 8
    return image, np.stack([disc, cup])


def _radius(mask):
    return np.sqrt(mask.sum() / np.pi)


def test_no_warp_changes_nothing(picture):
    image, masks = Geometry().apply(*picture, EDGE)
    assert np.array_equal(image, picture[0])
    assert np.array_equal(masks, picture[1])


def test_mirrors_and_half_a_turn_equal_flips(picture):
    image, masks = Geometry(mirror=(True, False)).apply(*picture, EDGE)
    assert np.array_equal(image, picture[0][:, ::-1])
    assert np.array_equal(masks, picture[1][:, :, ::-1])
    image, _ = Geometry(mirror=(False, True)).apply(*picture, EDGE)
    assert np.array_equal(image, picture[0][::-1])
    image, _ = Geometry(turn_rad=np.pi).apply(*picture, EDGE)
    assert np.abs(image.astype(int) - picture[0][::-1, ::-1]).max() <= 1


@pytest.mark.parametrize("scale", [0.75, 1.4])
def test_structures_grow_by_the_scale(picture, scale):
    _, masks = Geometry(scale=scale).apply(*picture, EDGE)
    assert _radius(masks[0]) == pytest.approx(20 * scale, rel=0.02)


def test_the_output_may_have_another_size(picture):
    image, masks = Geometry().apply(*picture, EDGE // 2)
    assert image.shape == (EDGE // 2, EDGE // 2, 3)
    assert _radius(masks[0]) == pytest.approx(10, rel=0.05)


def test_a_shift_moves_picture_and_masks_together(picture):
    image, masks = Geometry(shift=(0.25, 0.0)).apply(*picture, EDGE)
    assert np.array_equal(image[:, :40], picture[0][:, 8:48])
    assert np.array_equal(masks[:, :, :40], picture[1][:, :, 8:48])


def test_beyond_the_border_is_a_reflection_or_black(picture):
    reflected, masks = Geometry(shift=(0.5, 0.0)).apply(*picture, EDGE)
    black, _ = Geometry(shift=(0.5, 0.0), reflect=False).apply(*picture, EDGE)
    assert np.array_equal(reflected[:, 50], picture[0][:, 60])  # 50 + 16 = 66, reflected at 63
    assert not black[:, 50].any()
    assert not masks[:, :, 50:].any()


def test_a_bulge_grows_the_inner_structure_and_keeps_the_outer(picture):
    _, grown = Geometry(bulge=1.5).apply(*picture, EDGE)
    _, shrunk = Geometry(bulge=0.7).apply(*picture, EDGE)
    assert _radius(grown[0]) == pytest.approx(20, rel=0.02)
    assert _radius(shrunk[0]) == pytest.approx(20, rel=0.02)
    assert _radius(grown[1]) == pytest.approx(20 * (8 / 20) ** (1 / 1.5), rel=0.06)
    assert _radius(shrunk[1]) == pytest.approx(20 * (8 / 20) ** (1 / 0.7), rel=0.08)


def test_a_picture_without_structures_has_no_bulge(picture):
    image, masks = Geometry(bulge=1.5).apply(picture[0], np.zeros((2, EDGE, EDGE), bool), EDGE)
    assert np.array_equal(image, picture[0])
    assert not masks.any()


def test_waves_stay_small_and_equal_for_equal_seeds(picture):
    drawn = [GeometryRange(waves=0.02).sample(np.random.default_rng(4)) for _ in range(2)]
    first, second = (geometry.apply(*picture, EDGE)[1] for geometry in drawn)
    assert np.array_equal(first, second)


def test_draws_stay_in_their_ranges():
    drawn = [GeometryRange().sample(np.random.default_rng(seed)) for seed in range(200)]
    assert min(g.scale for g in drawn) >= 0.7 and max(g.scale for g in drawn) <= 1.4
    assert max(abs(g.turn_rad) for g in drawn) <= np.deg2rad(25)
    assert max(abs(part) for g in drawn for part in g.shift) <= 0.1
    assert 70 < sum(g.mirror[0] for g in drawn) < 130


@pytest.mark.parametrize(
    "arguments", [{"scale": (1.2, 0.8)}, {"scale": (0, 1)}, {"turn_deg": -1}, {"waves": -0.1}]
)
def test_empty_and_negative_ranges_are_refused(arguments):
    with pytest.raises(ConfigError, match="geometry: expected 0 < scale"):
        GeometryRange(**arguments)
