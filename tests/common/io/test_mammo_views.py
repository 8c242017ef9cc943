"""Side and view of a mammogram, wherever a header states them."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.sr._snomed_dict import mapping
from pydicom.sr.codedict import codes

from common.io.mammo_views import read_cbis_name, read_laterality, read_modifiers, read_view

VIEW_NAMES = {
    "CranioCaudal": "CC",
    "MedioLateralObliqueProjection": "MLO",
    "MedioLateralProjection": "ML",
    "LateroMedial": "LM",
    "LateroMedialOblique": "LMO",
    "CranioCaudalExaggeratedLaterally": "XCCL",
    "CranioCaudalExaggeratedMedially": "XCCM",
    "CaudoCranial": "FB",
    "SuperolateralToInferomedialOblique": "SIO",
    "InferomedialToSuperolateralOblique": "ISO",
    "TissueSpecimenFromBreast": "specimen",
}


def header(**elements: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


def coded(value: str, **elements: Any) -> Dataset:
    return header(CodeValue=value, CodingSchemeDesignator="SCT", **elements)


@pytest.mark.parametrize(("name", "view"), VIEW_NAMES.items())
def test_views_by_the_codes_of_cid_4014(name: str, view: str) -> None:
    """The codes are pydicom's, the SNOMED RT ones in its mapping."""
    code = getattr(codes.cid4014, name).value
    for value in (code, mapping["SCT"][code]):
        assert read_view(header(ViewCodeSequence=[coded(value)], ViewPosition="CC")) == view


@pytest.mark.parametrize(
    ("stated", "view"),
    [
        *(("CC", "CC"), ("RMLO", "MLO"), ("L-CC", "CC"), ("ml", "ML"), ("LM", "LM"), ("LML", "ML")),
        *(("MLO-ID", "MLO"), ("XCCL SPOT", "XCCL"), ("", "unknown"), ("AP", "unknown")),
    ],
)
def test_views_by_text(stated: str, view: str) -> None:
    """ML and MLO are two views; an unknown code leaves the text."""
    assert read_view(header(ViewPosition=stated)) == view
    assert read_view(header(ViewPosition=stated, ViewCodeSequence=[coded("1")])) == view


def test_patient_orientation_is_a_view_in_cbis_only_by_its_words() -> None:
    assert read_view(header(PatientOrientation="MLO")) == "MLO"
    assert read_view(header(PatientOrientation=["A", "FR"])) == "unknown"


def test_the_name_of_cbis() -> None:
    name = read_cbis_name(header(PatientID="Calc-Training_P_00005_RIGHT_MLO_2"))
    assert name is not None
    assert (name.patient, name.laterality, name.view, name.is_part) == ("P_00005", "R", "MLO", True)
    assert read_laterality(header(PatientID="Mass-Test_P_00173_LEFT_CC")) == "L"
    assert read_view(header(PatientID="Mass-Test_P_00173_LEFT_CC")) == "CC"
    assert read_cbis_name(header(PatientID="P_00173")) is None


@pytest.mark.parametrize(
    ("elements", "side"),
    [
        ({"ImageLaterality": "R", "Laterality": "L"}, "R"),
        ({"ImageLaterality": "", "Laterality": "L"}, "L"),
        ({"FrameLaterality": "R"}, "R"),
        ({"ImageLaterality": "B"}, "B"),
        ({"ImageLaterality": "U"}, ""),
        ({}, ""),
    ],
)
def test_laterality(elements: dict[str, str], side: str) -> None:
    assert read_laterality(header(**elements)) == side


def test_modifiers_by_code_and_text() -> None:
    spot, moved = codes.cid4015.SpotCompression.value, codes.cid4015.ImplantDisplaced.value
    inside = header(ViewCodeSequence=[coded("399162004", ViewModifierCodeSequence=[coded(spot)])])
    assert read_modifiers(inside) == {"spot compression"}
    assert read_modifiers(header(ViewModifierCodeSequence=[coded(moved)])) == {"implant displaced"}
    assert read_modifiers(header(ViewPosition="MLO-ID")) == {"implant displaced"}
    assert read_modifiers(header(PaddleDescription="10CM MAG")) == {"magnification"}
    assert read_modifiers(header(EstimatedRadiographicMagnificationFactor="1.8")) == {"magnification"}
    rolled = codes.cid4015.RolledLateral.value
    assert read_modifiers(header(ViewModifierCodeSequence=[coded(rolled)], ViewPosition="MLO")) == set()
    assert read_modifiers(header(EstimatedRadiographicMagnificationFactor="1.07")) == set()
