"""The SR beside the SEG: volumes by side in mL, slices, templates and warnings, with what they refer to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pydicom
import pytest
from ct_cases import write_series
from vendor_habits import STRUCTURES, ct_record

from common.io.ct_volume import CtVolume, read_ct
from ksam.dicom_outputs import name_templates, write_dicom


@pytest.fixture
def volume(tmp_path: Path) -> CtVolume:
    write_series(tmp_path / "ct", series_number=4)
    return read_ct(tmp_path / "ct")


def draw(volume: CtVolume) -> np.ndarray:
    labels = np.zeros(volume.shape, np.uint8)
    labels[3:6, 2:5, 1:4], labels[6, 7, 5] = 1, 2
    return labels


def write(volume: CtVolume, folder: Path, labels: np.ndarray | None = None, **changes: Any) -> list[Path]:
    labels = draw(volume) if labels is None else labels
    record = ct_record(labels, volume.voxel_mm3, volume.source.notes) | changes
    return write_dicom("case", record, labels, STRUCTURES, volume, folder)


def texts(path: Path) -> list[tuple[str, str]]:
    items = pydicom.dcmread(path).ContentSequence
    return [
        (item.ConceptNameCodeSequence[0].CodeValue, item.TextValue)
        for item in items
        if item.ValueType == "TEXT"
    ]


def test_volumes_refer_to_their_segments(volume: CtVolume, tmp_path: Path):
    seg_path, report_path = write(volume, tmp_path)
    assert [path.name for path in (seg_path, report_path)] == ["case_seg.dcm", "case_sr.dcm"]
    seg, report = pydicom.dcmread(seg_path), hd.sr.srread(report_path)
    groups = report.content.get_volumetric_roi_measurement_groups()
    assert [group.tracking_identifier for group in groups] == ["cortex", "medulla", "nothing"]
    for number, group in enumerate(groups, 1):
        reference, source = group.referenced_segment
        (item,) = reference.ReferencedSOPSequence
        assert (item.ReferencedSOPInstanceUID, item.ReferencedSegmentNumber) == (seg.SOPInstanceUID, number)
        assert volume.source.series_uid == source.UID
    assert groups[0].finding_type.value == "50403003"


def test_amounts_are_in_millilitres_by_side(volume: CtVolume, tmp_path: Path):
    _, path = write(volume, tmp_path)
    cortex, _, nothing = hd.sr.srread(path).content.get_volumetric_roi_measurement_groups()
    whole, right, left, slices, agreement = cortex.get_measurements()
    ml = round(27 * 0.7 * 0.9 * 2.5 / 1000, 3)
    assert (whole.value, right.value, left.value) == (pytest.approx(ml), 0, pytest.approx(ml))
    assert {one.unit.value for one in (whole, right, left)} == {"mL"}
    assert {one.unit.scheme_designator for one in (whole, right, left)} == {"UCUM"}
    sides = [one.finding_sites[0].laterality.meaning for one in (right, left)]
    assert sides == ["Right", "Left"] and not whole.finding_sites
    assert (slices.name.value, slices.value, agreement.name.value, agreement.value) == (
        *("slices", 3),
        *("agreement", 0.9),
    )
    assert nothing.get_measurements()[0].value == 0
    answers = [group.get_qualitative_evaluations()[0].value.meaning for group in (cortex, nothing)]
    assert answers == ["Yes", "No"]


def test_evidence_is_the_seg_and_every_slice(volume: CtVolume, tmp_path: Path):
    seg, path = write(volume, tmp_path)
    (study,) = pydicom.dcmread(path).CurrentRequestedProcedureEvidenceSequence
    assert study.StudyInstanceUID == volume.source.study_uid
    found = {
        row.SeriesInstanceUID: {item.ReferencedSOPInstanceUID for item in row.ReferencedSOPSequence}
        for row in study.ReferencedSeriesSequence
    }
    assert found[volume.source.series_uid] == {one.sop_instance_uid for one in volume.source.slices}
    assert pydicom.dcmread(seg).SOPInstanceUID in set.union(*found.values())


def test_templates_and_warnings_stand_in_it(volume: CtVolume, tmp_path: Path):
    _, path = write(volume, tmp_path)
    said = texts(path)
    assert ("template", "Task toy; slices by template: a (cortex 3).") in said
    assert ("warning", "Nothing was not found anywhere.") in said
    assert ("warning", "Cortex was not found on the right.") in said
    assert any(text == "Demonstration weights, not for diagnosis." for _, text in said)
    assert any(text.startswith("Read series 4") for _, text in said)  # how the series was chosen


def test_an_empty_result_says_so(volume: CtVolume, tmp_path: Path):
    _, path = write(volume, tmp_path, np.zeros(volume.shape, np.uint8))
    assert any(text.startswith("Nothing found: no cortex") for _, text in texts(path))
    groups = hd.sr.srread(path).content.get_volumetric_roi_measurement_groups()
    assert [group.get_measurements()[0].value for group in groups] == [0, 0, 0]


def test_clinical_weights_carry_no_warning(volume: CtVolume, tmp_path: Path):
    weights = {"name": "toy", "sha256": "ab" * 32, "purpose": "clinical"}
    _, path = write(volume, tmp_path, weights=weights)
    assert "not for diagnosis" not in str(texts(path))
    assert pydicom.dcmread(path).ManufacturerModelName == "KSAM"


def test_a_single_template_has_no_agreement(volume: CtVolume, tmp_path: Path):
    rows = ct_record(draw(volume), volume.voxel_mm3)["structures"]
    for row in rows:
        row["expected_dice"] = row["right"] = row["left"] = None
    _, path = write(volume, tmp_path, structures=rows)
    (first, *_) = hd.sr.srread(path).content.get_volumetric_roi_measurement_groups()
    assert [one.name.value for one in first.get_measurements()] == ["118565006", "slices"]


def test_a_volume_that_is_not_dicom_has_none(volume: CtVolume, tmp_path: Path):
    object.__setattr__(volume.source, "format", "NIfTI")
    assert write(volume, tmp_path) == [] and not (tmp_path / "dicom").exists()


def test_the_same_again_has_the_same_uids(volume: CtVolume, tmp_path: Path):
    first = [pydicom.dcmread(path).SOPInstanceUID for path in write(volume, tmp_path)]
    assert first == [pydicom.dcmread(path).SOPInstanceUID for path in write(volume, tmp_path)]
    labels = draw(volume)
    labels[0, 0, 0] = 1
    other = [pydicom.dcmread(path).SOPInstanceUID for path in write(volume, tmp_path, labels)]
    assert len({*first, *other}) == 4


def test_no_template_is_said():
    assert name_templates({"task": "bank", "templates": []}) == "Task bank; slices by template: none."
