"""Which cases stand at a path: one CT, one picture, or a folder of them."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import InputError, NoEligibleError
from .ct_types import StoredFile
from .dicom_ct import scan_files
from .dicom_files import is_dicom, list_files
from .dicom_header import PHOTOGRAPH_CLASSES, Instance
from .dicom_series import choose_series, group_series
from .nifti import SUFFIXES as NIFTI_SUFFIXES
from .nrrd_volume import SUFFIXES as NRRD_SUFFIXES
from .pictures import PLAIN_SUFFIXES


@dataclass(frozen=True)
class Case:
    """One thing to segment.

    Attributes:
        path: what to give to `read_ct` or `read_rgb`.
        kind: "ct" or "picture".
        series: SeriesInstanceUID where the path holds several studies, otherwise None.
        name: unique among the cases found, fit for a file name; no patient data beyond the names of files.
    """

    path: Path
    kind: str
    series: str | None
    name: str


def find_cases(path: str | Path) -> list[Case]:
    """Cases at a path, by name. A DICOM study is one case (its series is chosen later by the rules).

    A folder may hold, nested: DICOM studies of several patients, NIfTI and NRRD files, zips (each one case),
    pictures and DICOM photographs.

    Raises:
        InputError: no such path, nothing readable in it, or a damaged DICOM file.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path.name}: expected a case or a folder of cases, got no such path: check it")
    if path.is_file():
        return [Case(path, _kind(path), None, stem(path))]
    files = list_files(path)
    plain = [Path(file.folder) / file.name for file in files]
    alone = [Case(file, _kind(file), None, _name(file, path)) for file in plain if _stands_alone(file)]
    dicom = [
        file for file, where in zip(files, plain, strict=True) if not _stands_alone(where) and is_dicom(file)
    ]
    cases = alone + _dicom_cases(path, dicom, bool(alone))
    if not cases:
        raise NoEligibleError(
            f"{path.name}: expected cases (DICOM CT, zip, NIfTI, NRRD, pictures), got {len(files)} others: "
            "check the path"
        )
    cases = sorted(cases, key=lambda case: (case.name, str(case.path)))
    names = unique_names([case.name for case in cases])
    return [replace(case, name=name) for case, name in zip(cases, names, strict=True)]


def stem(path: Path) -> str:
    """The name without the suffixes of the formats read here."""
    lower = path.name.lower()
    known = (*NIFTI_SUFFIXES[::-1], *NRRD_SUFFIXES, *PLAIN_SUFFIXES, ".zip", ".dcm")
    suffix = next((suffix for suffix in known if lower.endswith(suffix)), "") if path.is_file() else ""
    return path.name[: len(path.name) - len(suffix)] or path.name


def _stands_alone(path: Path) -> bool:
    """A file that is a case by itself, by its suffix."""
    return path.name.lower().endswith((*NIFTI_SUFFIXES, *NRRD_SUFFIXES, *PLAIN_SUFFIXES, ".zip"))


def _kind(path: Path) -> str:
    """Raises InputError: a DICOM file that is damaged."""
    if path.suffix.lower() in PLAIN_SUFFIXES:
        return "picture"
    if _stands_alone(path):
        return "ct"
    files = [file for file in list_files(path) if is_dicom(file)]
    return "picture" if any(_is_photograph(one) for one in scan_files(files)) else "ct"


def _is_photograph(instance: Instance) -> bool:
    return instance.sop_class_uid in PHOTOGRAPH_CLASSES and instance.modality not in ("CT", "MR", "PT")


def _dicom_cases(root: Path, files: list[StoredFile], in_company: bool) -> list[Case]:
    instances = scan_files(files)
    pictures = [Path(one.file.folder) / one.file.name for one in instances if _is_photograph(one)]
    slices = [one for one in instances if not _is_photograph(one)]
    studies: dict[tuple[str, str], list[Instance]] = {}
    for one in slices:
        studies.setdefault((one.patient, one.study_uid or one.file.folder), []).append(one)
    alone = len(studies) == 1 and not pictures and not in_company
    found = [case for study in studies.values() if (case := _study_case(root, study, slices, alone))]
    if slices and not found and not pictures:
        choose_series(group_series(slices), root.name)  # refuses, and says what was found instead
    return [Case(picture, "picture", None, _name(picture, root)) for picture in pictures] + found


def _study_case(root: Path, study: list[Instance], slices: list[Instance], alone: bool) -> Case | None:
    """The study's folder (alone: the root), a series only where others share it; None without a CT."""
    series = group_series(study)
    if all(one.reason for one in series):
        return None
    if alone:
        return Case(root, "ct", None, root.name)
    folder = Path(os.path.commonpath([one.file.folder for one in study]))
    around = [one for one in slices if Path(one.file.folder).is_relative_to(folder)]
    chosen = choose_series(series, root.name)[0].uid if len(around) > len(study) else ""
    return Case(folder, "ct", chosen or None, _name(folder, root))


def _name(path: Path, root: Path) -> str:
    """The way from the root in one word: case-01-ct for case-01/ct.nii.gz."""
    parts = path.relative_to(root).parts
    return "-".join((*parts[:-1], stem(path))) if parts else root.name


def unique_names(names: list[str]) -> list[str]:
    """A counter behind names that come more than once."""
    total, seen = Counter(names), Counter[str]()
    unique = []
    for name in names:
        seen[name] += 1
        unique.append(f"{name}-{seen[name]}" if total[name] > 1 else name)
    return unique
