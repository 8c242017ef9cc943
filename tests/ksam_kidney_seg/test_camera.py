from dataclasses import replace

import numpy as np
import pytest

from common.errors import ConfigError
from ksam.augment import CameraRange, standardise


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8)


def _plain():
    return CameraRange(strength=0).sample(np.random.default_rng(0))


def test_strength_zero_changes_nothing(image):
    for seed in range(20):
        camera = CameraRange(strength=0).sample(np.random.default_rng(seed))
        assert np.array_equal(camera.apply(image), image)


def test_gamma_gain_and_bias_of_a_pixel_by_hand(image):
    camera = replace(
        _plain(), gamma=np.array([2.0, 1, 1]), gain=np.array([0.5, 1, 1]), bias=np.array([0.1, 0, 0])
    )
    image[0, 0] = (128, 10, 20)
    red = 0.5 * (128 / 255) ** 2 + 0.1
    assert camera.apply(image)[0, 0].tolist() == [round(red * 255), 10, 20]


def test_channels_are_permuted_and_blended_with_grey(image):
    turned = replace(_plain(), order=np.array([2, 0, 1])).apply(image)
    assert np.array_equal(turned, image[..., [2, 0, 1]])
    grey = replace(_plain(), grey=1.0, grey_weights=np.array([0.0, 1.0, 0.0])).apply(image)
    assert np.array_equal(grey, image[..., [1, 1, 1]])


def test_a_smooth_field_darkens_by_its_exponential(image):
    half = replace(_plain(), field=np.full((3, 3), np.log(0.5))).apply(image)
    assert np.abs(half - image / 2).max() <= 0.51


def test_a_sharper_picture_has_stronger_steps_and_a_blurred_one_weaker():
    step = np.full((32, 32, 3), 100, np.uint8)
    step[:, 16:] = 150

    def contrast(camera):
        return float(np.ptp(camera.apply(step).astype(float)[:, 14:18]))

    assert contrast(replace(_plain(), blur_px=2.0)) < 50 < contrast(replace(_plain(), sharpen=1.0))


def test_a_coarse_picture_keeps_means_and_loses_what_is_finer_than_its_pixels():
    stripes = np.zeros((32, 32, 3), np.uint8)
    stripes[:, ::2] = 200
    halves = np.full((32, 32, 3), 50, np.uint8)
    halves[:, 16:] = 150
    camera = replace(_plain(), coarse=4.0)
    assert np.all(camera.apply(stripes) == 100)
    assert camera.apply(halves)[:, [2, 29], 0].tolist() == [[50, 150]] * 32


def test_half_of_the_cameras_are_coarse_up_to_the_limit():
    rng = np.random.default_rng(0)
    drawn = np.array([CameraRange(coarse=8).sample(rng).coarse for _ in range(400)])
    assert 160 < (drawn > 1).sum() < 240
    assert drawn.max() <= 8
    assert np.median(drawn[drawn > 1]) == pytest.approx(np.sqrt(8), rel=0.2)


def test_a_camera_varies_a_little_from_day_to_day(image):
    rng = np.random.default_rng(1)
    camera = CameraRange().sample(rng)
    today, other = camera.vary(rng, 0.05).apply(image), CameraRange().sample(rng).apply(image)
    taken = camera.apply(image).astype(float)
    assert 0 < np.abs(today - taken).mean() < np.abs(other - taken).mean()


def test_without_colour_a_grey_picture_stays_grey():
    grey = np.random.default_rng(0).integers(0, 256, (16, 16, 1)).astype(np.uint8).repeat(3, axis=2)
    for seed in range(20):
        found = CameraRange(colour=False).sample(np.random.default_rng(seed)).apply(grey)
        assert np.abs(found - found[..., :1].astype(int)).max() <= 1


def test_the_share_of_standardised_cameras():
    rng = np.random.default_rng(0)
    drawn = [CameraRange(standard=0.5).sample(rng).standard for _ in range(200)]
    assert 70 < sum(drawn) < 130


def test_standardised_channels_have_the_wanted_mean_and_deviation():
    rng = np.random.default_rng(0)
    image = (rng.normal(0.5, 0.1, (64, 64, 3)) * 255).clip(30, 255).astype(np.uint8)
    image[:8] = 0
    found = standardise(image)
    assert (found[:8] == 0).all()
    assert found[8:].reshape(-1, 3).mean(axis=0) / 255 == pytest.approx(0.45, abs=0.01)
    assert found[8:].reshape(-1, 3).std(axis=0) / 255 == pytest.approx(
        0.2 / 1.2, abs=0.01
    )  # 0.1 of 0.1 + 0.02


def test_standardising_undoes_gain_and_bias_of_channels(image):
    camera = replace(_plain(), gain=np.array([0.6, 0.8, 0.7]), bias=np.array([0.1, 0.12, 0.15]))
    bright = np.clip(image, 60, 255)
    assert np.abs(standardise(camera.apply(bright)).astype(int) - standardise(bright)).mean() < 8


def test_a_black_picture_stays_black():
    assert not standardise(np.zeros((8, 8, 3), np.uint8)).any()


@pytest.mark.parametrize("arguments", [{"strength": -1}, {"strength": 3}, {"standard": 1.5}, {"coarse": 0.5}])
def test_numbers_out_of_range_are_refused(arguments):
    with pytest.raises(
        ConfigError,
        match="camera: expected strength from 0 to 2, standard from 0 to 1 and coarse from 1 to 16",
    ):
        CameraRange(**arguments)


def test_a_word_instead_of_a_truth_value_is_refused():
    with pytest.raises(ConfigError, match="expected colour true or false, got 'false'"):
        CameraRange(colour="false")
