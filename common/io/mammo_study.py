"""Which files of a case are the study, in which order; and their pixels."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError, NoEligibleError
from ..transforms.breast import find_breast
from .ct_types import StoredFile
from .dicom_files import is_dicom
from .history import ClinicalHistory, find_history
from .history_text import build_history
from .mammo_choice import Choice, choose
from .mammo_header import read_image
from .mammo_pictures import is_picture, read_grey, read_picture_image, sidecar_name
from .mammo_pixels import read_pixels
from .mammo_scan import (
    Scan,
    list_case_files,
    no_mammogram,
    refuse_mixed_folders,
    scan_files,
    stored_file,
)
from .mammo_types import SIDES, UNKNOWN_VIEW, VIEWS, MammoCase, Mammogram, MammoSource, MammoStudy, StudyImage

NO_BREAST_NOTE = "The breast does not stand out from the background: the whole picture was taken."


@dataclass(frozen=True, eq=False)
class OpenStudy:
    """A study whose headers were read and whose pixels were not. The other attributes are `MammoStudy`'s.

    Attributes:
        images: at least one, in the order of `MammoStudy.mammograms`.
    """

    images: tuple[StudyImage, ...]
    left_out: tuple[tuple[str, str], ...]
    history: ClinicalHistory | None
    refused_histories: tuple[str, ...]
    study_uid: str
    notes: tuple[str, ...]

    def stream(self) -> Iterator[Mammogram]:
        """The mammograms in order; the next one is decoded while the caller works on this one.

        Raises:
            InputError: pixels that cannot be read.
        """
        with ThreadPoolExecutor(1) as pool:
            ahead = pool.submit(read_pixels_of, self.images[0])
            for following in self.images[1:]:
                mammogram, ahead = ahead.result(), pool.submit(read_pixels_of, following)
                yield mammogram
            yield ahead.result()

    def read(self) -> MammoStudy:
        """All mammograms, decoded by a few threads. Raises InputError: pixels that cannot be read."""
        with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
            mammograms = tuple(pool.map(read_pixels_of, self.images))
        return MammoStudy(
            mammograms, self.left_out, self.history, self.refused_histories, self.study_uid, self.notes
        )


def read_study(path: str | Path | MammoCase, study: str | None = None) -> MammoStudy:
    """Read the mammograms of one visit of one patient.

    Args:
        path: DICOM folder, file or zip, a folder of pictures with sidecars, or a case of `find_studies`.
        study: StudyInstanceUID to read instead of the newest.

    Raises:
        InputError: no such path, nothing that can be read, several patients, no laterality, damaged files.
    """
    return open_study(path, study).read()


def open_study(path: str | Path | MammoCase, study: str | None = None) -> OpenStudy:
    """Read the headers of a study and choose its pictures. Arguments and Raises as for `read_study`."""
    case = path if isinstance(path, MammoCase) else MammoCase(Path(path).name, Path(path))
    if not case.path.exists():
        raise InputError(f"{case.path.name}: expected a study, got no such path: check it")
    scan = scan_files(list(case.files) or list_case_files(case.path))
    if not scan.mammograms:
        raise NoEligibleError(no_mammogram(case.path.name, scan))
    refuse_mixed_folders(scan, case.path.name)
    chosen = choose(scan.images, case.path.name, study)
    history, refused = _find_history(chosen, scan)
    bare = tuple((file.name, f"a picture without {sidecar_name(file)}") for file in scan.bare)
    return OpenStudy(
        images=chosen.images,
        left_out=(*chosen.left_out, *bare),
        history=history,
        refused_histories=refused,
        study_uid=_uid(chosen.images[0], "StudyInstanceUID"),
        notes=chosen.notes,
    )


def list_visits(case: MammoCase) -> list[int]:
    """Mammograms that can be read in each study of a case. Raises InputError: damaged files."""
    scan = scan_files(list(case.files) or list_case_files(case.path))
    return list(Counter(one.study for one in scan.images if not one.reason).values())


def _find_history(chosen: Choice, scan: Scan) -> tuple[ClinicalHistory | None, tuple[str, ...]]:
    """From the headers, the pictures' sidecars, or files beside them."""
    headers = [image.header for image in chosen.images if image.header is not None]
    for image in chosen.images:
        history = build_history(image.history, f"sidecar {sidecar_name(image.file)}")
        if history is not None:
            return history, ()
    return find_history(scan.others, headers)


def read_mammogram(path: str | Path, laterality: str | None = None, view: str | None = None) -> Mammogram:
    """Read one file, for data sets whose tables know side and view.

    Args:
        path: DICOM, PNG, JPEG or TIFF; a sidecar is not needed when `laterality` is given.
        laterality: "R" or "L" where the file does not state it or a table knows better.
        view: the same for the view.

    Raises:
        InputError: no such file, one that `read_study` would leave out, no laterality, damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path.name}: expected a mammogram, got no such file: check the path")
    image = _single(stored_file(path), path)
    if image.reason:
        raise InputError(f"{path.name}: expected a mammogram, got {image.reason}: leave it out")
    if (laterality or image.laterality) not in SIDES or (view or UNKNOWN_VIEW) not in (*VIEWS, UNKNOWN_VIEW):
        known = ", ".join(VIEWS)
        raise InputError(
            f"{path.name}: expected laterality R or L and a view of {known}, got others: state them"
        )
    return read_pixels_of(image, laterality, view)


def _single(file: StoredFile, path: Path) -> StudyImage:
    if not is_picture(file):
        if is_dicom(file):
            return read_image(file)
        raise InputError(f"{path.name}: expected DICOM, PNG, JPEG or TIFF, got another file: check it")
    beside = path.with_name(sidecar_name(file))
    if beside.is_file():
        return read_picture_image(file, stored_file(beside))
    return StudyImage(file, None, "", "", "", "", UNKNOWN_VIEW)


def read_pixels_of(image: StudyImage, laterality: str | None = None, view: str | None = None) -> Mammogram:
    """Decode one image of a study; side and view may be stated. Raises InputError."""
    pixels, notes = (read_grey(image.file), ()) if image.header is None else read_pixels(image.file)
    breast = find_breast(pixels)
    return Mammogram(
        name=image.name,
        pixels=pixels,
        laterality=laterality or image.laterality,
        view=view or image.view,
        breast_px=breast or (0, 0, *pixels.shape),
        source=_source(image, pixels.shape, (*notes, *(() if breast else (NO_BREAST_NOTE,)))),
    )


def _source(image: StudyImage, shape: tuple[int, ...], notes: tuple[str, ...]) -> MammoSource:
    return MammoSource(
        file=image.file,
        header=image.header,
        sop_class_uid=_uid(image, "SOPClassUID"),
        sop_instance_uid=_uid(image, "SOPInstanceUID"),
        series_uid=_uid(image, "SeriesInstanceUID"),
        study_uid=_uid(image, "StudyInstanceUID"),
        rows=shape[0],
        columns=shape[1],
        spacing_mm=image.spacing_mm,
        manufacturer=_uid(image, "Manufacturer"),
        model=_uid(image, "ManufacturerModelName"),
        age_years=image.age_years,
        notes=notes,
    )


def _uid(image: StudyImage, keyword: str) -> str:
    """An element of the header as text, empty without one."""
    return "" if image.header is None else str(image.header.get(keyword) or "")
