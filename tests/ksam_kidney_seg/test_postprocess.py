"""Masks and labels from logits, against cases that can be read off."""

import numpy as np
import pytest

from common.errors import ConfigError
from ksam.postprocess import keep_largest, keep_largest_labels, label_map, masks_from_logits
from ksam.structures import Structure, mask_of

CORTEX, MEDULLA = Structure("cortex", 1, None, (1, 1, 1)), Structure("medulla", 2, None, (2, 2, 2))
DISC, CUP = Structure("disc", 1, None, (1, 1, 1)), Structure("cup", 2, None, (2, 2, 2), "disc")
RIM = Structure("spot", 3, None, (3, 3, 3), "disc")


def test_exclusive_structures_compete_with_each_other_and_with_a_zero_background() -> None:
    logits = np.array([[3.0, 1.0, -1.0, -5.0], [1.0, 2.0, -0.5, 0.5]])
    masks = masks_from_logits(logits, (CORTEX, MEDULLA))
    np.testing.assert_array_equal(masks, [[True, False, False, False], [False, True, False, True]])
    np.testing.assert_array_equal(label_map(masks, (CORTEX, MEDULLA)), [1, 2, 0, 2])


def test_a_child_lies_in_its_parent_and_the_parent_includes_it() -> None:
    disc, cup = [1.0, 1.0, -1.0, -1.0], [5.0, -1.0, 5.0, -1.0]
    masks = masks_from_logits(np.array([disc, cup]), (DISC, CUP))
    np.testing.assert_array_equal(masks, [[True, True, False, False], [True, False, False, False]])
    labels = label_map(masks, (DISC, CUP))
    np.testing.assert_array_equal(labels, [2, 1, 0, 0])
    np.testing.assert_array_equal(mask_of(labels, DISC, (DISC, CUP)), masks[0])


def test_the_order_of_the_structures_does_not_matter() -> None:
    masks = masks_from_logits(np.array([[5.0, 5.0], [1.0, -1.0]]), (CUP, DISC))
    np.testing.assert_array_equal(masks, [[True, False], [True, False]])
    np.testing.assert_array_equal(label_map(masks, (CUP, DISC)), [2, 0])


def test_siblings_inside_a_parent_exclude_each_other() -> None:
    masks = masks_from_logits(np.array([[1.0, 1.0], [2.0, 1.0], [1.0, 2.0]]), (DISC, CUP, RIM))
    np.testing.assert_array_equal(masks, [[True, True], [True, False], [False, True]])


def test_another_number_of_maps_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected logits of 2 structures, got 1"):
        masks_from_logits(np.zeros((1, 2, 2)), (DISC, CUP))


def test_the_largest_parts_stay() -> None:
    mask = np.array([1, 1, 1, 0, 1, 0, 1, 1], bool)
    np.testing.assert_array_equal(keep_largest(mask, 1), [1, 1, 1, 0, 0, 0, 0, 0])
    np.testing.assert_array_equal(keep_largest(mask, 2), [1, 1, 1, 0, 0, 0, 1, 1])
    assert keep_largest(mask, 0) is mask
    with pytest.raises(ConfigError, match="keep_largest: expected 0 .all. or more parts, got -1"):
        keep_largest(mask, -1)


def test_corners_do_not_connect() -> None:
    assert keep_largest(np.eye(3, dtype=bool), 1).sum() == 1


def test_what_lies_in_a_small_part_goes_with_it() -> None:
    labels = np.array([1, 2, 1, 0, 2, 1], np.uint8)
    np.testing.assert_array_equal(keep_largest_labels(labels, (DISC, CUP), 1), [1, 2, 1, 0, 0, 0])
    np.testing.assert_array_equal(labels, [1, 2, 1, 0, 2, 1])
