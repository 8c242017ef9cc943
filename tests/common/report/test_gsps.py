"""Presentation states: boxes in pixels of the image, and the grey scale that the image itself asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from toy_mammo_files import STUDY_UID, find_dicom_errors, make_mammogram

from common.errors import InputError
from common.report import gsps
from common.report.gsps import Annotations, Mark, is_inverted, write_presentation_state
from common.report.provenance import Algorithm

METHOD = Algorithm("MMBCD", "1.0", "ab" * 32)
LAYERS = {"REGIONS": (0, 158, 115), "HIGHEST": (220, 0, 0)}


def annotations(**changes: Any) -> Annotations:
    marks = [Mark((3, 4, 20.5, 30), "1: 62 %", "HIGHEST"), Mark((5, 70, 25, 95), "2: 38 %", "REGIONS")]
    given = {
        "marks": marks,
        "layers": LAYERS,
        "lines": ["R CC", "not for diagnosis"],
        "corner": "left",
        "label": "MMBCD_REGIONS",
        "number": 1,
    }
    return Annotations(**(given | changes))  # type: ignore[arg-type]


def voi_lut() -> Dataset:
    item = Dataset()
    item.LUTDescriptor, item.LUTData = [4, 0, 16], (np.arange(4) * 21845).astype(np.uint16).tobytes()
    item["LUTData"].VR = "OW"
    return item


def write(tmp_path: Path, given: Annotations | None = None, **changes: Any) -> pydicom.FileDataset:
    write_presentation_state(
        given or annotations(), make_mammogram("R", "CC", **changes), METHOD, tmp_path / "pr.dcm"
    )
    return pydicom.dcmread(tmp_path / "pr.dcm")


def test_boxes_and_words_come_back(tmp_path: Path):
    state = write(tmp_path)
    assert state.SOPClassUID.name == "Grayscale Softcopy Presentation State Storage"
    assert (state.StudyInstanceUID, state.ContentLabel) == (STUDY_UID, "MMBCD_REGIONS")
    found = {item.GraphicLayer: item for item in state.GraphicAnnotationSequence}
    (box,) = found["HIGHEST"].GraphicObjectSequence
    assert (box.GraphicType, box.GraphicAnnotationUnits) == ("POLYLINE", "PIXEL")
    assert list(box.GraphicData) == [3, 4, 20.5, 4, 20.5, 30, 3, 30, 3, 4]
    words = [item.UnformattedTextValue for item in found["HIGHEST"].TextObjectSequence]
    assert words == ["1: 62 %", "R CC", "not for diagnosis"]
    below, above = found["HIGHEST"].TextObjectSequence[0], found["REGIONS"].TextObjectSequence[0]
    assert list(below.AnchorPoint) == [3, 30] and list(above.AnchorPoint) == [5, 70]
    layers = {item.GraphicLayer: item.GraphicLayerOrder for item in state.GraphicLayerSequence}
    assert layers == {"REGIONS": 1, "HIGHEST": 2}


def test_an_image_with_frames_is_referred_to_by_its_first(tmp_path: Path):
    state = write(tmp_path, SOPClassUID="1.2.840.10008.5.1.4.1.1.13.1.3", NumberOfFrames=1)
    for item in state.GraphicAnnotationSequence:
        assert item.ReferencedImageSequence[0].ReferencedFrameNumber == 1
    assert not find_dicom_errors(tmp_path / "pr.dcm")


def test_evidence_is_the_image(tmp_path: Path):
    state = write(tmp_path)
    (series,) = state.ReferencedSeriesSequence
    assert series.ReferencedImageSequence[0].ReferencedSOPInstanceUID == f"{STUDY_UID}.1"
    area = state.DisplayedAreaSelectionSequence[0]
    assert (list(area.DisplayedAreaTopLeftHandCorner), list(area.DisplayedAreaBottomRightHandCorner)) == (
        [1, 1],
        [64, 96],
    )
    assert "MMBCD" in [one.get("ManufacturerModelName") for one in state.ContributingEquipmentSequence]


def test_window_and_polarity_are_the_images(tmp_path: Path):
    state = write(
        tmp_path,
        WindowCenter=[100, 5],
        WindowWidth=[50, 6],
        VOILUTFunction="SIGMOID",
        PhotometricInterpretation="MONOCHROME1",
        PresentationLUTShape="INVERSE",
    )
    (voi,) = state.SoftcopyVOILUTSequence
    assert (voi.WindowCenter, voi.WindowWidth, voi.VOILUTFunction) == (100, 50, "SIGMOID")
    assert (state.PresentationLUTShape, state.RescaleType) == ("INVERSE", "US")


def test_a_table_goes_before_a_window(tmp_path: Path):
    table = voi_lut()
    state = write(tmp_path, VOILUTSequence=[table, table], ModalityLUTSequence=None)
    (voi,) = state.SoftcopyVOILUTSequence
    assert len(voi.VOILUTSequence) == 1 and "WindowCenter" not in voi
    assert voi.VOILUTSequence[0].LUTData == table.LUTData


def test_no_grey_scale_stated_none_written(tmp_path: Path):
    absent = dict.fromkeys(("WindowCenter", "WindowWidth", "RescaleSlope", "RescaleIntercept", "RescaleType"))
    state = write(tmp_path, **absent)
    assert "SoftcopyVOILUTSequence" not in state and "RescaleSlope" not in state
    assert state.PresentationLUTShape == "IDENTITY"


def test_a_modality_table_is_copied(tmp_path: Path):
    table = voi_lut()
    table.ModalityLUTType = "US"
    state = write(tmp_path, ModalityLUTSequence=[table])
    assert state.ModalityLUTSequence[0].LUTData == table.LUTData and "RescaleSlope" not in state


@pytest.mark.parametrize(
    ("photometric", "shape", "inverted"),
    [
        ("MONOCHROME2", "IDENTITY", False),
        ("MONOCHROME1", None, True),
        ("MONOCHROME2", "INVERSE", True),
    ],
)
def test_polarity(photometric: str, shape: str | None, inverted: bool):
    image = make_mammogram("R", "CC", PhotometricInterpretation=photometric, PresentationLUTShape=shape)
    assert is_inverted(image) is inverted


def test_uids_follow_from_the_content(tmp_path: Path):
    first = write(tmp_path).SOPInstanceUID
    assert write(tmp_path).SOPInstanceUID == first
    assert write(tmp_path, annotations(lines=["R CC"])).SOPInstanceUID != first


@pytest.mark.parametrize("kind", ["window", "sigmoid", "table", "nothing", "no boxes"])
def test_an_independent_validator_finds_no_error(tmp_path: Path, kind: str):
    changes: dict[str, Any] = {
        "sigmoid": {"VOILUTFunction": "SIGMOID", "PhotometricInterpretation": "MONOCHROME1"},
        "table": {"VOILUTSequence": [voi_lut()], "WindowCenter": None, "WindowWidth": None},
        "nothing": {"WindowCenter": None, "WindowWidth": None},
    }.get(kind, {})
    write(tmp_path, annotations(marks=[]) if kind == "no boxes" else None, **changes)
    errors = find_dicom_errors(tmp_path / "pr.dcm")
    if errors is None:
        pytest.skip("dciodvfy (Debian: dicom3tools) is not installed")
    assert errors == []


def test_a_box_outside_the_image_is_refused(tmp_path: Path):
    marks = [Mark((0, 0, 80, 5), "1", "HIGHEST")]
    with pytest.raises(InputError, match="1: expected a box inside the image of 64 x 96 px, got 0, 0, 80, 5"):
        write(tmp_path, annotations(marks=marks))


def test_a_broken_header_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> None:
        raise ValueError("no")

    monkeypatch.setattr(gsps, "_state", refuse)
    with pytest.raises(
        InputError, match="annotations: expected headers that a presentation state can follow"
    ):
        write(tmp_path)
