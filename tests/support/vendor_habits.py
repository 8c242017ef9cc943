"""Habits of vendors and archives as changes of a header, and small cases with every habit for each bundle."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pydicom
from ct_cases import edit, write_enhanced, write_series
from phantoms.slide_dicom import write_dicom_slide
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian
from toy_mammo_files import write_study

from common.io.ct_volume import read_ct
from common.io.mammogram import open_study
from common.io.slide import open_slide
from common.io.slide_dicom import read_slide_header
from common.report.label_grid import LabelGrid
from ksam.dicom_outputs import write_dicom as write_ksam
from ksam.structures import Code, Structure
from mmbcd.dicom_outputs import write_dicom as write_mmbcd
from scale_selector.classifier import Label
from scale_selector.dicom_outputs import write_dicom as write_scale

NAMES = {
    "latin-1": ("ISO_IR 100", "M\u00fcller^J\u00fcrgen^^Dr."),
    "japanese": (
        ["", "ISO 2022 IR 87"],
        "Yamada^Tarou=\u5c71\u7530^\u592a\u90ce=\u3084\u307e\u3060^\u305f\u308d\u3046",
    ),
    "half-width": (
        ["ISO 2022 IR 13", "ISO 2022 IR 87"],
        "\uff94\uff8f\uff80\uff9e^\uff80\uff9b\uff73=\u5c71\u7530^\u592a\u90ce=\u3084\u307e\u3060^\u305f\u308d\u3046",
    ),
    "utf-8": ("ISO_IR 192", "Wang^XiaoDong=\u738b^\u5c0f\u4e1c"),
    "greek": ("ISO_IR 126", "\u0394\u03b9\u03bf\u03bd\u03c5\u03c3\u03b9\u03bf\u03c2"),
}


def make_bare(dataset: Dataset) -> None:
    """Without what is optional, or required but often missing."""
    for keyword in ("PatientBirthDate", "StudyID", "PatientSex", "StudyTime", "ReferringPhysicianName"):
        if keyword in dataset:
            delattr(dataset, keyword)
    if dataset.Modality != "SM":  # a slide without it has no place on the glass
        dataset.pop("FrameOfReferenceUID", None)
    dataset.AccessionNumber = ""


def write_names(dataset: Dataset, habit: str) -> None:
    """Name and description of the study in one of the character sets."""
    dataset.SpecificCharacterSet, dataset.PatientName = NAMES[habit]
    dataset.ReferringPhysicianName = NAMES[habit][1]
    dataset.StudyDescription = NAMES[habit][1].split("=")[-1].replace("^", " ")


def hide_character_set(dataset: Dataset) -> None:
    """Latin-1 that nothing declares, as old scanners write it."""
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.PatientName = "M\u00fcller^J\u00fcrgen"
    bytes_ = str(dataset.PatientName).encode("latin-1")
    del dataset.SpecificCharacterSet
    dataset[0x00100010] = pydicom.dataelem.RawDataElement(
        pydicom.tag.Tag(0x00100010), "PN", len(bytes_), bytes_, 0, False, True
    )


def add_private(dataset: Dataset) -> None:
    """A private block with text, numbers and an unknown VR."""
    block = dataset.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
    block.add_new(0x10, "LO", "\u00fcbel" if dataset.get("SpecificCharacterSet") else "private")
    block.add_new(0x11, "UN", b"\x00\x01\x02\x03")
    dataset.private_block(0x0009, "GEMS_IDEN_01", create=True).add_new(0x01, "FL", 1.5)


def make_implicit(dataset: Dataset) -> None:
    """Implicit VR Little Endian."""
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian


def write_history(dataset: Dataset) -> None:
    """Sentences about the patient where departments put them."""
    for keyword in ("AdditionalPatientHistory", "PatientComments", "AdmittingDiagnosesDescription"):
        setattr(dataset, keyword, "lump in the left breast")
    dataset.ReasonForStudy = dataset.RequestedProcedureComments = "lump"


HABITS: Mapping[str, Callable[[Dataset], None]] = {
    "plain": lambda dataset: None,
    "missing tags": make_bare,
    **{habit: lambda dataset, habit=habit: write_names(dataset, habit) for habit in NAMES},
    "undeclared latin-1": hide_character_set,
    "private tags": add_private,
    "implicit VR": make_implicit,
    "history": write_history,
}


def write_case(kind: str, folder: Path, habit: str) -> list[Path]:
    """Files of a CT series, an enhanced CT, a mammography study or a slide with a habit."""
    if kind == "slide":
        pixels = np.random.default_rng(0).integers(0, 256, (360, 560, 3), np.uint8)
        paths = write_dicom_slide(folder, pixels)
    elif kind == "mammography":
        paths = sorted(write_study(folder).iterdir())
    elif kind == "enhanced CT":
        paths = [write_enhanced(folder.with_suffix(".dcm"), write_series(folder))]
    else:
        paths = write_series(folder)
    for path in paths:
        dataset = pydicom.dcmread(path)
        HABITS[habit](dataset)
        implicit = dataset.file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
        pydicom.dcmwrite(path, dataset, implicit_vr=implicit, little_endian=True)
    return paths


def run_case(kind: str, paths: list[Path], output: Path) -> list[Path]:
    """The DICOM objects that a bundle's own reader and writer leave of a case."""
    if kind == "slide":
        return _run_slide(paths[0].parent, output)
    if kind == "mammography":
        return _run_mammography(paths[0].parent, output)
    return _run_ct(paths[0] if len(paths) == 1 else paths[0].parent, output)


STRUCTURES = (
    Structure("cortex", 1, Code("SCT", "50403003", "Structure of cortex of kidney"), (240, 228, 66)),
    Structure("medulla", 2, Code("SCT", "30737000", "Renal medulla structure"), (86, 180, 233)),
    Structure("nothing", 3, None, (213, 94, 0)),
)
WEIGHTS = {"name": "toy", "sha256": "ab" * 32, "purpose": "demonstration"}


def _run_ct(path: Path, output: Path) -> list[Path]:
    volume = read_ct(path)
    labels = np.zeros(volume.shape, np.uint8)
    labels[3:6, 2:5, 1:4], labels[6, 7, 5] = 1, 2
    record = ct_record(labels, volume.voxel_mm3, volume.source.notes)
    return write_ksam("case", record, labels, STRUCTURES, volume, output)


def ct_record(labels: np.ndarray, voxel_mm3: float, notes: tuple[str, ...] = ()) -> dict[str, Any]:
    """What `write_dicom` takes of a volumes.json; the left half has everything."""
    rows = []
    for structure in STRUCTURES:
        mask = labels == structure.value
        amount = {"voxels": int(mask.sum()), "volume_ml": round(float(mask.sum()) * voxel_mm3 / 1000, 3)}
        rows.append(
            {
                "name": structure.name,
                **amount,
                "right": {"voxels": 0, "volume_ml": 0.0},
                "left": amount,
                "slices": int(mask.any(axis=(0, 1)).sum()),
                "cut": [],
                "parent": None,
                "expected_dice": 0.9,
            }
        )
    return {
        "kind": "ct",
        "weights": WEIGHTS,
        "structures": rows,
        "empty": not labels.any(),
        "sides": {"rule": "Sides by the midline.", "note": ""},
        "carried": [],
        "source": {"notes": list(notes)},
        "prompts": {
            "task": "toy",
            "templates": [{"id": "a", "used": {"cortex": 3}}, {"id": "b", "used": {}}],
        },
    }


def _run_mammography(folder: Path, output: Path) -> list[Path]:
    mammograms = list(open_study(folder).stream())
    score = {"score": 0.4, "image_only_score": 0.4, "history_change": None, "history": "missing"}
    score |= {"probability": None, "suspicious": None}
    region = {"rank": 1, "box_px": (4.0, 5.0, 20.0, 30.5), "attention": 0.7, "detector_score": 0.5}
    images = [
        score
        | {"name": f"{one.laterality} {one.view}", "laterality": one.laterality, "view": one.view}
        | {"file": one.name, "regions": [region], "notes": []}
        for one in mammograms
    ]
    record = {
        "study": score,
        "breasts": [score | {"laterality": side, "views": []} for side in ("R", "L")],
        "images": images,
        "rules": {"breast": "max", "study": "max"},
        "calibration": None,
        "history": {"status": "missing", "reason": "none was found", "notes": []},
        "source": {"left_out": [], "notes": []},
        "weights": WEIGHTS,
        "detector": WEIGHTS,
        "settings": {"attention": True},
    }
    overview = output / "overview.png"
    output.mkdir(parents=True)
    cv2.imwrite(str(overview), np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8))
    return write_mmbcd(record, [one.source for one in mammograms], overview, output)


def _run_slide(folder: Path, output: Path) -> list[Path]:
    code = {"scheme": "SCT", "value": "55603005", "meaning": "Adipose tissue"}
    labels = (Label(0, "adipose", (240, 228, 66), code), Label(1, "glass", (221, 221, 221), None))
    with open_slide(folder) as slide:
        header, extent = read_slide_header(slide.path), (float(slide.width_px), float(slide.height_px))
    cells = np.full((9, 14), -1, np.int16)
    cells[1:5, 2:6] = 0
    grid = LabelGrid(cells, np.ones(cells.shape), 40.0, extent, 0.5)
    scale = {
        "weights": WEIGHTS,
        "classifier": {"version": "1"},
        "search": {"scales": [{"magnification": 20.0}], "points_used": 12},
        "vote": {"share": 0.5},
        "bootstrap": {"low": 0, "high": 0},
        "verdict": {"decision": "decided", "mpp": 0.5, "magnification": 20.0, "downsample": 1.0}
        | {"upsampled": False, "direction": None, "evidence": []},
        "class_map": {"mpp": 0.5, "downsample": 1.0, "reason": "the verdict"}
        | {"areas_mm2": {"adipose": 0.5, "glass": 0.0}},
    }
    return write_scale(scale, grid, labels, header, output)


def write_separate_studies(folder: Path) -> list[Path]:
    """Views that are studies of their own, in an archive that names patients by file, as CBIS-DDSM."""
    paths = sorted(write_study(folder).iterdir())

    def separate(dataset: Dataset, number: int) -> None:
        side = {"R": "RIGHT", "L": "LEFT"}[dataset.ImageLaterality]
        dataset.PatientID = dataset.PatientName = f"Mass-Test_P_00016_{side}_{dataset.ViewPosition}"
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"1.2.3.{number}", f"1.2.3.{number}.1"

    edit(paths, separate)
    return paths
