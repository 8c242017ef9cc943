"""Patient axes: a marked point keeps its millimetres through every permutation and flip."""

from __future__ import annotations

import numpy as np
import pytest
from ct_cases import ORIENTATIONS, SHAPE, affine_of, all_turns

from common.errors import InputError
from common.geometry import (
    axial_orientation,
    axis_lengths_mm,
    check_affine,
    lps_from_ras,
    ras_from_lps,
    world_points,
)


def test_lps_and_ras_by_hand() -> None:
    affine = np.eye(4)
    affine[:3, 3] = (10, 20, 30)
    np.testing.assert_array_equal(world_points(lps_from_ras(affine), np.array([[1, 2, 3]])), [[-11, -22, 33]])
    np.testing.assert_array_equal(ras_from_lps(lps_from_ras(affine)), affine)


@pytest.mark.parametrize("turn", all_turns(), ids=lambda turn: "".join(f"{v:+.0f}" for v in turn.ravel()))
def test_every_permutation_and_flip_is_undone_exactly(turn: np.ndarray) -> None:
    affine = affine_of(turn)
    orientation = axial_orientation(affine)
    volume = np.arange(np.prod(SHAPE)).reshape(SHAPE)
    axial = orientation.to_axial(volume)
    np.testing.assert_array_equal(orientation.from_axial(axial), volume)
    r, c, z = 3, 2, 1
    i, j, k = (int(v[0]) for v in np.where(volume == axial[r, c, z]))
    axial_affine = orientation.affine(affine, SHAPE)
    np.testing.assert_allclose(
        world_points(axial_affine, np.array([[r, c, z]])), world_points(affine, np.array([[i, j, k]]))
    )
    directions = axial_affine[:3, :3] / np.linalg.norm(axial_affine[:3, :3], axis=0)
    np.testing.assert_allclose(directions, [[0, -1, 0], [-1, 0, 0], [0, 0, 1]], atol=1e-12)


def test_oblique_axes_go_to_the_nearest() -> None:
    assert axial_orientation(ORIENTATIONS["oblique"]) == axial_orientation(ORIENTATIONS["axial"])
    assert axial_orientation(ORIENTATIONS["tilted"]) == axial_orientation(ORIENTATIONS["axial"])


def test_ties_at_45_degrees_keep_the_voxel_axes() -> None:
    half = np.sqrt(0.5)
    turned = affine_of(np.array([[-half, half, 0], [-half, -half, 0], [0, 0, 1]]))
    assert axial_orientation(turned).axes == (1, 0, 2)


def test_lengths_multiply_to_the_voxel_volume_even_when_tilted() -> None:
    affine = ORIENTATIONS["tilted"]
    np.testing.assert_allclose(axis_lengths_mm(affine), (0.7, 0.9, 2.5))
    assert np.prod(axis_lengths_mm(affine)) == pytest.approx(abs(np.linalg.det(affine[:3, :3])))


@pytest.mark.parametrize(
    "affine",
    [np.zeros((4, 4)), np.full((4, 4), np.nan), np.eye(3), np.diag([1, 1, 0, 1]), np.diag([1e-5, 1, 1, 1])],
    ids=["zero", "nan", "3x3", "flat", "metres"],
)
def test_affines_without_voxels_are_refused(affine: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"a: expected voxels of 0\.01 to 100 mm, got an affine with others"):
        check_affine(affine, "a")


@pytest.mark.parametrize("entry", [(1, 0), (1, 2)])
def test_skewed_grids_are_refused(entry: tuple[int, int]) -> None:
    affine = np.eye(4)
    affine[entry] = 2.0
    with pytest.raises(
        InputError, match=r"a: expected rows, columns and slices at right angles, got a skewed"
    ):
        check_affine(affine, "a")
