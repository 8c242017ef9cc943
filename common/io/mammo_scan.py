"""What lies below a path: mammograms, other DICOM files, texts; and whose they are."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import InputError, NoEligibleError
from .cases import stem, unique_names
from .ct_types import StoredFile
from .dicom_files import is_dicom, list_files
from .mammo_header import read_image
from .mammo_pictures import is_picture, read_picture_image, sidecar_name
from .mammo_types import MammoCase, StudyImage


@dataclass(frozen=True)
class Scan:
    """Files of a folder, sorted.

    Attributes:
        images: DICOM files with a modality, and pictures with a sidecar.
        bare: pictures without a sidecar.
        sidecars: the pictures' JSON files.
        others: texts, tables and what else there is.
    """

    images: tuple[StudyImage, ...]
    bare: tuple[StoredFile, ...]
    sidecars: tuple[StoredFile, ...]
    others: tuple[StoredFile, ...]

    @property
    def mammograms(self) -> tuple[StudyImage, ...]:
        """Images of mammography, whether they can be read or not."""
        return tuple(one for one in self.images if one.modality == "MG")


def scan_files(files: list[StoredFile]) -> Scan:
    """Read the headers and sidecars.

    Raises:
        InputError: a damaged DICOM file or sidecar.
    """
    names = {(file.folder, file.name): file for file in files}
    pictures = [file for file in files if is_picture(file)]
    sidecars = {file: names.get((file.folder, sidecar_name(file))) for file in pictures}
    dicom = [file for file in files if not is_picture(file) and is_dicom(file)]
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        headers = list(pool.map(read_image, dicom))
    images = [one for one in headers if one.header is not None and one.header.get("Modality")]
    images += [read_picture_image(file, sidecar) for file, sidecar in sidecars.items() if sidecar]
    used = {id(file) for file in (*(one.file for one in images), *pictures, *sidecars.values())}
    return Scan(
        images=tuple(images),
        bare=tuple(file for file, sidecar in sidecars.items() if sidecar is None),
        sidecars=tuple(filter(None, sidecars.values())),
        others=tuple(file for file in files if id(file) not in used),
    )


def list_case_files(path: Path) -> list[StoredFile]:
    """All files below a path; with a single picture its sidecar. Raises InputError: see `list_files`."""
    files = list_files(path)
    beside = [path.with_name(sidecar_name(file)) for file in files if path.is_file() and is_picture(file)]
    return [*files, *(stored_file(one) for one in beside if one.is_file())]


def stored_file(path: Path) -> StoredFile:
    """A file of the disk."""
    return StoredFile(path.name, str(path.parent), lambda: path.open("rb"))


def find_studies(path: str | Path) -> list[MammoCase]:
    """One case per patient below a path or in a zip; of several visits `read_study` takes the newest.

    Raises:
        InputError: no such path, no mammogram below it, a damaged file, or two patients in one folder.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path.name}: expected a study or a folder of studies, got no such path: check it")
    files = list_case_files(path)
    zips = [Path(file.folder) / file.name for file in files if _is_zip(file)] if path.is_dir() else []
    scan = scan_files([file for file in files if not _is_zip(file)])
    if not scan.mammograms and not zips:
        raise NoEligibleError(no_mammogram(path.name, scan))
    refuse_mixed_folders(scan, path.name)
    patients = list(dict.fromkeys(one.patient for one in scan.mammograms))
    if len(patients) == 1 and not zips:
        return [MammoCase(stem(path), path)]
    base = path if path.is_dir() else _common_folder([one.file for one in scan.mammograms])
    cases = [_case(path, base, scan, patient) for patient in patients]
    cases += [
        replace(case, name=_join(one.parent, base, case.name)) for one in zips for case in find_studies(one)
    ]
    cases.sort(key=lambda case: case.name)
    names = unique_names([case.name for case in cases])
    return [replace(case, name=name) for name, case in zip(names, cases, strict=True)]


def _is_zip(file: StoredFile) -> bool:
    return file.name.lower().endswith(".zip")


def _common_folder(files: list[StoredFile]) -> Path:
    return Path(os.path.commonpath([file.folder for file in files]))


def _case(path: Path, base: Path, scan: Scan, patient: str) -> MammoCase:
    """The patient's files, and of the others those in folders that are only this patient's."""
    own = [one.file for one in scan.images if one.patient == patient]
    foreign = [one.file.folder for one in scan.mammograms if one.patient != patient]
    folder = _common_folder(own)
    places = {file.folder for file in own}
    if not any(Path(one).is_relative_to(folder) for one in foreign):
        places |= {file.folder for file in scan.others if Path(file.folder).is_relative_to(folder)}
    nameless = [one.file for one in scan.images if not one.patient]
    beside = [*nameless, *scan.bare, *scan.others, *scan.sidecars]
    files = (*own, *(file for file in beside if file.folder in places))
    return MammoCase(_join(folder, base, ""), folder if path.is_dir() else path, files)


def _join(folder: Path, base: Path, name: str) -> str:
    """The way from the base in one word."""
    return "-".join((*folder.relative_to(base).parts, *filter(None, [name]))) or folder.name


def refuse_mixed_folders(scan: Scan, name: str) -> None:
    """Raises InputError: files of two patients in one folder."""
    patients: dict[str, set[str]] = {}
    for one in scan.images:
        patients.setdefault(one.file.folder, set()).update({one.patient} - {""})
    worst = max(patients.values(), key=len, default=set())
    if len(worst) > 1:
        raise InputError(
            f"{name}: expected one patient in a folder, got {len(worst)}: separate them (files without a "
            "patient id are told apart by their study)"
        )


def no_mammogram(name: str, scan: Scan) -> str:
    """Words of the refusal when nothing can be read."""
    kinds = sorted({one.modality for one in scan.images if one.modality != "MG"})
    got = [f"DICOM of {', '.join(kinds)}"] if kinds else []
    if scan.bare:
        got.append(f"{len(scan.bare)} pictures without {sidecar_name(scan.bare[0])} beside them")
    got = got or [f"{len(scan.others)} other files"]
    return f"{name}: expected mammograms (DICOM MG, or pictures with JSON), got {' and '.join(got)}: check it"
