"""Volumes by side, areas, cup-to-disc ratio: hand-worked numbers."""

from __future__ import annotations

import numpy as np

from ksam.measure import (
    CUT_NOTE,
    PART_NOTE,
    Midline,
    find_midline,
    measure_cup_to_disc,
    measure_picture,
    measure_volume,
)
from ksam.structures import Structure

KIDNEY = Structure("kidney", 1, None, (1, 1, 1))
TUMOUR = Structure("tumour", 2, None, (2, 2, 2), "kidney")


def body(columns=(20, 80), shape=(60, 100, 4)):
    voxels = np.full(shape, -1000.0)
    voxels[5:55, columns[0] : columns[1]] = 40
    return voxels


def test_sides_are_told_by_the_middle_of_the_body():
    labels = np.zeros((60, 100, 4), np.uint8)
    labels[20:30, 30:40, 1:3] = 1  # patient's right: left in the picture
    labels[20:25, 60:70, 2] = 1
    labels[20, 60, 2] = 2
    midline = find_midline(body(), labels, 3.0)
    kidney, tumour = measure_volume(labels, (KIDNEY, TUMOUR), 2.0, midline)
    assert midline == Midline(50.0)
    assert (kidney["voxels"], kidney["volume_ml"]) == (250, 0.5)
    assert kidney["right"] == {"voxels": 200, "volume_ml": 0.4}
    assert kidney["left"] == {"voxels": 50, "volume_ml": 0.1}
    assert (kidney["slices"], kidney["first_slice"], kidney["last_slice"], kidney["cut"]) == (2, 1, 2, [])
    assert (tumour["voxels"], tumour["left"]["voxels"]) == (1, 1)


def test_a_middle_inside_a_column_divides_it():
    labels = np.zeros((4, 5, 1), np.uint8)
    labels[0, 2] = 1
    (row,) = measure_volume(labels, (KIDNEY,), 1000.0, Midline(2.25))
    assert (row["right"]["volume_ml"], row["left"]["volume_ml"]) == (0.25, 0.75)


def test_no_sides_where_the_picture_cuts_one_side_of_the_body():
    labels = np.ones((60, 100, 4), np.uint8)
    cut = find_midline(body((0, 80)), labels, 3.0)
    assert cut == Midline(None, CUT_NOTE)
    assert find_midline(body((0, 100)), labels, 3.0) == Midline(50.0)
    assert find_midline(body((0, 100)), labels, 2.0) == Midline(None, PART_NOTE)
    (row,) = measure_volume(labels, (KIDNEY,), 1.0, cut)
    assert row["right"] is None and row["left"] is None and row["cut"] == ["bottom", "top"]


def test_nothing_found_has_no_sides_and_no_slices():
    empty = np.zeros((60, 100, 4), np.uint8)
    midline = find_midline(body(), empty, 3.0)
    assert midline.column is None and "No structure was found" in midline.note
    (row,) = measure_volume(empty, (KIDNEY,), 1.0, midline)
    assert (row["voxels"], row["slices"], row["first_slice"], row["cut"]) == (0, 0, None, [])


def test_one_slice_is_not_cut():
    (row,) = measure_volume(np.ones((2, 2, 1), np.uint8), (KIDNEY,), 1.0, Midline(None))
    assert row["cut"] == []


DISC = Structure("optic disc", 1, None, (1, 1, 1))
CUP = Structure("optic cup", 2, None, (2, 2, 2), "optic disc")


def test_areas_include_children():
    labels = np.array([[1, 1, 2, 0]])
    disc, cup = measure_picture(labels, (DISC, CUP))
    assert (disc["area_px"], disc["share"], cup["area_px"]) == (3, 0.75, 1)


def test_cup_to_disc_is_the_ratio_of_the_heights():
    labels = np.zeros((20, 20), np.uint8)
    labels[4:14, 5:15] = 1
    labels[6:11, 8:10] = 2
    assert measure_cup_to_disc(labels, (DISC, CUP)) == {
        "vertical_cup_to_disc_ratio": 0.5,
        "cup_height_px": 5,
        "disc_height_px": 10,
    }
    labels[labels == 2] = 1
    found = measure_cup_to_disc(labels, (DISC, CUP))
    assert found is not None and found["vertical_cup_to_disc_ratio"] == 0


def test_no_ratio_without_disc_or_cup():
    assert measure_cup_to_disc(np.zeros((4, 4)), (DISC, CUP)) is None
    assert measure_cup_to_disc(np.ones((4, 4)), (KIDNEY,)) is None
