"""What a case's run leaves behind: the content of volumes.json or areas.json, and the files."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from common.io.cases import Case
from common.io.ct_volume import CtVolume
from common.io.files import atomic_path, write_json
from common.io.nifti import write_nifti_mask
from common.report.wording import weights_note

from .dicom_outputs import write_dicom
from .measure import SIDE_RULE, find_midline, measure_cup_to_disc, measure_picture, measure_volume
from .pictures import draw_coronal, draw_panels, draw_prompts
from .report import write_report
from .shown import Shown
from .structures import Structure, mask_of, structure_to_dict
from .templates import slug
from .wording import describe_families, headline

PACKAGES = ("monai", "torch", "openvino", "segment-anything", "highdicom", "nibabel", "pydicom", "numpy")
LABEL_NOTE = "0 is the background; each pixel has the value of the innermost structure that it belongs to."


@dataclass(frozen=True)
class Results:
    """What the files of one case will hold, before anything is written.

    Attributes:
        case: name of the case, that of its files.
        record: content of volumes.json or areas.json.
        structures: of the label map.
        labels: (I, J, K) on the volume's own grid, or (H, W).
        volume: the CT volume, None for a picture.
        shown: for the pictures.
    """

    case: str
    record: dict[str, Any]
    structures: tuple[Structure, ...]
    labels: np.ndarray
    volume: CtVolume | None
    shown: Shown = field(repr=False)

    @property
    def headline(self) -> str:
        """The result in one line of plain words."""
        return headline(self.record)


def describe_input(case: Case, pixels: np.ndarray, volume: CtVolume | None) -> dict[str, Any]:
    """What came in: name, source, grid.

    Args:
        case: which one.
        pixels: (H, W, 3) of a picture.
        volume: the CT; None for a picture.
    """
    if volume is None:
        grid: dict[str, Any] = {"shape": list(pixels.shape[:2]), "spacing_mm": None}
        return {"case": case.name, "source": {"format": "picture", "name": case.path.name}, "grid": grid}
    grid = {
        "shape": list(volume.shape),
        "spacing_mm": volume.spacing_mm,
        "affine_ras_mm": volume.affine_ras_mm,
    }
    return {"case": case.name, "source": volume.source.as_record(), "grid": grid}


def describe_volume(
    voxels_hu: np.ndarray,
    labels: np.ndarray,
    column_mm: float,
    voxel_mm3: float,
    structures: Sequence[Structure],
    sureness: Mapping[str, Mapping[str, float]],
) -> dict[str, Any]:
    """Millilitres of every structure by side.

    Args:
        voxels_hu: (R, C, Z) axial view.
        labels: (R, C, Z) label map.
        column_mm: distance of columns.
        voxel_mm3: volume of a voxel.
        structures: of the label map.
        sureness: structure name -> {"disagreement", "expected_dice"}, NaN where there was one template only.
    """
    midline = find_midline(voxels_hu, labels, column_mm)
    rows = measure_volume(labels, structures, voxel_mm3, midline)
    return {
        "kind": "ct",
        "structures": merge_rows(structures, rows, sureness),
        "empty": not labels.any(),
        "voxel_mm3": voxel_mm3,
        "sides": {"rule": SIDE_RULE, "midline_column": midline.column, "note": midline.note},
    }


def describe_picture(
    labels: np.ndarray,
    structures: Sequence[Structure],
    sureness: Mapping[str, Mapping[str, float]],
    spacing_mm: tuple[float, float] | None = None,
) -> dict[str, Any]:
    """Areas of every structure, and the cup-to-disc ratio where there are such structures.

    Args:
        labels: (H, W) label map.
        structures: of the label map.
        sureness: as in `describe_volume`.
        spacing_mm: of rows and columns, None where it is not known.
    """
    rows = measure_picture(labels, structures)
    for row in rows:
        row["area_mm2"] = None if spacing_mm is None else row["area_px"] * spacing_mm[0] * spacing_mm[1]
    return {
        "kind": "picture",
        "structures": merge_rows(structures, rows, sureness),
        "empty": not labels.any(),
        "cup_to_disc": measure_cup_to_disc(labels, structures),
    }


def merge_rows(
    structures: Sequence[Structure],
    rows: Sequence[Mapping[str, Any]],
    sureness: Mapping[str, Mapping[str, float]],
) -> list[dict[str, Any]]:
    """Name, code and colour, what was measured, and how sure it is, in one row per structure."""
    return [
        {
            **structure_to_dict(structure),
            **row,
            **{key: _known(value) for key, value in sureness[structure.name].items()},
        }
        for structure, row in zip(structures, rows, strict=True)
    ]


def _known(value: float) -> float | None:
    return round(float(value), 4) if math.isfinite(value) else None


def describe_versions() -> dict[str, str]:
    """Versions of the packages that a result depends on."""
    return {name: version(name) for name in PACKAGES} | {"python": platform.python_version()}


def write_results(results: Results, output_dir: Path) -> list[Path]:
    """Label maps, pictures, the record and, last, report.html; each appears whole or not at all.

    Raises:
        OutputError: a file cannot be written.
    """
    record = results.record
    files = write_labels(results, output_dir)
    pictures = draw_pictures(results, output_dir)
    record["label_note"] = " ".join([LABEL_NOTE, *describe_families(record["structures"])])
    record["files"] = [path.relative_to(output_dir).as_posix() for path in files]
    record["versions"] = describe_versions()
    name = "volumes.json" if results.volume is not None else "areas.json"
    write_json(output_dir / name, record)
    write_report(output_dir / "report.html", record, pictures, name)
    return [output_dir / "report.html", *pictures.values(), *files, output_dir / name]


def write_labels(results: Results, output_dir: Path) -> list[Path]:
    """The label map as NIfTI (of DICOM also SEG and SR), or as PNG with one per structure."""
    if results.volume is None:
        return _write_masks(results, output_dir)
    labels = output_dir / f"{results.case}_seg.nii.gz"
    write_nifti_mask(results.labels, results.volume, labels)
    shown = (results.record, results.labels, results.structures, results.volume)
    return [labels, *write_dicom(results.case, *shown, output_dir)]


def _write_masks(results: Results, output_dir: Path) -> list[Path]:
    pictures = {f"{results.case}_seg.png": results.labels}
    for row in results.structures:
        mask = mask_of(results.labels, row, results.structures)
        pictures[f"{results.case}_{slug(row.name)}.png"] = mask.astype(np.uint8) * 255
    for name, pixels in pictures.items():
        with atomic_path(output_dir / name) as temporary:
            Image.fromarray(pixels).save(temporary, format="PNG")
    return [output_dir / name for name in pictures]


def draw_pictures(results: Results, output_dir: Path) -> dict[str, Path]:
    """slices.png (picture.png), coronal.png and prompts.png. Raises OutputError."""
    shown, note = results.shown, weights_note(results.record["weights"])
    first = "slices" if results.volume is not None else "picture"
    paths = {first: output_dir / f"{first}.png"}
    draw_panels(paths[first], shown.panels, results.structures, note)
    if shown.coronal is not None:
        paths["coronal"] = output_dir / "coronal.png"
        draw_coronal(paths["coronal"], *shown.coronal, results.structures, note)
    if shown.templates:
        paths["prompts"] = output_dir / "prompts.png"
        draw_prompts(paths["prompts"], shown.templates, results.structures, note)
    return paths
