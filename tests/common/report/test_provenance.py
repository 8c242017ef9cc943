"""Who made a DICOM object: UIDs from content, headers that an anonymiser emptied, names that fit."""

from __future__ import annotations

import hashlib
import logging
import warnings
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from common.errors import ConfigError, InputError
from common.report.provenance import (
    MANUFACTURER,
    Algorithm,
    building,
    complete_header,
    content_uid,
    describe_equipment,
    long_string,
    read_version,
)


def test_uids_follow_from_the_content():
    digest = hashlib.sha256(b"a\x1f1").digest()[:16]
    assert content_uid("a", 1) == f"2.25.{int.from_bytes(digest, 'big')}"
    assert content_uid("a", 1) != content_uid("a", 2) and len(content_uid("a", 1)) <= 64


def test_missing_and_impossible_elements_become_empty():
    header = Dataset()
    header.PatientID, header.PatientSex, header.StudyDate = "x", "D", "20200101"
    header = complete_header(header)
    assert (header.PatientID, header.PatientSex, header.StudyDate) == ("x", "", "20200101")
    assert header.ReferringPhysicianName == "" and header.AccessionNumber == ""


def test_what_highdicom_says_stays_out_of_logs(caplog, recwarn):
    caplog.set_level(logging.INFO)
    with building("a", "a DICOM SR", "use b"):
        logging.getLogger("highdicom.base").info("1.2.3.4")
        warnings.warn("Secret^Name", stacklevel=1)
    assert not caplog.records and not recwarn.list
    logging.getLogger("highdicom.base").info("after")
    assert len(caplog.records) == 1
    with (
        pytest.raises(
            InputError, match="a: expected headers that a DICOM SR can follow, got broken ones: use b"
        ),
        building("a", "a DICOM SR", "use b"),
    ):
        raise TypeError("Secret^Name")


def test_equipment_names_software_and_version():
    equipment = describe_equipment(Algorithm("MMBCD", "1.0"), "Reading of mammograms")
    assert (equipment.Manufacturer, equipment.ManufacturerModelName) == (MANUFACTURER, "MMBCD")
    assert equipment.PurposeOfReferenceCodeSequence[0].CodeMeaning == "Processing Equipment"
    assert equipment.ContributionDescription == "Reading of mammograms"


def test_names_fit_into_an_element():
    assert long_string("a\\b\n c") == "a/b c" and len(long_string("x" * 99)) == 64
    assert long_string("  ") == "unknown"
    assert Algorithm("a", "1", "ab" * 32).serial_number == "ab" * 8
    assert Algorithm("a", "1").serial_number == "none"


def test_the_version_is_the_bundle_s(tmp_path: Path):
    module = tmp_path / "package" / "module.py"
    with pytest.raises(ConfigError, match=r"configs/metadata\.json: expected the bundle's version, got none"):
        read_version(str(module))
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "metadata.json").write_text('{"version": "0.2.1"}')
    assert read_version(str(module)) == "0.2.1"


def test_an_algorithm_names_its_weights():
    plain, trained = Algorithm("a", "1"), Algorithm("a", "1", "ab" * 32, "w")
    assert (plain.software_versions, plain.parameters) == ("1", {})
    assert trained.software_versions == ["1", "w"]
    assert trained.parameters == {"weights": "w", "weights_sha256": "ab" * 32}
