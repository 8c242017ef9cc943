"""Folders of 3D Slicer, as a clinic makes them (KAS): a CT and a segmentation in one folder per patient.

    SOURCE/patient_01/CT.nrrd            or NIfTI, or a folder (or the folder itself) with DICOM slices
    SOURCE/patient_01/Segmentation.seg.nrrd

The segmentation is a .seg.nrrd (segments named in its header, in one layer or several), a DICOM SEG, or a
label map as NRRD or NIfTI whose name holds "seg", "label" or "mask" and whose values are named by
`--labels 1=cortex,2=medulla,3=artery`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import nrrd
import numpy as np
import pydicom

from common.errors import InputError
from common.geometry import ras_from_lps
from common.io.ct_types import CtVolume, StoredFile
from common.io.ct_volume import read_ct
from common.io.dicom_files import is_dicom
from common.io.dicom_header import read_instance
from common.io.dicom_seg_masks import SEG_CLASSES, read_dicom_seg
from common.io.nifti import SUFFIXES as NIFTI
from common.io.nifti import as_labels, write_nifti_mask
from common.io.nrrd_volume import SUFFIXES as NRRD
from ksam.label_maps import LabelMap, read_label_map

from .entries import Collected, Entry, Request, need, strip_suffixes, structure

STRUCTURES = ("cortex", "medulla", "artery")
_LABEL_WORD = re.compile(r"(?:^|[^a-z])(seg|segmentation|label|labels|labelmap|mask)(?:[^a-z]|$)")
_SEGMENT = re.compile(r"Segment(\d+)_Name")


@dataclass(frozen=True)
class Naming:
    """How segments become structures.

    Attributes:
        structures: wanted names; the value in the label map that is written is the place, from 1.
        rename: segment name (any case) -> structure.
        labels: value -> name, for label maps without names.
    """

    structures: tuple[str, ...]
    rename: Mapping[str, str]
    labels: Mapping[int, str]

    def value(self, segment: str, file: str) -> int | None:
        """Value of the structure that a segment shows, None for another organ.

        A segment shows a structure whose name it contains as a word ("Left renal cortex").

        Raises:
            InputError: two structures fit.
        """
        lower = segment.strip().lower()
        renamed = {key.lower(): name for key, name in self.rename.items()}
        name = renamed.get(lower, lower)
        words = re.split(r"[^a-z0-9]+", name)
        fitting = [place for place, s in enumerate(self.structures, 1) if s == name or s in words]
        if len(fitting) > 1:
            raise InputError(
                f"{file}: expected one structure for the segment '{segment}', got {len(fitting)}: name it by "
                "--rename"
            )
        return fitting[0] if fitting else None


def collect_slicer(request: Request) -> Collected:
    """One case for each segmentation; the patient is the first folder below the source.

    Raises:
        InputError: no segmentation, or one without its image.
    """
    naming = Naming(request.structures or STRUCTURES, request.rename, dict(request.named_values))
    entries = []
    for segmentation in find_segmentations(request.source):
        image = find_image(segmentation)
        inner = segmentation.relative_to(request.source).parent.parts
        stem = strip_suffixes(segmentation)
        patient = inner[0] if inner else strip_suffixes(image)
        name = re.sub(r"[^\w.-]+", "_", "_".join((*inner, stem)))
        series = referenced_series(segmentation) if image.is_dir() else None
        make = functools.partial(_write_labels, image, series, segmentation, naming, name)
        entries.append(Entry(name, image, None, patient, series=series, make=make))
    need(entries, request.source, "segmentations (.seg.nrrd, DICOM SEG, *seg*.nrrd, *label*.nii.gz)")
    structures = [structure(name, [value]) for value, name in enumerate(naming.structures, 1)]
    return Collected("kidney structures", "CT", "private", structures, [0], entries)


def find_segmentations(source: Path) -> list[Path]:
    """Files below a folder that hold segments."""
    return [path for path in sorted(source.rglob("*")) if path.is_file() and is_segmentation(path)]


def is_segmentation(path: Path) -> bool:
    """By its name, or, for DICOM, by its SOP class."""
    lower = path.name.lower()
    if lower.endswith((*NRRD, *NIFTI)):
        return ".seg." in lower or bool(_LABEL_WORD.search(strip_suffixes(path).lower()))
    stored = _stored(path)
    return is_dicom(stored) and read_instance(stored).sop_class_uid in SEG_CLASSES


def find_image(segmentation: Path) -> Path:
    """The CT of a segmentation: the one volume file beside it, or the DICOM slices beside, below or above it.

    Raises:
        InputError: none, or several of which none has the name of the segmentation.
    """
    folder = segmentation.parent
    beside = [path for path in sorted(folder.iterdir()) if path.is_file() and path != segmentation]
    volumes = [p for p in beside if p.name.lower().endswith((*NRRD, *NIFTI)) and not is_segmentation(p)]
    stem = strip_suffixes(segmentation).lower()
    named = [path for path in volumes if stem.startswith(strip_suffixes(path).lower())]
    for found in (volumes, named):
        if len(found) == 1:
            return found[0]
    if volumes:
        raise InputError(
            f"{segmentation.name}: expected one CT beside it, got {len(volumes)}: give each patient a folder"
        )
    below = [path for path in sorted(folder.iterdir()) if path.is_dir() and _holds_slices(path)]
    if len(below) > 1 or _holds_slices(folder):
        return folder
    if below or _holds_slices(folder.parent):
        return below[0] if below else folder.parent
    raise InputError(
        f"{segmentation.name}: expected a CT beside it (NRRD, NIfTI or DICOM slices), got none: put it there"
    )


def referenced_series(segmentation: Path) -> str | None:
    """SeriesInstanceUID that a DICOM SEG was drawn on; None where it does not say, or for other files."""
    if segmentation.name.lower().endswith((*NRRD, *NIFTI)):
        return None
    rows = pydicom.dcmread(segmentation, stop_before_pixels=True, force=True).get("ReferencedSeriesSequence")
    return str(rows[0].SeriesInstanceUID) if rows else None


def read_segments(
    path: Path, volume: CtVolume, labels: Mapping[int, str]
) -> Iterator[tuple[str, np.ndarray]]:
    """Segment name and mask (I, J, K) on the grid of the CT.

    Raises:
        InputError: damaged, on another grid, or without names.
    """
    if _is_plain(path):
        yield from _named_values(path, volume, labels)
    elif path.name.lower().endswith(NRRD):
        yield from _slicer_segments(path, volume)
    else:
        yield from ((segment.label, segment.mask) for segment in read_dicom_seg(path, volume))


def _is_plain(path: Path) -> bool:
    return path.name.lower().endswith((*NRRD, *NIFTI)) and ".seg." not in path.name.lower()


def _named_values(
    path: Path, volume: CtVolume, labels: Mapping[int, str]
) -> Iterator[tuple[str, np.ndarray]]:
    if not labels:
        raise InputError(
            f"{path.name}: expected names for the values of a label map, got none: give --labels "
            "1=cortex,2=medulla,3=artery"
        )
    values = read_label_map(path).on_grid(volume.affine_ras_mm, volume.shape, may_be_part=True)
    for value, name in labels.items():
        yield name, values == value


def _slicer_segments(path: Path, volume: CtVolume) -> Iterator[tuple[str, np.ndarray]]:
    """Slicer keeps segments as values of layers, cropped to what they cover; axis 0 may be the layer."""
    try:
        values, header = nrrd.read(str(path))
    except Exception as error:  # decoders raise anything on damaged data
        raise InputError(
            f"{path.name}: expected an intact .seg.nrrd, got data that cannot be decoded: save it again"
        ) from error
    numbers = [match[1] for key in header if (match := _SEGMENT.fullmatch(str(key)))]
    if not numbers:
        raise InputError(f"{path.name}: expected segments in the header, got none: save it from 3D Slicer")
    layers = values if values.ndim == 4 else values[None]
    affine = _affine(header, path.name)
    for number in numbers:
        layer = int(header.get(f"Segment{number}_Layer", 0))
        value = int(header.get(f"Segment{number}_LabelValue", 1))
        placed = LabelMap(as_labels(layers[layer], path.name), affine, path.name)
        found = placed.on_grid(volume.affine_ras_mm, volume.shape, may_be_part=True)
        yield str(header[f"Segment{number}_Name"]), found == value


def _affine(header: Mapping[str, object], name: str) -> np.ndarray:
    """Voxel index -> RAS mm; the layers' axis has no direction. Slicer writes LPS."""
    directions = np.atleast_2d(np.asarray(header.get("space directions", np.nan), float))
    directions = directions[np.isfinite(directions).all(axis=1)]
    origin = np.asarray(header.get("space origin", np.nan), float)
    if directions.shape != (3, 3) or origin.shape != (3,) or header.get("space") != "left-posterior-superior":
        raise InputError(
            f"{name}: expected a position in the patient (left-posterior-superior), got none: save it from "
            "3D Slicer"
        )
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = directions.T, origin
    return np.asarray(ras_from_lps(affine))


def _write_labels(
    image: Path, series: str | None, segmentation: Path, naming: Naming, name: str, folder: Path
) -> tuple[Path, Path] | None:
    """One label map on the grid of the CT; a later structure lies over an earlier one."""
    volume = read_ct(image, series)
    joined = np.zeros(volume.shape, np.uint8)
    for segment, mask in read_segments(segmentation, volume, naming.labels):
        value = naming.value(segment, segmentation.name)
        if value is not None:
            joined[mask & (joined < value)] = value
    if not joined.any():
        return None
    write_nifti_mask(joined, volume, folder / f"{name}.nii.gz")
    return image, folder / f"{name}.nii.gz"


def _holds_slices(folder: Path) -> bool:
    files = [path for path in sorted(folder.iterdir()) if path.is_file()]
    return any(is_dicom(_stored(path)) and not is_segmentation(path) for path in files)


def _stored(path: Path) -> StoredFile:
    return StoredFile(path.name, str(path.parent), lambda: path.open("rb"))
