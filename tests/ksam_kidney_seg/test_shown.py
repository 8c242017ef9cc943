"""Which slices are shown, and how they are named."""

from __future__ import annotations

import numpy as np
import pytest
from toy_prompts import DARK, LIGHT
from toy_segmenter import body_slice, ct_task, picture, picture_task, segmenter_of

from ksam.frame import build_frame
from ksam.shown import MAX_PICTURE_PX, choose_slices, show_picture, show_volume


def test_slices_with_most_of_each_structure_are_chosen():
    labels = np.zeros((4, 4, 6), np.uint8)
    labels[0, :2, 1] = 1
    labels[0, :3, 2] = 1
    labels[1, :1, 2] = 2
    labels[1, :4, 5] = 2
    assert choose_slices(labels, (DARK, LIGHT)) == {5: ["light"], 2: ["dark"]}
    labels[1, :, 2] = 2
    labels[1, 0, 5] = 0
    assert choose_slices(labels, (DARK, LIGHT)) == {2: ["dark", "light"]}


def test_middle_slice_is_shown_where_nothing_is():
    assert choose_slices(np.zeros((4, 4, 7), np.uint8), (DARK,)) == {3: []}


def test_volume_is_shown_with_slice_and_view_from_the_front():
    voxels = np.repeat(body_slice()[:, :, None], 3, axis=2)
    segmenter = segmenter_of(ct_task())
    frame = build_frame(voxels[:, :, 0], "none", 8)
    found = segmenter.predict_volume(voxels, frame, 3.0)
    doubt = np.zeros(voxels.shape, np.uint8)
    doubt[1, 2, 0] = 255
    shown = show_volume(voxels, found.labels, frame, (2, 2, 3), doubt, segmenter, found.templates)
    (panel,) = shown.panels
    assert panel.title == "slice 1 of 3 from the feet: most dark and light"
    assert panel.image.min() >= 0 and panel.image.max() <= 255 and panel.radiological
    assert panel.disagreement is not None
    assert panel.disagreement.sum() == panel.disagreement[1, 2] == pytest.approx(0.5)
    assert shown.coronal is not None and shown.coronal[2] == (2.0, 2.0, 3.0)
    empty = show_volume(voxels, 0 * found.labels, frame, (2, 2, 3), None, segmenter, found.templates)
    assert empty.panels[0].disagreement is None
    assert empty.coronal is None and empty.panels[0].title == "slice 2 of 3 from the feet"


def test_large_pictures_are_shown_small():
    segmenter = segmenter_of(picture_task())
    large = np.zeros((2 * MAX_PICTURE_PX, 100, 3), np.uint8)
    labels = np.zeros(large.shape[:2], np.uint8)
    shown = show_picture(large, labels, build_frame(large, "none", 8), None, segmenter, ())
    assert shown.panels[0].image.shape == (MAX_PICTURE_PX, 50, 3)
    assert shown.panels[0].frame.box_px == (0, -725, MAX_PICTURE_PX)
    small = show_picture(picture(), labels[:8, :8], build_frame(picture(), "none", 8), None, segmenter, ())
    assert small.panels[0].image.shape == (8, 8, 3) and small.coronal is None
