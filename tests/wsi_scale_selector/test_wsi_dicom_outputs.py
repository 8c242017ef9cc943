"""A DICOM slide leaves a SEG of the class map and an SR of the verdict: both say what scale.json says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pydicom
import pytest
from dicom_checks import find_errors, needs_dciodvfy
from phantoms.slide_dicom import write_dicom_slide
from pydicom.dataset import Dataset

from common.report.label_grid import LabelGrid
from scale_selector.classifier import Label
from scale_selector.dicom_outputs import find_frames, write_dicom

LABELS = (
    Label(0, "adipose", (240, 228, 66), {"scheme": "SCT", "value": "55603005", "meaning": "Adipose tissue"}),
    Label(1, "background", (221, 221, 221), None),
    Label(2, "debris", (102, 102, 102), {"scheme": "SCT", "value": "257159000", "meaning": "Debris"}),
)
DECISIONS = ("decided", "widen the search", "scales equivalent", "classifier does not fit this slide")


def make_scale(decision: str = "decided", **changes: Any) -> dict[str, Any]:
    decided = decision == "decided"
    scale = {
        "weights": {"name": "toy", "sha256": "ab" * 32, "purpose": "demonstration"},
        "classifier": {"name": "toy", "version": "3"},
        "search": {
            "scales": [{"magnification": value} for value in (10.0, 14.0, 20.0)],
            "points_used": 12,
        },
        "vote": {"share": 0.4321},
        "bootstrap": {"low": 0, "high": 1},
        "verdict": {
            "decision": decision,
            "direction": "lower",
            "mpp": 0.7143 if decided else None,
            "magnification": 14.0 if decided else None,
            "downsample": 1.4286 if decided else None,
            "upsampled": False,
            "evidence": ["Ten of twelve points agree."],
        },
        "class_map": {
            "mpp": 0.7143,
            "downsample": 1.4286,
            "reason": "the verdict",
            "areas_mm2": {"adipose": 0.5, "background": 0.25, "debris": 0.0},
        },
    }
    return scale | changes


def make_grid() -> LabelGrid:
    labels = np.full((9, 14), -1, np.int16)
    labels[1:5, 2:6], labels[6, 3:11] = 0, 1
    return LabelGrid(labels, np.ones(labels.shape), 40.0, (560.0, 360.0), 0.5)


def make_header(folder: Path, **tags: Any) -> Dataset:
    paths = write_dicom_slide(folder / "slide", np.full((360, 560, 3), 200, np.uint8), tags=tags)
    return pydicom.dcmread(paths[0], stop_before_pixels=True)


def amounts_of(group: Any) -> dict[str, float]:
    return {one.name.value: one.value for one in group.get_measurements()}


def read_report(folder: Path) -> hd.sr.ComprehensiveSR:
    return hd.sr.srread(folder / "dicom" / "scale_sr.dcm")


def write(folder: Path, scale: dict[str, Any], grid: LabelGrid | None = None, **tags: Any) -> list[Path]:
    return write_dicom(scale, grid or make_grid(), LABELS, make_header(folder, **tags), folder)


def test_the_verdict_is_coded(tmp_path: Path):
    write(tmp_path, make_scale())
    report = read_report(tmp_path)
    (group,) = report.content.get_image_measurement_groups(tracking_uid=None)[:1]
    assert group.tracking_identifier == "scale"
    assert amounts_of(group) == {
        "pixel_size": 0.7143,
        "magnification": 14,
        "downsample": 1.4286,
        "interval_low": 10,
        "interval_high": 14,
        "points": 12,
        "vote_share": 43.21,
    }
    (answer,) = group.get_qualitative_evaluations()
    assert (answer.name.value, answer.value.value) == ("decision", "decided")
    (source,) = group.source_images
    assert "ReferencedFrameNumber" not in source.ReferencedSOPSequence[0]


@pytest.mark.parametrize("decision", DECISIONS[1:])
def test_a_refusal_names_no_scale(tmp_path: Path, decision: str):
    write(tmp_path, make_scale(decision, bootstrap={"low": None, "high": None}))
    group = read_report(tmp_path).content.get_image_measurement_groups()[0]
    assert set(amounts_of(group)) == {"points", "vote_share"}
    (answer,) = group.get_qualitative_evaluations()
    assert answer.value.value == {"w": "widen", "s": "equivalent", "c": "no_fit"}[decision[0]]


def test_classes_refer_to_their_segments(tmp_path: Path):
    seg_path, report_path = write(tmp_path, make_scale())
    assert [path.name for path in (seg_path, report_path)] == ["class_map_seg.dcm", "scale_sr.dcm"]
    seg, content = pydicom.dcmread(seg_path), read_report(tmp_path).content
    groups = {group.tracking_identifier: group for group in content.get_planar_roi_measurement_groups()}
    assert set(groups) == {"adipose", "background"}
    assert amounts_of(groups["adipose"]) == {"class_share": pytest.approx(66.667), "42798000": 0.5}
    assert amounts_of(groups["background"])["class_share"] == pytest.approx(33.333)
    reference = groups["background"].referenced_segmentation_frame[0].ReferencedSOPSequence[0]
    assert reference.ReferencedSOPInstanceUID == seg.SOPInstanceUID
    assert reference.ReferencedFrameNumber == 2 and "ReferencedSegmentNumber" not in reference
    assert find_frames(seg) == {1: (1,), 2: (2,)}
    empty = content.get_image_measurement_groups()[-1]
    assert (empty.tracking_identifier, amounts_of(empty)["class_share"]) == ("debris", 0)


def test_without_a_map_there_is_the_verdict_alone(tmp_path: Path):
    files = write_dicom(make_scale(class_map=None), None, LABELS, make_header(tmp_path), tmp_path)
    assert [path.name for path in files] == ["scale_sr.dcm"]
    assert len(read_report(tmp_path).content.get_image_measurement_groups()) == 1


def test_a_slide_without_its_place_gets_no_segmentation(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    files = write(tmp_path, make_scale(), TotalPixelMatrixOriginSequence=None)
    assert [path.name for path in files] == ["scale_sr.dcm"]
    note = "The slide does not say where its pixels lie on the glass: no DICOM Segmentation was written."
    texts = [item.TextValue for item in read_report(tmp_path).ContentSequence if item.ValueType == "TEXT"]
    assert note in texts and note in caplog.messages
    assert "Demonstration weights, not for diagnosis." in texts
    assert "The class map was read at x14 (0.71 um per pixel); this scale is the verdict." in texts


def test_other_formats_have_no_dicom(tmp_path: Path):
    assert write_dicom(make_scale(), make_grid(), LABELS, None, tmp_path) == []
    assert not (tmp_path / "dicom").exists()


def test_unknown_areas_are_left_out(tmp_path: Path):
    found = make_scale()["class_map"] | {"areas_mm2": dict.fromkeys(("adipose", "background", "debris"))}
    write(tmp_path, make_scale(class_map=found))
    groups = read_report(tmp_path).content.get_planar_roi_measurement_groups()
    assert [set(amounts_of(group)) for group in groups] == [{"class_share"}, {"class_share"}]


def test_the_same_again_has_the_same_uids(tmp_path: Path):
    first = [pydicom.dcmread(path).SOPInstanceUID for path in write(tmp_path, make_scale())]
    again = [pydicom.dcmread(path).SOPInstanceUID for path in write(tmp_path, make_scale())]
    other = [
        pydicom.dcmread(path).SOPInstanceUID for path in write(tmp_path, make_scale(vote={"share": 0.5}))
    ]
    assert first == again and first[0] == other[0] and first[1] != other[1]


@needs_dciodvfy
@pytest.mark.parametrize("decision", DECISIONS)
def test_an_independent_validator_finds_no_error(tmp_path: Path, decision: str):
    for path in write(tmp_path, make_scale(decision)):
        assert find_errors(path) == []


def test_labels_of_the_bundle_have_concepts():
    """Every class of configs/labels.json becomes a segment of its own name and code."""
    folder = Path(__file__).resolve().parents[2] / "bundles" / "wsi_scale_selector" / "configs"
    rows = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
    values = [row["code"] and row["code"]["value"] for row in rows]
    assert values.count(None) == 1 and len(set(values)) == len(rows) == 9
