"""The plain writer of CT series: round trips stand in tests/common/io, here what it refuses and repeats."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from phantoms.ct_series import write_ct_series

from common.errors import InputError

VOXELS = np.full((4, 3, 2), -1000, np.int16)


def test_the_same_seed_is_the_same_study(tmp_path: Path) -> None:
    def uids(name: str, **options: object) -> tuple[str, str, str]:
        first = pydicom.dcmread(write_ct_series(tmp_path / name, VOXELS, np.eye(4), **options)[0])
        return first.StudyInstanceUID, first.SeriesInstanceUID, first.SOPInstanceUID

    first = uids("a", seed=1)
    assert uids("b", seed=1) == first
    second = uids("c", seed=1, series_number=2)
    assert second[0] == first[0] and second[1] != first[1] and second[2] != first[2]
    assert uids("d", seed=2)[0] != first[0]


def test_tags_are_set_last_and_can_be_taken_away(tmp_path: Path) -> None:
    tags = {"SeriesDescription": "other", "SliceThickness": None}
    for path in write_ct_series(tmp_path, VOXELS, np.eye(4), tags=tags):
        dataset = pydicom.dcmread(path)
        assert dataset.SeriesDescription == "other" and "SliceThickness" not in dataset


def test_values_beyond_16_bits_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"phantom: expected HU -1024 to 64511, got -2000 to -2000: clip them"
    ):
        write_ct_series(tmp_path, VOXELS - 1000, np.eye(4))
