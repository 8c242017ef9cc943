"""What reading a mammography study gives: pictures ready for display, and where they came from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from .ct_types import StoredFile
from .history_text import ClinicalHistory

SIDES = ("R", "L")
"""Laterality of a picture, in the order of a hanging: right first."""

VIEWS = ("CC", "MLO", "ML", "LM", "LMO", "XCC", "XCCL", "XCCM", "FB", "SIO", "ISO", "AT")
"""Views of a whole breast. ML and MLO are not the same."""

UNKNOWN_VIEW = "unknown"


@dataclass(frozen=True)
class MammoSource:
    """Where a mammogram came from. Only `header` holds data about the patient; it never reaches a message.

    Attributes:
        file: the file or member of a zip; give it to `pydicom.dcmread(file.open())` for all of it.
        header: DICOM header without pixels; None for PNG and TIFF.
        sop_class_uid: empty for PNG and TIFF, as the three other UIDs.
        rows, columns: pixels of the stored picture, those of `Mammogram.pixels`.
        spacing_mm: between rows, between columns, in the detector's plane; None if not stated.
        manufacturer, model: of the device, empty if not stated.
        age_years: of the patient at the time of the study, None if not stated.
        notes: sentences about what was decided while reading.
    """

    file: StoredFile
    header: Dataset | None = field(repr=False)
    sop_class_uid: str
    sop_instance_uid: str
    series_uid: str
    study_uid: str
    rows: int
    columns: int
    spacing_mm: tuple[float, float] | None = None
    manufacturer: str = ""
    model: str = ""
    age_years: int | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class StudyImage:
    """A file of a study before its pixels are read.

    Attributes:
        header: DICOM header without pixels, functional groups of the first frame on its top level; None for
            PNG, JPEG and TIFF.
        patient: a key that tells patients apart and names none; empty if unknown.
        study: a key of the visit: StudyInstanceUID, the folder without one, the patient in CBIS-DDSM.
        date: of the study, YYYYMMDD, empty if not stated.
        laterality: "R" or "L", "B" for both, empty if not stated.
        reason: why it is not read, empty if it may be.
        synthetic: a 2-D view computed from a tomosynthesis.
        partial: shows a part of a breast that is larger than the detector.
        history: text of the sidecar; DICOM headers are looked through elsewhere.
    """

    file: StoredFile
    header: Dataset | None = field(repr=False)
    patient: str = field(repr=False)
    study: str
    date: str
    laterality: str
    view: str
    reason: str = ""
    synthetic: bool = False
    partial: bool = False
    spacing_mm: tuple[float, float] | None = None
    age_years: int | None = None
    history: str = field(default="", repr=False)

    @property
    def name(self) -> str:
        """Of the file, for messages."""
        return self.file.name

    @property
    def modality(self) -> str:
        """Of the header; pictures with a sidecar count as MG."""
        return "MG" if self.header is None else str(self.header.get("Modality") or "no modality")


@dataclass(frozen=True, eq=False)
class Mammogram:
    """One picture of one breast, as a radiologist sees it.

    Attributes:
        name: the file's name, for messages.
        pixels: (H, W) float32, 0..1: dense tissue bright, background dark.
        laterality: "R" or "L".
        view: one of `VIEWS`, or `UNKNOWN_VIEW`.
        breast_px: (y0, x0, y1, x1) box of the breast, ends exclusive.
    """

    name: str
    pixels: np.ndarray = field(repr=False)
    laterality: str
    view: str
    breast_px: tuple[int, int, int, int]
    source: MammoSource

    @property
    def breast(self) -> np.ndarray:
        """The pixels inside the breast's box, a view."""
        y0, x0, y1, x1 = self.breast_px
        return self.pixels[y0:y1, x0:x1]


@dataclass(frozen=True, eq=False)
class MammoStudy:
    """The mammograms of one visit of one patient.

    Attributes:
        mammograms: at least one, in the order R CC, L CC, R MLO, L MLO, others.
        left_out: name of a file, and why it was not read.
        history: from the header or a file beside the pictures, None if there is none.
        refused_histories: why files that look like a history were not used.
        study_uid: StudyInstanceUID of the first mammogram, empty for PNG and TIFF. Sets such as CBIS-DDSM
            give each picture a study of its own: see each `source`.
        notes: sentences about what was decided.
    """

    mammograms: tuple[Mammogram, ...]
    left_out: tuple[tuple[str, str], ...] = ()
    history: ClinicalHistory | None = None
    refused_histories: tuple[str, ...] = ()
    study_uid: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class MammoCase:
    """One study among those below a path; `read_study` takes it.

    Attributes:
        name: unique among the cases found, fit for a file name; made of folders' names.
        path: the folder, zip or file that holds the study.
        files: the study's files; empty for all below `path`.
    """

    name: str
    path: Path
    files: tuple[StoredFile, ...] = field(default=(), repr=False)
