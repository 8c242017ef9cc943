"""The network's square and the way back: hand-worked boxes, round trips, refusals."""

from __future__ import annotations

import numpy as np
import pytest

from common.errors import ConfigError, InputError
from ksam.frame import (
    OUTSIDE_LOGIT,
    Frame,
    Window,
    build_frame,
    build_volume_frame,
    find_body_box,
)


def disc(shape, centre, radius):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return np.hypot(rows - centre[0], columns - centre[1]) < radius


def body_slice(shape=(120, 160), box=(20, 30, 100, 130)):
    """Air, a rectangle of tissue, and below it a thin table (2 px) that touches nothing."""
    slice_hu = np.full(shape, -1000.0, np.float32)
    slice_hu[box[0] : box[2], box[1] : box[3]] = 40
    slice_hu[box[2] + 4 : box[2] + 5] = 150
    return slice_hu


def test_window_maps_its_ends_to_black_and_white():
    window = Window(40, 400)
    assert window.apply(np.array([-1000, -160, 40, 240, 3000])).tolist() == [0, 0, 127.5, 255, 255]


def test_window_refuses_no_width():
    with pytest.raises(ConfigError, match="expected a width above 0 HU, got 0"):
        Window(40, 0)


@pytest.mark.parametrize(
    ("shape", "box"), [((512, 512), (0, 0, 512)), ((100, 160), (-30, 0, 160)), ((161, 100), (0, -30, 161))]
)
def test_whole_slice_stands_in_the_middle_of_the_smallest_square(shape, box):
    assert build_frame(np.zeros(shape), "none", 64) == Frame(box, shape, 64)


def test_body_crop_leaves_the_table_out():
    assert find_body_box(body_slice()) == (20, 30, 100, 130)
    assert build_frame(body_slice(), "body", 64).box_px == (10, 30, 100)


def test_empty_slice_is_taken_whole():
    assert build_frame(np.full((40, 60), -1000.0), "body", 32).box_px == (-10, 0, 60)


def test_one_frame_holds_the_bodies_of_all_slices():
    volume = np.stack([body_slice(box=(20, 30, 100, 130)), body_slice(box=(10, 40, 90, 150))], axis=2)
    assert build_volume_frame(volume, "body", 64).box_px == (-5, 30, 120)  # rows 10..100, columns 30..150
    assert build_volume_frame(volume, "none", 64).box_px == (-20, 0, 160)
    air = np.full((40, 60, 3), -1000)
    assert build_volume_frame(air, "body", 64) == build_volume_frame(air, "none", 64)


def test_network_image_is_rgb_0_to_255_with_black_outside():
    image = build_frame(body_slice(), "body", 50).to_network(body_slice(), Window(40, 400))
    assert (image.shape, image.dtype) == ((3, 50, 50), np.float32)
    assert (image[0] == image[1]).all() and (image[0] == image[2]).all()
    assert image[0, 25, 25] == 127.5 and image[0, 0, 25] == 0
    frame = Frame((-10, -10, 20), (10, 10), 20)
    assert frame.to_network(np.full((10, 10), 200.0))[0].sum() == 200 * 100


def test_shrinking_takes_the_mean_of_the_pixels():
    stripes = np.tile([0.0, 255.0], (8, 4))
    assert np.allclose(build_frame(stripes, "none", 4).to_network(stripes), 127.5)


def test_colour_pictures_keep_their_channels():
    picture = np.zeros((6, 6, 3), np.uint8)
    picture[..., 2] = 9
    assert build_frame(picture, "none", 3).to_network(picture)[:, 1, 1].tolist() == [0, 0, 9]


def test_enlarging_by_a_whole_number_comes_back_exactly():
    image = np.arange(16, dtype=np.float32).reshape(4, 4)
    frame = Frame((0, 0, 4), (4, 4), 4)
    assert (frame.to_slice(frame.to_network(image)[:1])[0] == image).all()


@pytest.mark.parametrize(
    ("shape", "box", "size"),
    [((200, 200), (0, 0, 200), 64), ((200, 260), (-30, 0, 260), 96), ((90, 90), (20, 10, 60), 128)],
)
def test_masks_come_back_where_they_were(shape, box, size):
    mask = disc(shape, (box[0] + box[2] / 2 + 3, box[1] + box[2] / 2 - 4), 0.3 * box[2])
    frame = Frame(box, shape, size)
    back = frame.to_slice((frame.mask_to_network(mask) - 0.5)[None])[0] > 0
    overlap = 2 * (back & mask).sum() / (back.sum() + mask.sum())
    centre = np.argwhere(mask).mean(0) - np.argwhere(back).mean(0)
    assert overlap > 0.98 and np.abs(centre).max() < 0.1  # a shift of half a pixel would be 0.5


def test_mask_is_the_share_that_is_covered():
    mask = np.zeros((4, 4), bool)
    mask[0, 0] = True
    assert Frame((0, 0, 4), (4, 4), 2).mask_to_network(mask).tolist() == [[0.25, 0], [0, 0]]


def test_pixels_outside_the_square_are_no_structure():
    back = Frame((2, 3, 4), (10, 12), 4).to_slice(np.ones((2, 4, 4), np.float32))
    assert back.shape == (2, 10, 12)
    assert (back[:, 2:6, 3:7] == 1).all() and (back == 1).sum() == 32
    assert (back[back != 1] == OUTSIDE_LOGIT).all()


def test_refusals():
    frame = build_frame(np.zeros((10, 10)), "none", 8)
    with pytest.raises(InputError, match="expected a slice of 10 x 10 pixels, got .9, 10."):
        frame.to_network(np.zeros((9, 10)))
    with pytest.raises(InputError, match="expected a slice of 10 x 10 pixels"):
        frame.mask_to_network(np.zeros((10, 10, 2), bool))
    with pytest.raises(
        InputError, match="expected pixel values from 0 to 255, or CT values in HU and a wind"
    ):
        frame.to_network(np.full((10, 10), -100.0))
    with pytest.raises(InputError, match="got values from nan"):
        frame.to_network(np.full((10, 10), np.nan), Window(0, 100))
    with pytest.raises(InputError, match="expected logits .n, 8, 8., got .2, 9, 9."):
        frame.to_slice(np.zeros((2, 9, 9)))
    with pytest.raises(ConfigError, match="crop: expected one of none, body, region, got 'kidney'"):
        build_frame(np.zeros((10, 10)), "kidney")
    with pytest.raises(ConfigError, match="crop: expected one of none, body, region, got 'x'"):
        build_volume_frame(np.zeros((10, 10, 2)), "x")
    with pytest.raises(ConfigError, match="expected 'none' for a colour picture, got 'body'"):
        build_frame(np.zeros((10, 10, 3), np.uint8), "body")
