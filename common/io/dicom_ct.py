"""A CT from DICOM: find the files, choose the series, stack its slices, decode them."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ..errors import NoEligibleError
from .ct_types import CtVolume, SliceSource, Source, StoredFile
from .dicom_files import is_dicom, list_files
from .dicom_header import CT_CLASSES, Instance, read_instance
from .dicom_pixels import read_hu, same_pixels
from .dicom_series import Series, choose_series, group_series
from .dicom_stack import Plane, Stack, build_stack
from .hounsfield import checked_hu


def read_dicom_ct(path: Path, series: str | None = None) -> CtVolume:
    """Read one series of a DICOM folder, file or zip.

    Args:
        series: SeriesInstanceUID or number; None chooses by the rules of `dicom_series`.

    Raises:
        InputError: no DICOM, no CT, several patients, or one of the refusals of the modules it calls.
    """
    instances, notes = scan(path)
    chosen, choice = choose_series(group_series(instances), path.name, series)
    stack = build_stack(chosen.instances, path.name, same_pixels)
    voxels, pixel_notes = read_hu(stack.planes, path.name)
    voxels = checked_hu(voxels, path.name)
    notes = (*choice, *notes, *_uid_notes(chosen.instances), *stack.notes, *pixel_notes)
    return CtVolume(voxels, stack.affine_ras_mm, _source(path, chosen, stack, notes))


def scan(path: Path) -> tuple[list[Instance], tuple[str, ...]]:
    """Headers of all DICOM files below a path, and a note about the others.

    Raises:
        InputError: no DICOM file, or a damaged one.
    """
    files = list_files(path)
    dicom = [file for file in files if is_dicom(file)]
    if not dicom:
        raise NoEligibleError(
            f"{path.name}: expected a CT (DICOM, zip, NIfTI, NRRD), got {_others(len(files))}: check the path"
        )
    instances = scan_files(dicom)
    others = len(files) - len(instances)
    return instances, (f"Left out {_others(others)}, no DICOM image.",) if others else ()


def _others(count: int) -> str:
    return f"{count} other file{'' if count == 1 else 's'}"


def scan_files(files: list[StoredFile]) -> list[Instance]:
    """Headers of DICOM files, directories (DICOMDIR) left out. Raises InputError: a damaged one."""
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        instances = list(pool.map(read_instance, files))
    return [one for one in instances if one.modality or one.sop_class_uid in CT_CLASSES]


def _uid_notes(instances: tuple[Instance, ...]) -> list[str]:
    differing = sum(one.meta_differs for one in instances)
    notes = []
    if differing:
        notes.append(
            f"{differing} files name another instance in the file meta than in the data set (or none there): "
            "the data set's UID was used where it stands."
        )
    if any(not one.series_uid or not one.study_uid for one in instances):
        notes.append("Study or series UIDs are missing: they were derived from the instances' UIDs.")
    return notes


def _source(path: Path, series: Series, stack: Stack, notes: tuple[str, ...]) -> Source:
    first = stack.planes[0].instance
    return Source(
        format="DICOM",
        name=path.name,
        files_count=len({plane.instance.file.open for plane in stack.planes}),
        modality="CT",
        study_uid=first.study_uid or _derived_uid("study", stack.planes),
        series_uid=series.uid or _derived_uid("series", stack.planes),
        series_number=series.number,
        notes=notes,
        slices=tuple(_slice_source(plane) for plane in stack.planes),
    )


def _slice_source(plane: Plane) -> SliceSource:
    one = plane.instance
    return SliceSource(one.file, one.sop_class_uid, one.sop_instance_uid, plane.frame.index)


def _derived_uid(what: str, planes: tuple[Plane, ...]) -> str:
    """A UID for files without one: the same for the same instances."""
    text = "|".join([what, *sorted({plane.instance.sop_instance_uid for plane in planes})])
    return f"2.25.{int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], 'big')}"
