"""Faulty stacks of slices: found, named, refused in one line or put right."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from ct_cases import edit, hu_volume, write_series
from phantoms.ct_series import phantom_uid

from common.errors import InputError
from common.io.ct_volume import read_ct


def move(dataset: pydicom.Dataset, axis: int, by_mm: float) -> None:
    position = [float(v) for v in dataset.ImagePositionPatient]
    position[axis] += by_mm
    dataset.ImagePositionPatient = position


def test_copies_of_files_are_left_out(tmp_path: Path) -> None:
    paths = write_series(tmp_path)
    for path in paths[2:4]:
        shutil.copy(path, path.with_name(f"copy-{path.name}"))
    volume = read_ct(tmp_path)
    np.testing.assert_array_equal(volume.voxels_hu, hu_volume())
    assert "Left out 2 slices that came twice as a file." in volume.source.notes


def double(path: Path, value: int | None) -> None:
    """The same place under another UID, with the same pixels or another value in all of them."""
    shutil.copy(path, path.with_name("double.dcm"))

    def change(dataset: pydicom.Dataset, _: int) -> None:
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = phantom_uid("double")
        dataset.InstanceNumber = 99
        if value is not None:
            dataset.PixelData = np.full(14 * 11, value, "<u2").tobytes()

    edit([path.with_name("double.dcm")], change)


def test_a_second_slice_with_the_same_pixels_is_left_out(tmp_path: Path) -> None:
    double(write_series(tmp_path)[4], None)
    volume = read_ct(tmp_path)
    np.testing.assert_array_equal(volume.voxels_hu, hu_volume())
    assert "Left out 1 slice with the place and the pixels of another." in volume.source.notes


def test_a_second_slice_with_other_pixels_is_refused(tmp_path: Path) -> None:
    double(write_series(tmp_path)[4], 1024)
    with pytest.raises(
        InputError, match=r"expected one slice per position, got 1 positions doubled \(first slice (5|99) and"
    ):
        read_ct(tmp_path)


def test_frames_at_one_place_are_refused(tmp_path: Path) -> None:
    from ct_cases import write_enhanced

    singles = write_series(tmp_path / "singles")
    path = write_enhanced(tmp_path / "e.dcm", singles, [0, 1, 2, 2, 3])
    with pytest.raises(InputError, match=r"expected one slice per position, got 1 positions doubled"):
        read_ct(path)


def test_one_uid_for_two_places_is_refused(tmp_path: Path) -> None:
    paths = write_series(tmp_path)
    first = pydicom.dcmread(paths[0]).SOPInstanceUID
    edit(paths[1:2], lambda d, _: setattr(d, "SOPInstanceUID", first))
    with pytest.raises(
        InputError, match=r"expected a UID per slice, got one for slice 1 and slice 2: export"
    ):
        read_ct(tmp_path)


@pytest.mark.parametrize(
    ("gone", "count", "after"), [((3,), 1, "slice 3"), ((1, 2, 5), 3, "slice 1, slice 5")]
)
def test_missing_slices_are_named(tmp_path: Path, gone: tuple[int, ...], count: int, after: str) -> None:
    paths = write_series(tmp_path, volume=hu_volume((14, 11, 12)))
    for number in gone:
        paths[number].unlink()
    with pytest.raises(
        InputError, match=rf"expected a slice every 2\.5 mm, got {count} missing \(after {after}\): export"
    ):
        read_ct(tmp_path)


def test_irregular_distances_are_refused_and_small_ones_named(tmp_path: Path) -> None:
    paths = write_series(tmp_path)
    edit(paths[3:4], lambda d, _: move(d, 2, 0.06))
    assert "Slices are up to 0.06 mm from even spacing." in read_ct(tmp_path).source.notes
    edit(paths[3:4], lambda d, _: move(d, 2, 0.5))
    with pytest.raises(
        InputError, match=r"expected evenly spaced slices, got distances of 1\.94 to 3\.06 mm"
    ):
        read_ct(tmp_path)


def test_a_slice_beside_the_line_is_refused(tmp_path: Path) -> None:
    edit(write_series(tmp_path)[3:4], lambda d, _: move(d, 0, 0.5))
    with pytest.raises(InputError, match=r"expected slices in one line, got some 0\.5 mm aside: separate"):
        read_ct(tmp_path)


def test_too_strong_a_tilt_is_refused(tmp_path: Path) -> None:
    edit(write_series(tmp_path), lambda d, n: move(d, 1, 3.0 * n))
    with pytest.raises(InputError, match=r"expected a gantry tilt below 45 degrees, got 50\.2: resample it"):
        read_ct(tmp_path)


FAULTS: dict[str, tuple[Callable[[pydicom.Dataset, int], None], str]] = {
    "no position": (
        lambda d, _: delattr(d, "ImagePositionPatient"),
        r"expected slices with position, orientation and pixel spacing, got 2 without: export",
    ),
    "size": (
        lambda d, _: d.update({(0x28, 0x10): pydicom.DataElement((0x28, 0x10), "US", 10)}),
        r"expected slices of one size, got 14 x 11 \(5\), 14 x 10 \(2\): separate the series",
    ),
    "orientation": (
        lambda d, _: setattr(d, "ImageOrientationPatient", [1, 0, 0, 0, 0.8, 0.6]),
        r"expected slices of one orientation, got 2 of 7 unlike the first: separate",
    ),
    "spacing": (
        lambda d, _: setattr(d, "PixelSpacing", [0.5, 0.5]),
        r"expected slices of one pixel spacing, got 2 of 7 unlike the first: separate",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_slices_that_do_not_fit_together_are_refused(tmp_path: Path, fault: str) -> None:
    change, message = FAULTS[fault]
    edit(write_series(tmp_path)[4:6], change)
    with pytest.raises(InputError, match=message):
        read_ct(tmp_path)


def test_impossible_cosines_are_refused(tmp_path: Path) -> None:
    edit(write_series(tmp_path), lambda d, _: setattr(d, "ImageOrientationPatient", [1, 0, 0, 0, 2, 0]))
    with pytest.raises(
        InputError, match=r"expected unit direction cosines at right angles, got others: export"
    ):
        read_ct(tmp_path)
