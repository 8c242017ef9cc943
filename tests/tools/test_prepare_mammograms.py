"""Miniature mammography sets with the real names become datalists that load, each truth in its place."""

from __future__ import annotations

import dataclasses
import json
import plistlib
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image
from prepare import mammograms
from prepare.mammo_entries import Known, MammoEntry, MammoSet, to_age, to_density
from prepare.mammo_histories import template_history
from prepare.mammo_tables import read_rows
from prepare.mammo_writing import divide, write
from prepare.split import Split
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from common.errors import InputError
from common.io.mammogram import find_studies, read_mammogram, read_study
from mmbcd.datalist import Entry, load_datalist


@pytest.fixture(autouse=True)
def _no_venv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["_venv"], "enter_venv", lambda: None)


def run(layout: str, source: Path, *options: str) -> int:
    return mammograms.main(
        [layout, str(source), "--output", str(source.parent / "list" / "d.json"), *options]
    )


def read_all(source: Path) -> dict[str, list[Entry]]:
    path = source.parent / "list" / "d.json"
    content = json.loads(path.read_text())
    parts = ("training", "validation", "test")
    return {part: load_datalist(path, part) if content[part] else [] for part in parts}


def flatten(parts: Mapping[str, list[Entry]]) -> dict[str, Entry]:
    return {entry.image.name: entry for entries in parts.values() for entry in entries}


def table(path: Path, rows: Sequence[Mapping[str, Any]], delimiter: str = ",") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [delimiter.join(rows[0]), *(delimiter.join(str(v) for v in row.values()) for row in rows)]
    path.write_text("\n".join(lines) + "\n")


def dicom(path: Path, pixels: np.ndarray | None = None, **header: Any) -> None:
    """A DICOM file of any kind, with pixels where they matter."""
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1.2"
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid()
    values = np.zeros((40, 30), np.uint8) if pixels is None else pixels
    dataset.Rows, dataset.Columns = values.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    dataset.PixelData = values.tobytes()
    for name, value in header.items():
        setattr(dataset, name, value)
    pydicom.dcmwrite(path, dataset, enforce_file_format=True)


def test_the_papers_csv(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "aiims"
    rows = []
    for patient, cancer in (("U1", "L"), ("U2", "")):
        for side in "LR":
            rows.append(
                {
                    "UHID": patient,
                    "text": "lump in left breast",
                    "cancer": int(side == cancer),
                    "im_path": f"{patient}/{patient}_{side}_MLO.png",
                    "all_views_cancer": int(bool(cancer)),
                }
            )
            (source / patient).mkdir(parents=True, exist_ok=True)
            (source / rows[-1]["im_path"]).touch()
    table(source / "train.csv", rows[:2])
    table(source / "test.csv", [*rows[2:], {**rows[0], "UHID": "U3", "im_path": "U3/U3_L_CC.png"}])
    assert run("paper", source, "--fractions", "1,0,0") == 0
    parts = read_all(source)
    assert [(e.patient, e.laterality, e.view, e.malignant) for e in parts["training"]] == [
        ("U1", "L", "MLO", True),
        ("U1", "R", "MLO", False),
    ]
    assert {entry.patient for entry in parts["test"]} == {"U2"}
    # the healthy breast keeps the patient's text: nothing is blanked with the label
    assert [entry.history for entry in parts["training"]] == ["lump in left breast"] * 2
    assert parts["training"][0].header.history == "real"
    assert "1 left out: no such picture" in capsys.readouterr().out


def test_unusable_papers_csv(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "aiims"
    (source / "U1").mkdir(parents=True)
    row = {"UHID": "U1", "text": "", "cancer": 0, "im_path": "U1/left.png"}
    for changes, message in (
        ({}, "expected pictures named by side and view"),
        ({"im_path": "U1/U1_L_CC.png", "cancer": "yes"}, "expected cancer 0 or 1, got 'yes'"),
        ({"im_path": "none.png"}, "expected CSV files with UHID, text, cancer, im_path"),
    ):
        table(source / "train.csv", [row | changes])
        for name in ("left.png", "U1_L_CC.png"):
            (source / "U1" / name).touch()
        assert run("paper", source) == 1 and message in capsys.readouterr().err
    table(source / "train.csv", [{"UHID": "U1"}])
    assert run("paper", source) == 1 and "expected the column 'text', got none" in capsys.readouterr().err
    assert run("paper", tmp_path / "none") == 1 and "none: expected a folder" in capsys.readouterr().err


def cbis(source: Path) -> None:
    base = {"breast_density": 3, "image view": "CC", "left or right breast": "LEFT"}
    tables: dict[str, list[dict[str, Any]]] = {"train": [], "test": []}
    for kind, patient, number, pathology in (
        ("train", "P_00001", 1, "MALIGNANT"),
        ("train", "P_00001", 2, "BENIGN"),
        ("train", "P_00002", 1, "BENIGN_WITHOUT_CALLBACK"),
        ("test", "P_00001", 1, "BENIGN"),
        ("test", "P_00003", 1, "MALIGNANT"),
    ):
        half = "Training" if kind == "train" else "Test"
        name = f"Mass-{half}_{patient}_LEFT_CC"
        mask = np.zeros((80, 60), np.uint8)  # twice the picture's size
        mask[20 * number : 20 * number + 10, 10:30] = 255
        dicom(source / "CBIS-DDSM" / name / "d" / "s" / "1-1.dcm")
        dicom(source / "CBIS-DDSM" / f"{name}_{number}" / "d" / "s" / "1-1.dcm", np.ones((9, 9), np.uint8))
        dicom(source / "CBIS-DDSM" / f"{name}_{number}" / "d" / "s" / "1-2.dcm", mask)
        row = {"patient_id": patient, **base, "pathology": pathology}
        row |= {
            "image file path": f"{name}/1/2/000000.dcm",
            "ROI mask file path": f"{name}_{number}/1/2/0.dcm",
        }
        tables[kind].append(row)
    for kind, rows in tables.items():
        table(source / f"mass_case_description_{kind}_set.csv", rows)


def test_cbis_ddsm_keeps_patients_of_both_halves_together(tmp_path: Path) -> None:
    cbis(tmp_path / "cbis")
    assert run("cbis_ddsm", tmp_path / "cbis", "--fractions", "0.5,0.5,0") == 0
    parts = read_all(tmp_path / "cbis")
    assert [e.patient for e in parts["test"]] == ["P_00003"]
    seen = [entry for part in ("training", "validation") for entry in parts[part]]
    by_patient = {entry.patient: entry for entry in seen if "Training" in str(entry.image)}
    first = by_patient["P_00001"]
    # the malignant finding alone, on the grid of the picture
    assert first.malignant and first.boxes == ((5.0, 10.0, 15.0, 15.0),) and first.density == "C"
    assert not by_patient["P_00002"].malignant and by_patient["P_00002"].boxes == ((5.0, 10.0, 15.0, 15.0),)
    assert first.header.history == "synthetic" and first.history


def test_damaged_masks_of_cbis_ddsm(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cbis(tmp_path / "cbis")
    for mask in (tmp_path / "cbis").rglob("*_P_00003_LEFT_CC_1/d/s/1-2.dcm"):
        header = pydicom.dcmread(mask)
        header.PixelData = b"12"
        header.save_as(mask)
    assert run("cbis_ddsm", tmp_path / "cbis") == 1
    assert "expected a mask, got unreadable data" in capsys.readouterr().err


def test_vindr(tmp_path: Path) -> None:
    source = tmp_path / "vindr"
    breasts, findings = [], []
    for study, image, birads, split in (
        ("s1", "i1", 5, "training"),
        ("s1", "i2", 2, "training"),
        ("s2", "i3", 1, "test"),
    ):
        (source / "images" / study).mkdir(parents=True, exist_ok=True)
        (source / "images" / study / f"{image}.dicom").touch()
        common = {"study_id": study, "image_id": image, "laterality": "R", "view_position": "MLO"}
        breasts.append(
            {**common, "breast_birads": f"BI-RADS {birads}", "breast_density": "DENSITY B", "split": split}
        )
        for rating, corners in ((birads, (1, 2, 3, 4)), (3, (5, 6, 7, 8)), ("", ("", "", "", ""))):
            box = dict(zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True))
            findings.append({"image_id": image, "finding_birads": f"BI-RADS {rating}", **box})
    table(source / "breast-level_annotations.csv", breasts)
    table(source / "finding_annotations.csv", findings)
    about = {"SOP Instance UID": "i1", "Patient's Age": "053Y", "Manufacturer": "SIEMENS"}
    table(source / "metadata.csv", [about])
    assert run("vindr", source, "--fractions", "1,0,0") == 0
    entries = flatten(read_all(source))
    first, second = entries["i1.dicom"], entries["i2.dicom"]
    assert first.malignant and first.boxes == ((1, 2, 3, 4),) and (first.age, first.vendor) == (53, "SIEMENS")
    assert not second.malignant and second.boxes == ((1, 2, 3, 4), (5, 6, 7, 8)) and second.age is None
    assert first.density == "B" and "53" in str(first.history) and second.history


def xlsx(path: Path, rows: Sequence[Sequence[str]]) -> None:
    """The least that a spreadsheet needs: shared texts in the first row, inline ones below."""
    space = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    shared = "".join(f"<si><t>{text}</t></si>" for text in rows[0])
    lines = ["".join(f'<c r="{"ABCDEF"[n]}1" t="s"><v>{n}</v></c>' for n in range(len(rows[0])))]
    for number, row in enumerate(rows[1:], 2):
        cells = (
            f'<c r="{"ABCDEF"[n]}{number}" t="inlineStr"><is><t>{v}</t></is></c>'
            if not v.isdigit()
            else f'<c r="{"ABCDEF"[n]}{number}"><v>{v}</v></c>'
            for n, v in enumerate(row)
        )
        lines.append("".join(cells))
    body = "".join(f"<row>{line}</row>" for line in lines)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("xl/sharedStrings.xml", f"<sst {space}>{shared}</sst>")
        archive.writestr(
            "xl/worksheets/sheet1.xml", f"<worksheet {space}><sheetData>{body}</sheetData></worksheet>"
        )


def test_cmmd(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "cmmd"
    for number, side in enumerate("LR"):
        file = source / "CMMD" / "D1-0001" / "07-18-2010" / "1.0" / f"1-{number + 1}.dcm"
        dicom(
            file,
            ImageLaterality=side,
            ViewPosition="CC",
            Manufacturer="GE MEDICAL SYSTEMS",
            StudyDate="20100718",
        )
    rows = [("ID1", "LeftRight", "Age", "classification"), ("D1-0001", "L", "44", "Malignant")]
    xlsx(source / "CMMD_clinicaldata_revision.xlsx", rows)
    assert run("cmmd", source, "--fractions", "1,0,0") == 0
    (entry,) = read_all(source)["training"]
    assert entry.malignant and entry.laterality == "L" and entry.view == "CC" and entry.boxes is None
    assert entry.age == 44 and entry.vendor == "GE MEDICAL SYSTEMS"
    assert "1 left out: side without a biopsy" in capsys.readouterr().out
    (source / "CMMD" / "D1-0001" / "x.dcm").write_text("no DICOM")
    assert run("cmmd", source) == 1 and "x.dcm: expected a DICOM file" in capsys.readouterr().err


EMBED_TRUTHS = [
    ([("L", "", "0")], "L", True),
    ([("L", "N", "")], "L", False),
    ([("", "N", "")], "L", False),
    ([("L", "A", "")], "L", None),
    ([("R", "S", "0")], "L", None),
    ([("L", "S", "4"), ("L", "B", "")], "L", False),
    ([("L", "S", "6")], "L", None),
]


def test_embed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "embed"
    images, findings = [], []
    for number, (rows, side, _) in enumerate(EMBED_TRUTHS):
        stored = f"/mnt/other/images/cohort_1/p{number}/i{number}.dcm"
        dicom(source / "images" / "cohort_1" / f"p{number}" / f"i{number}.dcm")
        image = {"empi_anon": f"p{number}", "acc_anon": f"a{number}", "anon_dicom_path": stored}
        image |= {"FinalImageType": "2D", "ImageLateralityFinal": side, "ViewPosition": "MLO"}
        images.append(image | {"ROI_coords": "" if number else "((10;20;30;40))", "Manufacturer": "HOLOGIC"})
        for place, assessment, severity in rows:
            row = {"empi_anon": f"p{number}", "acc_anon": f"a{number}", "side": place, "asses": assessment}
            findings.append(
                row
                | {"path_severity": severity, "tissueden": 2, "age_at_study": 61.2, "desc": "MG Screen Bilat"}
            )
    images.append({**images[0], "FinalImageType": "cview"})
    images.append({**images[0], "anon_dicom_path": "/mnt/cohort_1/none.dcm"})
    images.append({**images[0], "ViewPosition": ""})
    table(source / "tables" / "EMBED_OpenData_metadata.csv", images)
    table(source / "tables" / "EMBED_OpenData_clinical.csv", findings)
    assert run("embed", source, "--fractions", "1,0,0") == 0
    entries = flatten(read_all(source))
    truths = {f"i{n}.dcm": truth for n, (_, _, truth) in enumerate(EMBED_TRUTHS) if truth is not None}
    assert {name: entry.malignant for name, entry in entries.items()} == truths
    first = entries["i0.dcm"]
    assert first.boxes == ((20, 10, 40, 30),) and entries["i1.dcm"].boxes is None
    assert (first.density, first.age, first.vendor) == ("B", 61.2, "HOLOGIC") and "creening" in str(
        first.history
    )
    printed = capsys.readouterr().out
    for reason in ("not a plain 2-D view", "no such picture", "side or view not stated"):
        assert f"1 left out: {reason}" in printed
    assert "3 left out: truth unknown" in printed


def test_inbreast(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "inbreast"
    rows = []
    for number, birads, acr in ((111, "4a", 3), (222, "2", ""), (333, "1", 1)):
        row = {"Patient ID": "removed", "Laterality": "R", "View": "MLO", "Acquisition date": 201001}
        rows.append({**row, "File Name": number, "ACR": acr, "Bi-Rads": birads})
        if number != 333:
            dicom(source / "AllDICOMs" / f"{number}_abc{number}_MG_R_ML_ANON.dcm")
    table(source / "INbreast.csv", rows, ";")
    shapes = (("Mass", [(3, 4), (9, 5), (6, 8)]), ("Calcification", [(1, 1)]), ("Cluster", [(2, 2)]))
    rois = [{"Name": name, "Point_px": [f"({x}.0, {y}.0)" for x, y in points]} for name, points in shapes]
    (source / "AllXML").mkdir()
    (source / "AllXML" / "111.xml").write_bytes(plistlib.dumps({"Images": [{"ROIs": rois}]}))
    assert run("inbreast", source, "--split", "random", "--fractions", "1,0,0") == 0
    entries = {entry.patient: entry for entry in read_all(source)["training"]}
    assert entries["abc111"].malignant and entries["abc111"].boxes == ((3, 4, 9, 8),)
    assert entries["abc111"].density == "C" and entries["abc111"].view == "MLO"
    assert not entries["abc222"].malignant and entries["abc222"].boxes == () and not entries["abc222"].history
    (source / "AllXML" / "111.xml").write_text("<plist/>")
    assert run("inbreast", source) == 1 and "111.xml: expected outlines" in capsys.readouterr().err


def mias(source: Path, *numbers: int) -> np.ndarray:
    """Info.txt as it is published, with the words around its table, and pictures with a bright circle."""
    source.mkdir()
    lines = [
        "1st column: MIAS database reference number.",
        "mdb001 G CIRC B 700 424 40",
        "mdb002 G CIRC M 300 724  20",
        "mdb002 G CIRC B 500 124  20",
        "mdb003 D NORM              ",
        "mdb004 D CALC M 200 200 9",
        "mdb005 F CALC B *NOTE 3*",
    ]
    (source / "Info.txt").write_text("\r\n".join(lines))
    y, x = np.mgrid[:1024, :1024]
    pixels = np.where((x - 1023) ** 2 / 700**2 + (y - 512) ** 2 / 480**2 < 1, 90, 3).astype(np.uint8)
    pixels[(x - 700) ** 2 + (y - 600) ** 2 < 40**2] = 200
    (source / "all-mias").mkdir()
    for number in numbers:
        shown = pixels if number % 2 else pixels[:, ::-1]
        Image.fromarray(shown).save(source / "all-mias" / f"mdb{number:03d}.pgm")
    return pixels


def test_mini_mias(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "mias"
    pixels = mias(source, 1, 2, 3, 5)
    assert run("mias", source, "--fractions", "1,0,0") == 0
    assert "1 left out: no such picture" in capsys.readouterr().out
    entries = flatten(read_all(source))
    first, second = entries["mdb001.png"], entries["mdb002.png"]
    assert (first.laterality, second.laterality, first.view) == ("R", "L", "MLO")
    assert first.patient == second.patient != entries["mdb003.png"].patient
    # centres are counted from the lower edge; of a malignant breast the malignant finding alone
    assert first.boxes == ((660, 560, 740, 640),) and not first.malignant
    assert second.boxes == ((280, 280, 320, 320),) and second.malignant
    assert entries["mdb003.png"].boxes == () and entries["mdb005.png"].boxes is None
    assert [entries[f"mdb00{n}.png"].density for n in (1, 3, 5)] == ["B", "C", "A"]
    assert np.array_equal(np.asarray(Image.open(first.image)), pixels)


def test_mini_mias_is_read_as_every_study_is(tmp_path: Path) -> None:
    """Training reads the pictures with their boxes, inference the folders of the patients."""
    source = tmp_path / "mias"
    mias(source, 1, 2, 3)
    assert run("mias", source, "--fractions", "1,0,0") == 0
    first = flatten(read_all(source))["mdb001.png"]
    assert first.boxes is not None
    mammogram = read_mammogram(first.image, first.laterality, first.view)
    x0, y0, x1, y1 = (int(value) for value in first.boxes[0])
    assert mammogram.pixels[y0:y1, x0:x1].mean() > 0.6 > mammogram.pixels[y1:, x1:].max()
    assert mammogram.source.spacing_mm == (0.2, 0.2)
    rows0, columns0, rows1, columns1 = mammogram.breast_px
    assert (abs(rows0 - 32) < 30, abs(columns0 - 323) < 30, rows1 > 960, columns1 == 1024) == (True,) * 4
    cases = find_studies(first.image.parents[1])
    assert [case.name for case in cases] == ["mias001", "mias002"]
    study = read_study(cases[0])
    assert [(one.laterality, one.view) for one in study.mammograms] == [("R", "MLO"), ("L", "MLO")]


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (
            np.zeros((512, 1024), np.uint8),
            "expected 1024x1024 pixels of 8 bits, as mini-MIAS has, got 1024x512",
        ),
        (np.full((1024, 1024), 900, np.uint16), "of 8 bits, as mini-MIAS has, got 1024x1024 of mode I"),
        (None, "expected a PGM picture, got other data"),
    ],
)
def test_pictures_that_are_not_of_mini_mias(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], pixels: np.ndarray | None, message: str
) -> None:
    """The larger pictures of MIAS: the table's numbers would lie elsewhere in them."""
    source = tmp_path / "mias"
    mias(source, 1)
    image = source / "all-mias" / "mdb001.pgm"
    if pixels is None:
        image.write_bytes(image.read_bytes()[:5000])
    else:
        Image.fromarray(pixels).save(image)
    assert run("mias", source) == 1
    error = capsys.readouterr().err.rpartition("\r")[2]  # behind the progress bar
    assert error.startswith("error: mdb001.pgm: expected") and message in error and error.count("\n") == 1


def test_what_training_would_refuse_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "inbreast"
    rows, common = [], {"Laterality": "R", "View": "MLO", "ACR": 2, "Bi-Rads": 1, "Acquisition date": 2010}
    headers: dict[int, dict[str, Any]] = {
        111: {"Modality": "MG", "BurnedInAnnotation": "NO"},
        222: {"Modality": "MG", "BurnedInAnnotation": "YES"},
        333: {"Modality": "MG", "BreastImplantPresent": "YES"},
    }
    for number, header in headers.items():
        rows.append({**common, "File Name": number})
        dicom(source / f"{number}_p{number}_MG_R_ML_ANON.dcm", ImageLaterality="R", **header)
    rows.append({**common, "File Name": 444})
    (source / "444_p444_MG_R_ML_ANON.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\2\0\0\0UL\4\0")
    table(source / "INbreast.csv", rows, ";")
    assert run("inbreast", source, "--fractions", "1,0,0", "--check") == 0
    assert [entry.patient for entry in read_all(source)["training"]] == ["p111"]
    printed = capsys.readouterr().out
    assert "1 left out: text is burned into the picture" in printed
    assert "1 left out: an implant is in the picture" in printed and printed.count(" left out") == 3


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ("cbis_ddsm", r"expected \*_case_description_\*_set.csv"),
        ("vindr", "expected breast-level_annotations.csv, got none"),
        ("cmmd", "expected CMMD_clinicaldata"),
        ("embed", "expected EMBED_OpenData_clinical"),
        ("inbreast", "expected INbreast.csv"),
        ("mias", "expected Info.txt or info.txt, got none"),
    ],
)
def test_other_folders_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], layout: str, message: str
) -> None:
    (tmp_path / "empty").mkdir()
    assert run(layout, tmp_path / "empty") == 1
    error = capsys.readouterr().err
    assert message.replace("\\", "") in error and error.count("\n") == 1


def make_entry(number: int, malignant: bool, part: str | None = None) -> MammoEntry:
    known = Known(50 + number % 20, "ABCD"[number % 4], "screening" if number % 2 else "diagnostic")
    return MammoEntry(
        f"i{number}", Path(__file__), f"p{number}", "s", "L", "CC", malignant, (), known, part=part
    )


def test_histories_do_not_know_the_label(tmp_path: Path) -> None:
    """The same patients with every label turned over get the same texts."""
    texts = []
    for turned in (False, True):
        entries = []
        for number in range(20):
            image = tmp_path / f"i{number}.png"
            image.touch()
            entry = make_entry(number, (number % 3 == 0) != turned)
            entries.append(dataclasses.replace(entry, image=image))
        write(
            MammoSet("toy", "none", entries),
            Split("random", "1,0,0", 0, None),
            tmp_path / "d.json",
            "templated",
            7,
        )
        texts.append([row["history"] for row in json.loads((tmp_path / "d.json").read_text())["training"]])
    assert texts[0] == texts[1] and all(texts[0]) and len(set(texts[0])) > 10


def test_histories_say_what_is_known() -> None:
    known = Known(47, "D", "diagnostic", "nipple discharge", "lumpectomy of the left breast")
    text = str(template_history(known, "p", 1))
    for word in ("47", "ense", "iagnostic", "nipple discharge", "lumpectomy of the left breast"):
        assert word in text or word.replace("ense", "Earlier density D") in text
    assert template_history(known, "p", 1) == text and template_history(Known(), "p") is None
    assert len({template_history(known, f"p{n}") for n in range(40)}) > 5


def test_validation_is_drawn_from_training_patients_only() -> None:
    official = ["training"] * 16 + ["test"] * 4
    entries = [make_entry(n, False, part) for n, part in enumerate(official)]
    patients = [entry.patient for entry in entries]
    patients[16] = "p0"  # stands in both halves
    parts = divide(entries, patients, Split("auto", "0.75,0.25,0", 0, None))
    assert parts[17:] == ["test"] * 3 and parts[16] == parts[0] != "test"
    assert parts.count("validation") in (4, 5)
    named = divide(
        [make_entry(0, False, "validation"), make_entry(1, False, "test")],
        ["a", "b"],
        Split("auto", "0.7,0.15,0.15", 0, None),
    )
    assert named == ["validation", "test"]


def test_values_of_tables(tmp_path: Path) -> None:
    assert [to_density(v) for v in ("DENSITY C", "3", 2.0, "2.0", "", "5", None)] == [
        "C",
        "C",
        "B",
        "B",
        None,
        None,
        None,
    ]
    assert [to_age(v) for v in ("053Y", "61.2", 44, "", "x", "400")] == [53, 61.2, 44, None, None, None]
    (tmp_path / "t.xlsx").write_text("no archive")
    with pytest.raises(InputError, match="t.xlsx: expected a table, got an unreadable file"):
        read_rows(tmp_path / "t.xlsx", ("a",))
