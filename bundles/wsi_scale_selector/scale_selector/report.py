"""Class map as files, and report.html: the results of one slide in words that need no explanation."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from common.geometry import magnification_from_mpp
from common.io.files import write_json, write_text
from common.report.geojson import grid_to_geojson
from common.report.html import embed_picture, render_page
from common.report.ome_tiff import write_label_ome_tiff
from common.report.wording import describe_details, weights_note

from .class_map import ClassMap
from .classifier import Label
from .verdict import DECIDED
from .wording import (
    ADVICE,
    MAP_WARNING,
    RULES,
    SHAPES,
    TONES,
    headline,
    name_scale,
    short_scale,
)

TEMPLATE = Path(__file__).with_name("report.html")
AGREEMENT = 1.2
"""Ratio of two pixel sizes up to which the table calls them the same (one step of the search)."""


def write_class_map(
    output_dir: Path,
    class_map: ClassMap,
    labels: Sequence[Label],
    weights: Mapping[str, Any],
    min_area_um2: float = 0.0,
) -> dict[str, Path]:
    """Write class_map.geojson (QuPath, DSA) and class_map.ome.tif.

    Args:
        output_dir: folder.
        class_map: the map.
        labels: in the order of the map's probabilities.
        weights: name, sha256 and purpose, written into both files.
        min_area_um2: smaller regions are left out of the GeoJSON.

    Raises:
        OutputError: a file cannot be written.
    """
    grid = class_map.grid()
    paths = {"geojson": output_dir / "class_map.geojson", "ome_tiff": output_dir / "class_map.ome.tif"}
    write_json(paths["geojson"], grid_to_geojson(grid, labels, min_area_um2, {"weights": dict(weights)}))
    cell_um = None if grid.mpp is None else grid.mpp * grid.cell_px
    write_label_ome_tiff(paths["ome_tiff"], grid.labels, cell_um, labels, {"weights": dict(weights)})
    return paths


def write_report(
    path: Path,
    scale: Mapping[str, Any],
    doctor: Mapping[str, Any],
    pictures: Mapping[str, Path],
    labels: Sequence[Label],
) -> None:
    """Write report.html, one file with everything inside.

    Args:
        path: file to write.
        scale: content of scale.json; `class_map` may be missing or None.
        doctor: content of doctor.json.
        pictures: PNG files by name: curves, histogram, class_map; missing ones are left out.
        labels: the classifier's classes, for colours.

    Raises:
        InputError: a picture is not there.
        OutputError: the report cannot be written.
    """
    names = ("curves", "histogram", "class_map")
    context = {
        "weights_note": weights_note(scale["weights"]),
        "slide": {"name": scale["slide"]["name"], "facts": _slide_facts(scale)},
        "verdict": _describe_verdict(scale, doctor),
        "class_map": _describe_map(scale, labels),
        "points": _describe_points(scale, labels),
        "aggregations": _describe_rules(scale),
        "resolution": _describe_resolution(doctor),
        "details": describe_details({**scale, "weights": _name_weights(scale["weights"])}),
        "files": [*(scale.get("class_map") or {}).get("files", []), *scale.get("dicom_files", [])],
        "pictures": {name: embed_picture(pictures[name]) if name in pictures else None for name in names},
    }
    write_text(path, render_page(TEMPLATE, context))


def _describe_verdict(scale: Mapping[str, Any], doctor: Mapping[str, Any]) -> dict[str, Any]:
    verdict = scale["verdict"]
    decision = verdict["decision"]
    said_above = decision == DECIDED and not verdict["upsampled"]
    unknown = scale["slide"]["mpp"] is None
    sentences = (
        "" if said_above else _without(headline(verdict), verdict["sentence"]),
        ADVICE[decision],
        doctor["content"]["sentence"] if unknown else "",
    )
    return {
        "headline": headline(verdict),
        "tone": TONES[decision],
        "sentences": [sentence for sentence in sentences if sentence],
        "evidence": verdict["evidence"],
    }


def _without(headline: str, sentence: str) -> str:
    """The sentence, without what the headline has already said."""
    rest = sentence.removeprefix(f"{headline}: ")
    return rest[:1].upper() + rest[1:]


def _slide_facts(scale: Mapping[str, Any]) -> list[tuple[str, str]]:
    slide, classifier = scale["slide"], scale["classifier"]
    size, mpp = f"{slide['width_px']} x {slide['height_px']} pixels", slide["mpp"]
    resolution = "unknown"
    if mpp is not None:
        size += f", {slide['width_px'] * mpp / 1000:.1f} x {slide['height_px'] * mpp / 1000:.1f} mm"
        resolution = f"{mpp:.4g} µm per pixel (about x{magnification_from_mpp(mpp):.3g})"
    trained = classifier["training_mpp"]
    at = "trained at an unknown scale" if trained is None else f"trained {name_scale({'mpp': trained})}"
    return [
        ("Slide", f"{size}, {slide['format']}"),
        ("Resolution in use", resolution),
        ("Classifier", f"{classifier['name']} {classifier['version']}, {at}"),
    ]


def _describe_map(scale: Mapping[str, Any], labels: Sequence[Label]) -> dict[str, Any] | None:
    found = scale.get("class_map")
    if not found:
        return None
    areas = {name: area for name, area in found["areas_mm2"].items() if area}
    total = math.fsum(areas.values())
    colors = {label.name: _css_color(label) for label in labels}
    rows = [_area_row(name, area, total, colors[name]) for name, area in areas.items()]
    unknown = "The slide's resolution is unknown, so areas cannot be given; the picture shows their shares."
    known = f"{total:.2f} mm² of tissue were read, counted in whole cells of the map."
    return {
        "sentence": f"The slide was read {name_scale(found)}; this scale is {found['reason']}.",
        "areas": sorted(rows, key=lambda row: -row["width"]) if total else [],
        "note": known if total else unknown,
        "warning": MAP_WARNING[scale["verdict"]["decision"]],
    }


def _area_row(name: str, area: float, total: float, color: str) -> dict[str, Any]:
    share = area / total
    return {
        "name": name,
        "color": color,
        "area": f"{area:.3f}",
        "share": f"{100 * share:.1f} %",
        "width": round(100 * share, 1),
    }


def _describe_points(scale: Mapping[str, Any], labels: Sequence[Label]) -> dict[str, Any]:
    points, search = scale["points"], scale["search"]
    shapes = Counter(point["shape"] for point in points)
    rows = [
        {"name": name, "meaning": text, "count": shapes[name], "share": f"{shapes[name] / len(points):.0%}"}
        for name, text in SHAPES.items()
    ]
    by_class = Counter(point["class"] for point in points)
    colors = {label.name: _css_color(label) for label in labels}
    rejected = search["points_rejected"]["field_of_view"]
    return {
        "used": len(points),
        "shapes": rows,
        "classes": [
            _class_row(name, points, search["scales"], colors[name]) for name, _ in by_class.most_common()
        ],
        "note": f"{search['points_requested']} points were asked for; {rejected} in tissue were passed over, "
        "because their widest field of view would leave the slide.",
    }


def _class_row(
    name: str, points: Sequence[Mapping[str, Any]], scales: Sequence[Mapping[str, Any]], color: str
) -> dict[str, Any]:
    members = [point for point in points if point["class"] == name]
    proposed = Counter(point["proposed"] for point in members).most_common(3)
    return {
        "name": name,
        "color": color,
        "count": len(members),
        "distance": f"{median(point['margin'] for point in members):.2f}",
        "scales": ", ".join(f"{short_scale(scales[index])} ({count})" for index, count in proposed),
    }


def _describe_rules(scale: Mapping[str, Any]) -> list[dict[str, Any]]:
    used = scale["bootstrap"]["aggregation"]
    return [
        {
            "name": RULES.get(name, name),
            "scale": "no point has a say" if row["index"] is None else name_scale(row).removeprefix("at "),
            "used": name == used,
        }
        for name, row in scale["aggregations"].items()
    ]


def _describe_resolution(doctor: Mapping[str, Any]) -> dict[str, Any]:
    chosen = doctor["chosen"]
    return {
        "statements": [_statement_row(row, chosen) for row in doctor["statements"]],
        "contradictions": doctor["contradictions"],
        "content": doctor["content"]["sentence"],
        "disagrees": doctor["content"]["agrees"] is False,
    }


def _statement_row(row: Mapping[str, Any], chosen: Mapping[str, Any]) -> dict[str, Any]:
    mpp, magnification = row["mpp_x"], row["magnification"]
    implied = mpp or (10 / magnification if magnification else None)
    used = row["source"] == chosen["source"]
    remark, tone = row.get("note") or "", ""
    if used:
        remark, tone = remark or "in use", "chosen"
    elif not remark and implied and chosen["mpp"]:
        ratio = max(implied / chosen["mpp"], chosen["mpp"] / implied)
        remark, tone = ("agrees", "") if ratio <= AGREEMENT else ("contradicts", "alert")
    both = mpp and row["mpp_y"] and not math.isclose(mpp, row["mpp_y"], rel_tol=1e-3)
    return {
        "source": row["source"],
        "value": row["value"],
        "mpp": "" if not mpp else f"{mpp:.4g} x {row['mpp_y']:.4g}" if both else f"{mpp:.4g}",
        "magnification": "" if not magnification else f"x{magnification:.3g}",
        "remark": remark,
        "tone": tone,
    }


def _name_weights(weights: Mapping[str, Any]) -> dict[str, Any]:
    return {key: weights[key] for key in ("name", "purpose", "sha256")}


def _css_color(label: Label) -> str:
    return "rgb({}, {}, {})".format(*label.color)
