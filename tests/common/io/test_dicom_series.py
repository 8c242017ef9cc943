"""Which series is read: the rules one by one, the named one, mixtures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from ct_cases import SHAPE, edit, hu_volume, write_series
from phantoms.ct_series import phantom_uid

from common.errors import InputError
from common.io.ct_volume import read_ct

CHOSEN = {"SeriesDescription": "chosen"}


def add(
    folder: Path, number: int, orientation: str = "axial", volume: np.ndarray | None = None, **tags: Any
) -> None:
    volume = hu_volume() if volume is None else volume
    write_series(folder / str(number), orientation, series_number=number, tags=tags, volume=volume)


@pytest.mark.parametrize(
    ("worse", "reason"),
    [
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "a localizer"),
        ({"ImageType": ["DERIVED", "SECONDARY", "MIP"]}, "a secondary capture"),
        ({"ImageType": ["DERIVED", "PRIMARY", "MIP"]}, "a projection"),
        ({"Modality": "MR", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.4"}, "not CT but MR"),
        ({"RescaleType": "Z_EFF"}, "not in HU but Z_EFF"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "in colour"),
    ],
)
def test_what_is_no_ct_is_left_out_and_named(tmp_path: Path, worse: dict[str, Any], reason: str) -> None:
    add(tmp_path, 1, volume=hu_volume((14, 11, 9)), **worse)
    add(tmp_path, 2)
    source = read_ct(tmp_path).source
    assert source.series_number == 2
    modality = worse.get("Modality", "CT")
    assert f"Left out series 1 ({modality}, 9 pictures): {reason}." in source.notes
    assert "Read series 2 (CT, 7 pictures), the only CT series that can be segmented." in source.notes


@pytest.mark.parametrize(
    ("better", "worse", "why"),
    [
        ({}, {"orientation": "coronal"}, "it is axial"),
        ({}, {"ImageType": ["DERIVED", "PRIMARY", "AXIAL"]}, "it is an original"),
        ({"ContrastBolusAgent": "yes"}, {"volume": hu_volume((14, 11, 13))}, "it has contrast agent"),
        ({}, {"ConvolutionKernel": ["Br64f", "3"]}, "its kernel is for soft tissue"),
        ({}, {"ConvolutionKernel": "LUNG"}, "its kernel is for soft tissue"),
        ({"volume": hu_volume((14, 11, 9))}, {}, "it has most slices"),
        (
            {"volume": hu_volume((14, 11, 15))},
            {"ContrastBolusAgent": "yes"},
            "it is at least half as long as the longest",
        ),
    ],
)
@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_the_rules_choose(
    tmp_path: Path, better: dict[str, Any], worse: dict[str, Any], why: str, order: tuple[int, int]
) -> None:
    add(tmp_path, order[0], **better)
    add(tmp_path, order[1], **worse)
    source = read_ct(tmp_path).source
    assert source.series_number == order[0]
    assert source.notes[0].endswith(f"because {why}.")
    assert any(note.startswith(f"Left out series {order[1]} (CT") for note in source.notes)


def test_equal_series_go_by_number(tmp_path: Path) -> None:
    add(tmp_path, 5)
    add(tmp_path, 3)
    source = read_ct(tmp_path).source
    assert source.series_number == 3
    assert source.notes[0] == "Read series 3 (CT, 7 pictures), because its number is lowest."


@pytest.mark.parametrize("by_uid", [True, False])
def test_a_series_can_be_named(tmp_path: Path, by_uid: bool) -> None:
    add(tmp_path, 1)
    add(tmp_path, 2, ImageType=["DERIVED", "PRIMARY", "MIP"])
    source = read_ct(tmp_path, phantom_uid(0, 2) if by_uid else 2).source
    assert source.series_number == 2
    assert source.notes[:2] == (
        "Read series 2 (CT, 7 pictures), which was named.",
        "Left out series 1 (CT, 7 pictures): another one was named.",
    )


def test_a_localizer_inside_the_series_is_left_out(tmp_path: Path) -> None:
    paths = write_series(tmp_path)

    def scout(dataset: pydicom.Dataset, _: int) -> None:
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]

    edit(paths[:1], scout)
    for series in (None, "1"):
        volume = read_ct(tmp_path, series)
        assert volume.shape == (14, 11, 6)
        assert "Left out series 1 (CT, 1 picture): a localizer." in volume.source.notes


def test_names_that_fit_none_or_several_are_refused(tmp_path: Path) -> None:
    add(tmp_path, 1)
    with pytest.raises(
        InputError, match=r"expected series '7' once, got 0 among series 1 \(CT, 7 pictures\): name"
    ):
        read_ct(tmp_path, 7)
    edit(write_series(tmp_path / "again"), lambda d, n: setattr(d, "SeriesInstanceUID", phantom_uid("other")))
    with pytest.raises(InputError, match=r"expected series '1' once, got 2 among"):
        read_ct(tmp_path, 1)


def test_a_named_series_must_be_ct(tmp_path: Path) -> None:
    add(tmp_path, 1, Modality="MR", SOPClassUID="1.2.840.10008.5.1.4.1.1.4")
    with pytest.raises(
        InputError, match=r"expected a CT series, got series 1 \(MR, 7 pictures\), not CT but MR: name"
    ):
        read_ct(tmp_path, 1)


def test_without_any_ct_the_refusal_says_what_there_is(tmp_path: Path) -> None:
    add(tmp_path, 1, Modality="MR", SOPClassUID="1.2.840.10008.5.1.4.1.1.4")
    add(tmp_path, 2, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    with pytest.raises(
        InputError,
        match=r"expected a CT series, got series 1 \(MR, .*\), not CT but MR; series 2 .*, a localizer: give",
    ):
        read_ct(tmp_path)


def test_two_patients_are_refused_and_not_named(tmp_path: Path) -> None:
    paths = write_series(tmp_path)
    edit(paths[:2], lambda d, _: setattr(d, "PatientID", "SECRET"))
    for series in (None, 1):
        with pytest.raises(
            InputError, match=r"expected one patient, got 2 in one place: name a series"
        ) as refusal:
            read_ct(tmp_path, series)
        assert "SECRET" not in str(refusal.value)


def test_two_studies_are_refused_until_one_is_named(tmp_path: Path) -> None:
    write_series(tmp_path / "a", series_number=1)
    write_series(tmp_path / "b", series_number=2, tags={"StudyInstanceUID": phantom_uid("second")})
    with pytest.raises(InputError, match=r"expected one study, got 2 in one place: name a series"):
        read_ct(tmp_path)
    assert read_ct(tmp_path, 2).shape == SHAPE
