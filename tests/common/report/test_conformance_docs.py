"""The tables of each bundle's docs/dicom_conformance.md say what the code reads and writes."""

from __future__ import annotations

import re
from pathlib import Path

import pydicom
import pytest
from pydicom.pixels import get_decoder
from pydicom.uid import UID, AllTransferSyntaxes
from vendor_habits import run_case, write_case

from common.io.dicom_header import CT_CLASSES
from common.io.mammo_header import FOR_PRESENTATION, SECONDARY_CAPTURE, TOMOSYNTHESIS
from common.io.slide_files import WSI_SOP_CLASS
from common.report.dicom_object import KINDS

BUNDLES = Path(__file__).resolve().parents[3] / "bundles"
READ = {
    "ksam_kidney_seg": set(CT_CLASSES),
    "mmbcd_mammo": {FOR_PRESENTATION, SECONDARY_CAPTURE, TOMOSYNTHESIS},
    "wsi_scale_selector": {WSI_SOP_CLASS},
}
SOURCES = {"ksam_kidney_seg": "CT", "mmbcd_mammo": "mammography", "wsi_scale_selector": "slide"}
WRITTEN = re.compile(r"^\| (\w+) \| `dicom/([^`]+)` \| ([^|]+) \| `([\d.]+)` \| (\d+) \|$", re.MULTILINE)
UIDS = re.compile(r"^\| [^|]+ \| `([\d.]+)` \|$", re.MULTILINE)


def read_part(bundle: str, start: str, end: str) -> str:
    text = (BUNDLES / bundle / "docs" / "dicom_conformance.md").read_text(encoding="utf-8")
    return text.split(start)[1].split(end)[0]


@pytest.mark.parametrize("bundle", READ)
def test_classes_that_are_written(bundle: str, tmp_path: Path):
    """Class and series number of every kind, and that a run writes these kinds and no other."""
    rows = WRITTEN.findall(read_part(bundle, "## Objects written", "## What every"))
    numbers = {kind.name: (kind.sop_class_uid, kind.series_number) for kind in KINDS}
    for name, _, words, uid, number in rows:
        assert numbers[name] == (uid, int(number)) and UID(uid).name == words
    sources = write_case(SOURCES[bundle], tmp_path / "source", "plain")
    objects = run_case(SOURCES[bundle], sources, tmp_path / "out")
    written = [pydicom.dcmread(path, stop_before_pixels=True) for path in objects]
    assert {str(one.SOPClassUID) for one in written} == {row[3] for row in rows}
    assert {file.replace("CASE", "case") for _, file, *_ in rows} <= {path.name for path in objects}


@pytest.mark.parametrize("bundle", READ)
def test_classes_that_are_read(bundle: str):
    found = set(UIDS.findall(read_part(bundle, "## Objects read", "## Objects written")))
    assert {uid for uid in found if "5.1.4.1.1" in uid} == READ[bundle]


@pytest.mark.parametrize("bundle", ["ksam_kidney_seg", "mmbcd_mammo"])
def test_transfer_syntaxes_that_are_read(bundle: str):
    found = set(UIDS.findall(read_part(bundle, "## Objects read", "## Objects written"))) - READ[bundle]
    assert found == {str(uid) for uid in AllTransferSyntaxes if has_decoder(uid)}


def has_decoder(uid: UID) -> bool:
    try:
        return get_decoder(uid).is_available
    except NotImplementedError:
        return False
