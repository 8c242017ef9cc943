"""What a study's run leaves behind: the content of result.json, and the files."""

from __future__ import annotations

import json
import os
import platform
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import OutputError
from common.io.files import write_json
from common.io.mammogram import MammoSource

from .calibration import Calibration, Scoring
from .dicom_outputs import write_dicom
from .pictures import Box, Panel, draw_overview, draw_view
from .report import write_report
from .scores import combine
from .wording import file_name, headline, name_region, name_views, purpose_note, title_view

PACKAGES = ("monai", "torch", "timm", "transformers", "openvino", "highdicom", "pydicom", "numpy")
_SCORES = ("score", "image_only_score")


@dataclass(frozen=True)
class Region:
    """A region of interest.

    Attributes:
        rank: 1 has the highest attention of its view.
        box_px: (x0, y0, x1, y1) in pixels of the stored mammogram, edges of pixels, end exclusive.
        attention: share 0..1, see `MmbcdOutput.attention`.
        detector_score: 0..1 of the detector, or as the file of boxes has it.
    """

    rank: int
    box_px: tuple[float, float, float, float]
    attention: float
    detector_score: float


@dataclass(frozen=True)
class View:
    """One mammogram with its result.

    Attributes:
        laterality, view: such as "R", "CC".
        source: with the DICOM header.
        preview: (h, w) float 0..1, the mammogram made smaller.
        scale: pixels of the preview for one of the mammogram, up to 1.
        regions: by rank; empty where none was found.
        score, image_only_score: raw 0..1; None without a region.
        history: "used" or "missing", for this breast.
    """

    laterality: str
    view: str
    source: MammoSource
    preview: np.ndarray = field(repr=False)
    scale: float
    regions: tuple[Region, ...]
    score: float | None
    image_only_score: float | None
    history: str


@dataclass(frozen=True)
class Results:
    """What the files of one study will hold, before anything is written.

    Attributes:
        record: content of result.json.
        views: in the order of `record["images"]`.
    """

    record: dict[str, Any]
    views: tuple[View, ...] = field(repr=False)

    @property
    def headline(self) -> str:
        """The result in one line of plain words."""
        return headline(self.record)


def describe_scores(views: Sequence[View], scoring: Scoring) -> dict[str, Any]:
    """Scores of images, breasts and study, and how they come about."""
    calibration = scoring.calibration
    names = name_views([(view.laterality, view.view) for view in views])
    images = [_describe_image(name, view, calibration) for name, view in zip(names, views, strict=True)]
    sides = [side for side in ("R", "L") if any(row["laterality"] == side for row in images)]
    breasts = [_describe_breast(side, images, scoring) for side in sides]
    scores = {key: combine([row[key] for row in breasts], scoring.study_rule) for key in _SCORES}
    history = "used" if any(row["history"] == "used" for row in breasts) else "missing"
    fitted = calibration if calibration.levels else None
    return {
        "study": _describe_score("study", calibration, history, **scores),
        "breasts": breasts,
        "images": images,
        "rules": {"breast": scoring.breast_rule, "study": scoring.study_rule},
        "calibration": None if fitted is None else asdict(fitted),
    }


def _describe_score(
    level: str, calibration: Calibration, history: str, score: float | None, image_only_score: float | None
) -> dict[str, Any]:
    known = history == "used" and score is not None and image_only_score is not None
    return {
        "score": score,
        "probability": calibration.probability(level, score),
        "suspicious": calibration.is_suspicious(level, score),
        "image_only_score": image_only_score,
        "history": history,
        "history_change": score - image_only_score if known else None,  # type: ignore[operator]
    }


def _describe_image(name: str, view: View, calibration: Calibration) -> dict[str, Any]:
    source = view.source
    return {
        "name": name,
        "file": source.file.name,
        "sop_instance_uid": source.sop_instance_uid,
        "laterality": view.laterality,
        "view": view.view,
        "rows": source.rows,
        "columns": source.columns,
        "spacing_mm": source.spacing_mm,
        **_describe_score("image", calibration, view.history, view.score, view.image_only_score),
        "regions": [asdict(region) for region in view.regions],
        "notes": list(source.notes),
    }


def _describe_breast(side: str, images: Sequence[dict[str, Any]], scoring: Scoring) -> dict[str, Any]:
    own = [row for row in images if row["laterality"] == side]
    scores = {key: combine([row[key] for row in own], scoring.breast_rule) for key in _SCORES}
    return {
        "laterality": side,
        **_describe_score("breast", scoring.calibration, own[0]["history"], **scores),
        "views": [row["name"] for row in own],
    }


def describe_versions() -> dict[str, str]:
    """Versions of the packages that a result depends on."""
    return {name: version(name) for name in PACKAGES} | {"python": platform.python_version()}


def write_results(results: Results, output_dir: Path) -> list[Path]:
    """Pictures, DICOM, result.json and, last, report.html: all of them, or none where one is refused.

    What an earlier result.json in the folder names is removed, so that two studies are never mixed.

    Raises:
        InputError: headers that DICOM objects cannot follow.
        OutputError: a file cannot be written.
    """
    try:
        output_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".results-", dir=output_dir) as staging:
            written = [path.relative_to(staging) for path in _write_all(results, Path(staging))]
            _remove_earlier(output_dir)
            for path in reversed(written):
                (output_dir / path).parent.mkdir(exist_ok=True)
                os.replace(Path(staging) / path, output_dir / path)
    except OSError as error:
        raise OutputError(
            f"{output_dir.name}: expected a writable folder, got '{error.strerror}': free space or change "
            "output_dir"
        ) from error
    return [output_dir / path for path in written]


def _write_all(results: Results, folder: Path) -> list[Path]:
    record = results.record
    pictures = draw_pictures(results, folder)
    dicom = write_dicom(record, [view.source for view in results.views], pictures["overview"], folder)
    record["versions"] = describe_versions()
    files = [*pictures.values(), *dicom]
    record["files"] = [path.relative_to(folder).as_posix() for path in files]
    write_json(folder / "result.json", record)
    write_report(folder / "report.html", record, pictures)
    return [folder / "report.html", folder / "result.json", *files]


def _remove_earlier(folder: Path) -> None:
    """Report, result and files of an earlier run; nothing outside of the folder."""
    try:
        named = json.loads((folder / "result.json").read_text(encoding="utf-8"))["files"]
        paths = [folder / name for name in ("report.html", "result.json", *map(str, named))]
    except (OSError, ValueError, LookupError, TypeError):
        return
    for path in paths:
        if path.resolve().is_relative_to(folder.resolve()):
            path.unlink(missing_ok=True)


def draw_pictures(results: Results, output_dir: Path) -> dict[str, Path]:
    """overview.png and one picture for each view, by name: "overview", "R CC", ... Raises OutputError."""
    note = purpose_note(results.record)
    rows = results.record["images"]
    panels = {row["name"]: _panel(row, view) for row, view in zip(rows, results.views, strict=True)}
    paths = {name: output_dir / f"{file_name(name)}.png" for name in ("overview", *panels)}
    draw_overview(paths["overview"], list(panels.values()), note)
    for name, panel in panels.items():
        draw_view(paths[name], panel, note)
    return paths


def _panel(row: dict[str, Any], view: View) -> Panel:
    boxes = [
        Box(
            box_px=tuple(value * view.scale for value in region["box_px"]),
            number=str(region["rank"]),
            text=name_region(region),
            highest=region["rank"] == 1,
        )
        for region in row["regions"]
    ]
    return Panel(view.laterality, view.view, view.preview, boxes, title_view(row))
