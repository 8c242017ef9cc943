"""What a slide's run leaves behind: the content of scale.json and doctor.json, and the files."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from common.engines import Engine
from common.errors import OutputError
from common.geometry import magnification_from_mpp
from common.io.files import write_json
from common.io.slide import Slide
from common.report.figures import CurvePanel

from .class_map import ClassMap
from .classifier import ClassifierSpec, Label
from .dicom_outputs import write_dicom
from .inferer import SearchResult, SearchSettings, describe_settings
from .pictures import draw_class_map, draw_search
from .report import write_class_map, write_report
from .verdict import DECIDED, EQUIVALENT, NO_FIT

EVERY_RESULT = (
    "report.html",
    "curves.png",
    "histogram.png",
    "class_map.png",
    "class_map.geojson",
    "class_map.ome.tif",
    "dicom/class_map_seg.dcm",
    "dicom/scale_sr.dcm",
    "doctor.json",
    "scale.json",
)
PACKAGES = ("monai", "torch", "openvino", "openslide-python", "openslide-bin", "highdicom", "numpy")


def describe_search(
    slide: Slide, search: SearchResult, spec: ClassifierSpec, engine: Engine, settings: SearchSettings
) -> dict[str, Any]:
    """Everything about the search as plain values: slide, classifier, points, aggregations, verdict."""
    return {
        "slide": describe_slide(slide),
        "classifier": spec.describe(),
        "weights": {"name": spec.name, "sha256": spec.weights_sha256, "purpose": spec.purpose},
        "engine": engine.describe(),
        "settings": describe_settings(settings),
        "search": {
            "scales": describe_scales(search),
            "points_requested": search.points.requested,
            "points_used": len(search.curves.proposed),
            "points_rejected": {"field_of_view": search.points.rejected_field_of_view},
            "tissue_share": search.points.tissue_share,
            "widenings": search.widenings,
        },
        "points": describe_points(search, spec),
        "vote": describe_vote(search),
        "aggregations": {name: _at_scale(search, index) for name, index in search.aggregations.items()},
        "bootstrap": {
            "resamples": search.interval.resamples,
            "aggregation": settings.aggregation,
            "shares": search.interval.shares,
            "low": search.interval.low,
            "high": search.interval.high,
        },
        "verdict": describe_verdict(search),
        "class_map": None,
        "versions": {name: version(name) for name in PACKAGES} | {"python": platform.python_version()},
    }


def describe_slide(slide: Slide) -> dict[str, Any]:
    return {
        "name": slide.path.name,
        "format": slide.format,
        "width_px": slide.width_px,
        "height_px": slide.height_px,
        "mpp": slide.mpp,
        "downsamples": list(slide.downsamples),
    }


def describe_scales(search: SearchResult) -> list[dict[str, Any]]:
    """One row per scale; without a known resolution only the downsample is not null."""
    rows = zip(search.gathered.mpps, search.gathered.downsamples, search.names, strict=True)
    return [
        {
            "name": name,
            "mpp": None if search.assumed_mpp else float(mpp),
            "magnification": None if search.assumed_mpp else magnification_from_mpp(float(mpp)),
            "downsample": float(step),
            "upsampled": bool(step < 1 - 1e-6),
        }
        for mpp, step, name in rows
    ]


def describe_points(search: SearchResult, spec: ClassifierSpec) -> list[dict[str, Any]]:
    """One row per point: where, what it proposes, the shape of its curve, its class and margin."""
    curves, margins = search.curves, search.margins
    return [
        {
            "x_px": float(x),
            "y_px": float(y),
            "proposed": int(curves.proposed[k]),
            "shape": str(curves.shapes[k]),
            "class": spec.labels[margins.classes[k]].name,
            "margin": float(margins.distances[k]),
            "prominence": float(curves.prominence[k]),
            "curve": np.round(curves.values[k], 5),
        }
        for k, (x, y) in enumerate(search.gathered.xy_px)
    ]


def describe_vote(search: SearchResult) -> dict[str, Any]:
    """The paper's plain vote."""
    histogram = np.bincount(search.curves.proposed, minlength=len(search.names))
    winner = search.aggregations["vote"]
    return {
        "histogram": histogram,
        "winner": winner,
        "name": None if winner is None else search.names[winner],
        "share": float(histogram.max() / histogram.sum()),
    }


def _at_scale(search: SearchResult, index: int | None) -> dict[str, Any]:
    if index is None:
        return {"index": None, "name": None, "mpp": None, "downsample": None}
    row = describe_scales(search)[index]
    return {"index": index, **{key: row[key] for key in ("name", "mpp", "downsample")}}


def describe_verdict(search: SearchResult) -> dict[str, Any]:
    """Decision, scale (only where one was decided), plain sentence, and the evidence."""
    verdict = search.verdict
    decided = verdict.decision == DECIDED
    scale = describe_scales(search)[verdict.index] if decided and verdict.index is not None else None
    return {
        "decision": verdict.decision,
        "direction": verdict.direction,
        "mpp": scale and scale["mpp"],
        "magnification": scale and scale["magnification"],
        "downsample": scale and scale["downsample"],
        "upsampled": scale and scale["upsampled"],
        "sentence": _sentence(search, scale),
        "evidence": list(verdict.evidence),
    }


def _sentence(search: SearchResult, scale: dict[str, Any] | None) -> str:
    if scale is not None:
        note = (
            ", finer than the slide was scanned, so the pixels are interpolated" if scale["upsampled"] else ""
        )
        return f"Read this slide at {scale['name']}{note}."
    verdict = search.verdict
    if verdict.decision == EQUIVALENT:
        return "The classifier answers alike at every scale that was tried; the scale does not matter to it."
    if verdict.decision == NO_FIT:
        return "This classifier does not fit this slide: do not rely on any scale or class that it names."
    edge = search.names[0] if verdict.direction == "lower" else search.names[-1]
    return f"The best scale seems to lie beyond {edge}: search {verdict.direction} magnifications too."


def describe_class_map(class_map: ClassMap, reason: str, spec: ClassifierSpec) -> dict[str, Any]:
    """Scale, step and areas of the map."""
    return {
        "mpp": class_map.mpp,
        "downsample": class_map.downsample,
        "stride_px": class_map.stride_px,
        "reason": reason,
        "areas_mm2": class_map.grid().areas_mm2(spec.labels),
        "files": [],
    }


@dataclass(frozen=True)
class Results:
    """What the files of one slide will hold, before anything is written.

    Attributes:
        scale: content of scale.json.
        doctor: content of doctor.json.
        panels: curves and patches of chosen points.
        class_map: None if it was not asked for.
        thumbnail: (h, w, 3) uint8 of the whole slide.
        header: of a DICOM slide's largest level; None for other formats.
    """

    scale: dict[str, Any]
    doctor: dict[str, Any]
    panels: list[CurvePanel]
    class_map: ClassMap | None
    thumbnail: np.ndarray
    header: Dataset | None = field(default=None, repr=False)


def write_results(
    results: Results, labels: Sequence[Label], output_dir: Path, min_area_um2: float = 0.0
) -> list[Path]:
    """Pictures, map, DICOM, doctor.json, scale.json, last report.html; each appears whole or not at all.

    Results of an earlier run in the same folder are removed first: a map of another slide or of other
    settings must not stand beside this verdict.

    Raises:
        OutputError: a file cannot be written or removed.
    """
    remove_results(output_dir)
    scale, class_map = results.scale, results.class_map
    pictures = draw_search(output_dir, scale, results.panels, labels)
    files: list[Path] = []
    if class_map is not None:
        pictures |= draw_class_map(output_dir, scale, class_map, results.thumbnail, labels)
        files += write_class_map(output_dir, class_map, labels, scale["weights"], min_area_um2).values()
        scale["class_map"]["files"] = [path.name for path in files]
    grid = None if class_map is None else class_map.grid()
    dicom = write_dicom(scale, grid, labels, results.header, output_dir)
    scale["dicom_files"] = [path.relative_to(output_dir).as_posix() for path in dicom]
    files += dicom
    for name, payload in (("doctor.json", results.doctor), ("scale.json", scale)):
        write_json(output_dir / name, payload)
        files.append(output_dir / name)
    write_report(output_dir / "report.html", scale, results.doctor, pictures, labels)
    return [output_dir / "report.html", *pictures.values(), *files]


def remove_results(output_dir: Path) -> None:
    """Delete the files that `write_results` writes, no others. Raises OutputError."""
    for name in EVERY_RESULT:
        try:
            (output_dir / name).unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(
                f"{name}: expected to replace an earlier result, got '{error.strerror}': remove it, or "
                "change output_dir"
            ) from error
