"""What headers say about a mammogram: age, spacing, and why it may not be read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from toy_mammo_files import make_mammogram

from common.errors import InputError
from common.io.dicom_files import list_files
from common.io.mammo_header import (
    FOR_PROCESSING,
    SECONDARY_CAPTURE,
    TOMOSYNTHESIS,
    find_reason,
    flatten_groups,
    read_age,
    read_image,
    read_spacing,
)


def header(**elements: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


def coded(value: str, **elements: Any) -> Dataset:
    return header(CodeValue=value, CodingSchemeDesignator="SCT", **elements)


def mammogram(**changes: Any) -> Dataset:
    """A CC view of the left breast with its file meta."""
    return make_mammogram("L", "CC", **changes)


REASONS = [
    ({}, ""),
    ({"Modality": "US"}, "not MG but US"),
    ({"Rows": None}, "no picture in it"),
    ({"SOPClassUID": FOR_PROCESSING}, "FOR PROCESSING, values of the detector and not a picture"),
    (
        {"PresentationIntentType": "FOR PROCESSING"},
        "FOR PROCESSING, values of the detector and not a picture",
    ),
    (
        {"SOPClassUID": TOMOSYNTHESIS, "NumberOfFrames": 52},
        "52 slices of a tomosynthesis; the 2-D view is needed",
    ),
    ({"NumberOfFrames": 3}, "3 frames in one file; the 2-D view is needed"),
    ({"SOPClassUID": TOMOSYNTHESIS, "NumberOfFrames": 1}, ""),
    ({"ImageType": ["DERIVED", "PRIMARY", "", "GENERATED_2D"]}, ""),
    ({"SamplesPerPixel": 3}, "in colour, a picture of a screen"),
    ({"ImageType": ["ORIGINAL", "PRIMARY", "TOMO_PROJ"]}, "a projection of a tomosynthesis"),
    (
        {"ImageType": ["DERIVED", "PRIMARY", "POST_CONTRAST", "SUBTRACTION"]},
        "computed from pictures with contrast agent",
    ),
    (
        {"ImageType": ["ORIGINAL", "PRIMARY", "POST_CONTRAST", "", "HIGH_ENERGY"]},
        "the high-energy half of a contrast mammogram",
    ),
    ({"ImageType": ["ORIGINAL", "PRIMARY", "POST_CONTRAST", "", "LOW_ENERGY"]}, ""),
    ({"ImageType": ["ORIGINAL", "PRIMARY", "STEREO_SCOUT"]}, "a picture of a biopsy"),
    ({"BurnedInAnnotation": "YES"}, "text is burned into the picture"),
    (
        {"BreastImplantPresent": "YES"},
        "an implant is in the picture; the implant-displaced view is needed",
    ),
    ({"BreastImplantPresent": "YES", "ViewPosition": "CC-ID"}, ""),
    ({"EstimatedRadiographicMagnificationFactor": "1.5"}, "a magnification view, part of a breast"),
    ({"ViewPosition": "CC SPOT"}, "a spot compression view, part of a breast"),
    ({"ImageLaterality": "B"}, "shows both breasts"),
    ({"ViewPosition": "CV"}, "shows both breasts"),
    ({"SOPClassUID": SECONDARY_CAPTURE}, ""),
    ({"SOPClassUID": SECONDARY_CAPTURE, "ViewPosition": None, "ViewCodeSequence": []}, "a secondary capture"),
    ({"PatientID": "Mass-Test_P_00173_LEFT_CC_1"}, "a crop or a mask of a finding"),
    (
        {"PatientID": "Mass-Test_P_00173_LEFT_CC", "SeriesDescription": "ROI mask images"},
        "a crop or a mask of a finding",
    ),
    ({"PatientID": "Mass-Test_P_00173_LEFT_CC", "SeriesDescription": "full mammogram images"}, ""),
]


@pytest.mark.parametrize(("changes", "reason"), REASONS, ids=[str(changes)[:40] for changes, _ in REASONS])
def test_reasons(changes: dict[str, Any], reason: str) -> None:
    image = mammogram(**{**{"ViewCodeSequence": None}, **changes})
    for keyword, value in changes.items():
        if keyword == "ViewCodeSequence":
            image.ViewCodeSequence = value
    found = find_reason(image)
    assert found.startswith(reason) if reason else found == ""


def test_a_specimen_is_no_breast() -> None:
    image = mammogram()
    image.ViewCodeSequence = [coded("127457009")]
    assert find_reason(image) == "a specimen"


@pytest.mark.parametrize(
    ("elements", "age"),
    [
        ({"PatientAge": "053Y"}, 53),
        ({"PatientAge": "030M"}, 2),
        ({"PatientBirthDate": "19600615", "StudyDate": "20240614"}, 63),
        ({"PatientBirthDate": "19600614", "StudyDate": "20240614"}, 64),
        ({"PatientBirthDate": "20250101", "StudyDate": "20240614"}, None),
        ({"PatientAge": "53"}, None),
        ({}, None),
    ],
)
def test_age(elements: dict[str, str], age: int | None) -> None:
    assert read_age(header(**elements)) == age


def test_spacing() -> None:
    assert read_spacing(header(ImagerPixelSpacing=[0.07, 0.08], PixelSpacing=[0.06, 0.06])) == (0.07, 0.08)
    assert read_spacing(header(PixelSpacing=[0.06, 0.06])) == (0.06, 0.06)
    assert read_spacing(header(NominalScannedPixelSpacing=[0.05, 0.05])) == (0.05, 0.05)
    assert read_spacing(header(PixelSpacing=[0, 0])) is None
    assert read_spacing(header()) is None


def test_functional_groups_of_the_first_frame_are_on_the_top_level() -> None:
    """The frame's own value comes before the shared one, the header's own before both."""
    shared = header(
        FrameVOILUTSequence=[header(WindowCenter=10, WindowWidth=20)],
        PixelMeasuresSequence=[header(PixelSpacing=[0.1, 0.1])],
    )
    frame = header(
        FrameVOILUTSequence=[header(WindowCenter=11, WindowWidth=21)],
        FrameAnatomySequence=[header(FrameLaterality="R")],
    )
    whole = header(
        SharedFunctionalGroupsSequence=[shared], PerFrameFunctionalGroupsSequence=[frame], WindowWidth=99
    )
    flat = flatten_groups(whole)
    assert (flat.WindowCenter, flat.WindowWidth, flat.FrameLaterality) == (11, 99, "R")
    assert list(flat.PixelSpacing) == [0.1, 0.1]


def test_an_image_of_a_study(tmp_path: Path) -> None:
    mammogram().save_as(tmp_path / "a.dcm", enforce_file_format=True)
    image = read_image(list_files(tmp_path)[0])
    assert (image.laterality, image.view, image.date, image.age_years) == ("L", "CC", "20240102", 64)
    assert image.spacing_mm == (0.5, 0.5)
    assert not (image.synthetic or image.partial or image.reason)
    assert "4711" not in repr(image)
    assert "Secret" not in repr(image)


@pytest.mark.parametrize("identifier", ["", "ANONYMOUS", "anon123", "0000", "Unknown"])
def test_patients_without_an_id_go_by_their_study(tmp_path: Path, identifier: str) -> None:
    for number in (1, 2):
        image = mammogram(PatientID=identifier, StudyInstanceUID=f"1.2.{number}")
        image.save_as(tmp_path / f"{number}.dcm", enforce_file_format=True)
    keys = [read_image(file).patient for file in list_files(tmp_path)]
    assert keys[0] != keys[1]


@pytest.mark.parametrize("change", ["cut", "a number that is none"])
def test_damaged_headers_are_refused(tmp_path: Path, change: str) -> None:
    path = tmp_path / "a.dcm"
    mammogram(NumberOfFrames=1).save_as(path, enforce_file_format=True)
    content = path.read_bytes()
    place = content.index(b"\x28\x00\x08\x00IS") + 8
    path.write_bytes(content[:500] if change == "cut" else content[:place] + b"xx" + content[place + 2 :])
    with pytest.raises(InputError, match=r"^a\.dcm: expected an intact DICOM file, got a damaged one"):
        read_image(list_files(path)[0])


def test_elements_of_unknown_kinds_are_passed_over(tmp_path: Path) -> None:
    """One on the top level, one inside a sequence."""
    path = tmp_path / "a.dcm"
    mammogram().save_as(path, enforce_file_format=True)
    content = bytearray(path.read_bytes())
    for tag in (b"\x08\x00\x70\x00LO", b"\x08\x00\x04\x01LO"):
        place = content.index(tag) + 5
        content[place] = 0xFF
    path.write_bytes(bytes(content))
    image = read_image(list_files(path)[0])
    assert image.header is not None
    assert "Manufacturer" not in image.header
    assert "CodeMeaning" not in image.header.ViewCodeSequence[0]
    assert image.view == "CC"


def test_impossible_values_are_not_quoted_in_logs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    path = tmp_path / "a.dcm"
    image = mammogram(PatientBirthDate="19600101", PatientSex="F")
    image.save_as(path, enforce_file_format=True)
    path.write_bytes(path.read_bytes().replace(b"DA\x08\x0019600101", b"DA\x08\x001.1.1960"))
    read = read_image(list_files(path)[0])
    assert read.header is not None
    assert read.header.PatientBirthDate == "1.1.1960"
    assert "1960" not in caplog.text
    assert not [one for one in recwarn if "1960" in str(one.message)]
