"""What all objects share: series numbers, references by study, and letters that come back as they were."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from common.errors import OutputError
from common.report import dicom_object
from common.report.dicom_object import KINDS, SEG, add_references, describe_object, save_object
from common.report.provenance import Algorithm

JAPANESE = "Yamada^Tarou=\u5c71\u7530^\u592a\u90ce"


def make_object(name: str, description: str = "plain", uid: str = "1.2.3") -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", uid
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2", "1.2.1"
    item = Dataset()
    item.CodeMeaning = description
    dataset.PatientName, dataset.ConceptNameCodeSequence = name, [item]
    return dataset


def make_source(character_set: str | list[str] | None) -> Dataset:
    source = Dataset()
    if character_set is not None:
        source.SpecificCharacterSet = character_set
    return source


@pytest.mark.parametrize(
    ("declared", "name", "description", "expected"),
    [
        ("ISO_IR 100", "M\u00fcller", "plain", "ISO_IR 100"),
        ("ISO_IR 100", "Miller", "\u03b1 is not Latin-1", "ISO_IR 192"),
        (["", "ISO 2022 IR 87"], JAPANESE, "plain", ["", "ISO 2022 IR 87"]),
        (["", "ISO 2022 IR 87"], JAPANESE, "M\u00fcller", "ISO_IR 192"),
        ("GB18030", "\u738b^\u5c0f\u4e1c", "plain", "GB18030"),
        (None, "Miller", "plain", "ISO_IR 192"),
        (None, "M\u00fcller", "plain", "ISO_IR 100"),
        ("ISO_IR 6", "Miller", "\u03b1", "ISO_IR 192"),
        ("no such set", "M\u00fcller", "plain", "ISO_IR 192"),
    ],
)
def test_letters_come_back(tmp_path: Path, declared, name: str, description: str, expected):
    """In the source's character set; in UTF-8 where a letter of ours is missing from it."""
    save_object(make_object(name, description), make_source(declared), tmp_path / "a.dcm")
    written = pydicom.dcmread(tmp_path / "a.dcm")
    assert written.SpecificCharacterSet == expected
    assert str(written.PatientName) == name
    assert written.ConceptNameCodeSequence[0].CodeMeaning == description


def test_letters_that_do_not_come_back_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(dicom_object, "_read_back", lambda _: [])
    with pytest.raises(
        OutputError, match=r"a\.dcm: expected its text to come back, got another: report this"
    ):
        save_object(make_object("Secret"), make_source(None), tmp_path / "a.dcm")
    assert not list(tmp_path.iterdir())


def test_kinds_have_numbers_and_classes_of_their_own():
    assert len({kind.series_number for kind in KINDS}) == len({kind.sop_class_uid for kind in KINDS}) == 4
    described = describe_object(
        SEG, Algorithm("a", "1", "ab" * 32, "w"), ("1.2", "1.3"), "title", "made it", 7
    )
    assert (described["series_number"], described["instance_number"]) == (9000, 7)
    assert described["software_versions"] == ["1", "w"] and described["device_serial_number"] == "ab" * 8


def test_references_are_grouped_by_study_and_series():
    dataset, sources = make_object("a"), [make_object("b", uid=f"9.{n}") for n in range(4)]
    sources[1].SeriesInstanceUID = "1.2.2"
    sources[3].StudyInstanceUID = "5"
    add_references(dataset, sources)
    own = {
        row.SeriesInstanceUID: [item.ReferencedSOPInstanceUID for item in row.ReferencedInstanceSequence]
        for row in dataset.ReferencedSeriesSequence
    }
    assert own == {"1.2.1": ["9.0", "9.2"], "1.2.2": ["9.1"]}
    (other,) = dataset.StudiesContainingOtherReferencedInstancesSequence
    assert other.StudyInstanceUID == "5"
    assert other.ReferencedSeriesSequence[0].ReferencedInstanceSequence[0].ReferencedSOPInstanceUID == "9.3"


def test_sources_of_another_study_alone():
    dataset, source = make_object("a"), make_object("b")
    source.StudyInstanceUID = "5"
    add_references(dataset, [source])
    assert "ReferencedSeriesSequence" not in dataset
    assert len(dataset.StudiesContainingOtherReferencedInstancesSequence) == 1
