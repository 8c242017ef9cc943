"""Whatever habits the source has: the patient's text comes through, the objects are valid and refer to it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pydicom
import pytest
from dicom_checks import find_errors, needs_dciodvfy
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from vendor_habits import HABITS, NAMES, run_case, write_case, write_separate_studies

from common.errors import InputError
from common.report.dicom_object import KINDS
from common.report.provenance import MANUFACTURER

KINDS_OF_SOURCE = ("CT", "enhanced CT", "mammography", "slide")
OBJECTS = {"CT": 2, "enhanced CT": 2, "mammography": 6, "slide": 2}
QUICK = ("plain", "japanese")
CASES = [
    pytest.param((kind, habit), id=f"{kind}, {habit}", marks=() if habit in QUICK else pytest.mark.slow)
    for kind in KINDS_OF_SOURCE
    for habit in HABITS
    if (kind, habit) != ("slide", "implicit VR") and habit != "history"  # each has a test of its own
]
TEXTS = ("PatientName", "PatientID", "ReferringPhysicianName", "StudyDescription")


class Case(NamedTuple):
    """A source with a habit, and the objects that were made of it."""

    kind: str
    habit: str
    sources: list[Path]
    objects: list[Path]


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    kind, habit = request.param
    folder = tmp_path_factory.mktemp("case")
    sources = write_case(kind, folder / "source", habit)
    return Case(kind, habit, sources, run_case(kind, sources, folder / "out"))


def test_what_was_written_about_the_patient_is_not_copied(tmp_path: Path):
    """Histories and comments stay in the source: `show_history` alone puts one into the SR."""
    sources = write_case("mammography", tmp_path / "source", "history")
    objects = run_case("mammography", sources, tmp_path / "out")
    for path in objects:
        assert b"lump" not in path.read_bytes()
        assert pydicom.dcmread(path).PatientAge == "064Y"


def raw_bytes(path: Path, keyword: str) -> bytes:
    """The bytes of an element as they stand in the file."""
    element = pydicom.dcmread(path).get_item(keyword)
    return b"" if element is None or not element.value else bytes(element.value).rstrip()


def test_text_comes_through(case: Case):
    source = pydicom.dcmread(case.sources[0])
    for path in case.objects:
        written = pydicom.dcmread(path)
        for keyword in TEXTS:
            assert str(written.get(keyword) or "") == str(source.get(keyword) or "")
    if case.habit in NAMES:
        assert str(pydicom.dcmread(case.objects[0]).PatientName) == NAMES[case.habit][1]


def test_the_character_set_is_kept(case: Case):
    """The name's bytes are those of the source, wherever it declares what they mean."""
    for path in case.objects:
        assert raw_bytes(path, "PatientName") == raw_bytes(case.sources[0], "PatientName")
        declared = pydicom.dcmread(path).SpecificCharacterSet
        if case.habit in NAMES:
            assert declared == NAMES[case.habit][0]
        elif case.habit == "undeclared latin-1":
            assert declared == "ISO_IR 100"


def test_objects_keep_the_conventions(case: Case):
    numbers = {one.sop_class_uid: one.series_number for one in KINDS}
    source = pydicom.dcmread(case.sources[0])
    assert len(case.objects) == OBJECTS[case.kind]
    assert {path.parent.name for path in case.objects} == {"dicom"}
    for path in case.objects:
        written = pydicom.dcmread(path)
        assert written.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
        assert written.Manufacturer == MANUFACTURER and written.ManufacturerModelName
        assert list(written.SoftwareVersions)[-1].startswith("toy") and written.DeviceSerialNumber == "ab" * 8
        assert MANUFACTURER in [one.Manufacturer for one in written.ContributingEquipmentSequence]
        assert written.SeriesNumber == numbers[written.SOPClassUID]
        assert written.StudyInstanceUID == source.StudyInstanceUID
        assert written.SOPInstanceUID.startswith("2.25.") and written.SeriesInstanceUID.startswith("2.25.")
        assert not any(element.tag.is_private for element in written.iterall())


def test_objects_refer_to_their_sources(case: Case):
    known = {pydicom.dcmread(path).SOPInstanceUID for path in case.sources}
    written = [pydicom.dcmread(path) for path in case.objects]
    known |= {one.SOPInstanceUID for one in written if one.Modality == "SEG"}
    for one in written:
        found = references_of(one)
        assert found and found <= known


def references_of(dataset: Dataset) -> set[str]:
    """Instances that the object's references by series, or its evidence, name."""
    studies = [dataset, *dataset.get("StudiesContainingOtherReferencedInstancesSequence", [])]
    studies += dataset.get("CurrentRequestedProcedureEvidenceSequence", [])
    studies += dataset.get("PertinentOtherEvidenceSequence", [])
    series = [one for study in studies for one in study.get("ReferencedSeriesSequence", [])]
    found: set[str] = set()
    for one in series:
        for keyword in ("ReferencedInstanceSequence", "ReferencedSOPSequence", "ReferencedImageSequence"):
            found |= {item.ReferencedSOPInstanceUID for item in one.get(keyword, [])}
    return found


@needs_dciodvfy
def test_an_independent_validator_finds_no_error(case: Case):
    assert {path.name: find_errors(path) for path in case.objects} == {path.name: [] for path in case.objects}


def test_a_slide_in_implicit_vr_is_refused(tmp_path: Path):
    sources = write_case("slide", tmp_path / "source", "implicit VR")
    with pytest.raises(
        InputError, match=r"level_0\.dcm: expected DICOM in Explicit VR, JPEG or JPEG 2000, got"
    ):
        run_case("slide", sources, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@needs_dciodvfy
def test_views_in_studies_of_their_own(tmp_path: Path):
    """A presentation state stands in its image's study; report and overview in the first image's."""
    sources = write_separate_studies(tmp_path / "study")
    objects = run_case("mammography", sources, tmp_path / "out")
    studies = {one.SOPInstanceUID: one for one in map(pydicom.dcmread, sources)}
    report, capture, *states = map(pydicom.dcmread, objects)
    for state in states:
        (shown,) = references_of(state)
        assert state.StudyInstanceUID == studies[shown].StudyInstanceUID
        assert state.PatientID == studies[shown].PatientID
    assert len({state.SeriesInstanceUID for state in states}) == len(states) == 4
    for one in (report, capture):
        assert references_of(one) == set(studies)
        assert one.StudyInstanceUID == states[0].StudyInstanceUID
        assert named_studies(one) == {(uid, image.StudyInstanceUID) for uid, image in studies.items()}
    assert [error for path in objects for error in find_errors(path)] == []


def named_studies(dataset: Dataset) -> set[tuple[str, str]]:
    """(instance, study that the reference puts it into)."""
    others = dataset.get("StudiesContainingOtherReferencedInstancesSequence", [])
    others = [*others, *dataset.get("PertinentOtherEvidenceSequence", [])]
    found = {(uid, study.StudyInstanceUID) for study in others for uid in references_of(study)}
    own = {uid for uid in references_of(dataset) if uid not in {known for known, _ in found}}
    return found | {(uid, dataset.StudyInstanceUID) for uid in own}
