"""The pictures of one slide: curves of chosen points, histogram of proposals, coloured map."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from common.io.slide import Slide
from common.report.figures import CurvePanel, ScaleAxis, plot_distance_curves, plot_proposal_histogram
from common.report.overlay import plot_class_overlay
from common.report.wording import weights_note

from .class_map import ClassMap
from .classifier import Label
from .verdict import DECIDED
from .wording import name_scale, short_scale

PANELS = 6
SCORE_COLOR = (11, 79, 138)
CHOSEN = "the slide's scale"
NOT_ACCEPTED = "most supported scale (not accepted)"
SHAPE_ORDER = ("convex", "increasing", "decreasing", "flat")


def build_scale_axis(scale: dict[str, Any]) -> ScaleAxis:
    """The search set of a scale.json as an axis, in slide pixels per patch pixel where no mpp is known."""
    rows = scale["search"]["scales"]
    positions = -np.log([row["downsample"] for row in rows])
    enlarged = [place for place, row in zip(positions, rows, strict=True) if row["upsampled"]]
    native = min(enlarged) - float(np.diff(positions).min()) / 2 if enlarged else None
    mpp, training_mpp = scale["slide"]["mpp"], scale["classifier"]["training_mpp"]
    if mpp is None:
        ticks = [f"{row['downsample']:.2g}" for row in rows]
        title = "slide pixels per patch pixel"
        return ScaleAxis(positions, ticks, title, None, native)
    ticks = [f"x{row['magnification']:.3g}\n{row['mpp']:.2f}" for row in rows]
    training = None if training_mpp is None else -math.log(training_mpp / mpp)
    return ScaleAxis(positions, ticks, "magnification; below it, µm per pixel", training, native)


def choose_points(points: Sequence[dict[str, Any]], count: int = PANELS) -> list[int]:
    """Points worth showing: different shapes and classes first, the most prominent of each.

    Args:
        points: rows of scale.json.
        count: at most so many.
    """
    order = sorted(
        range(len(points)),
        key=lambda k: (SHAPE_ORDER.index(points[k]["shape"]), -points[k]["prominence"], k),
    )
    kinds = [(points[k]["shape"], points[k]["class"]) for k in order]
    first = [k for place, k in enumerate(order) if kinds[place] not in kinds[:place]]
    rest = [k for k in order if k not in first]
    return sorted((first + rest)[:count], key=order.index)


def read_panels(slide: Slide, scale: dict[str, Any], scores: np.ndarray) -> list[CurvePanel]:
    """Curves and patches of chosen points; reads the slide.

    Args:
        slide: open slide.
        scale: content of scale.json.
        scores: (P, N, C) distances, or (P, N, 1) of a criterion without classes, in the order of the points.
    """
    rows, size_px = scale["search"]["scales"], scale["classifier"]["size_px"]
    panels = []
    for index in choose_points(scale["points"]):
        point = scale["points"][index]
        step = rows[point["proposed"]]["downsample"]
        patch = slide.read_square((point["x_px"], point["y_px"]), step, size_px)
        winner = int(scores[index, point["proposed"]].argmax())
        title = f"{point['class']}: {_describe_curve(point, rows)}"
        panels.append(CurvePanel(scores[index], patch, point["proposed"], winner, title))
    return panels


def _describe_curve(point: dict[str, Any], rows: Sequence[dict[str, Any]]) -> str:
    name = short_scale(rows[point["proposed"]])
    words = {"convex": "peak at", "increasing": "still rising at", "decreasing": "still rising at"}
    return f"{words[point['shape']]} {name}" if point["shape"] in words else "flat, any scale"


def draw_search(
    output_dir: Path, scale: dict[str, Any], panels: Sequence[CurvePanel], labels: Sequence[Label]
) -> dict[str, Path]:
    """Write curves.png and histogram.png. Raises OutputError."""
    axis, note = build_scale_axis(scale), weights_note(scale["weights"])
    pictures = {name: output_dir / f"{name}.png" for name in ("curves", "histogram")}
    by_class = panels[0].distances.shape[1] == len(labels)
    table = labels if by_class else [Label(0, scale["settings"]["criterion"], SCORE_COLOR, None)]
    plot_distance_curves(pictures["curves"], panels, axis, table, note)
    found = scale["bootstrap"]
    interval = None if found["low"] is None or found["high"] is None else (found["low"], found["high"])
    chosen = scale["aggregations"][found["aggregation"]]["index"]
    name = CHOSEN if scale["verdict"]["decision"] == DECIDED else NOT_ACCEPTED
    counts = [int(count) for count in scale["vote"]["histogram"]]
    plot_proposal_histogram(pictures["histogram"], counts, axis, chosen, interval, name, note)
    return pictures


def draw_class_map(
    output_dir: Path,
    scale: dict[str, Any],
    class_map: ClassMap,
    thumbnail: np.ndarray,
    labels: Sequence[Label],
) -> dict[str, Path]:
    """Write class_map.png. Raises OutputError."""
    path = output_dir / "class_map.png"
    read_at = name_scale({"mpp": class_map.mpp, "downsample": class_map.downsample})
    note = weights_note(scale["weights"])
    plot_class_overlay(path, class_map.grid(), thumbnail, labels, f"Classes, read {read_at}", note)
    return {"class_map": path}
