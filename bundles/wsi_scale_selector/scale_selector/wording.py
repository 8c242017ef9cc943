"""The plain words of the pictures and of report.html."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from common.geometry import magnification_from_mpp

from .verdict import DECIDED, EQUIVALENT, NO_FIT, WIDEN

TONES = {DECIDED: "good", WIDEN: "caution", EQUIVALENT: "neutral", NO_FIT: "bad"}
ADVICE = {
    DECIDED: "The classifier tells the classes of this slide apart best at this scale.",
    WIDEN: "Add scales beyond that end of the search set and run again.",
    EQUIVALENT: "Any of the scales that were tried will do: choose the fastest, or the classifier's own.",
    NO_FIT: "Look for a classifier that was trained on this tissue and stain.",
}
MAP_WARNING = {
    DECIDED: "",
    WIDEN: "The map is provisional, until the scale has been found.",
    EQUIVALENT: "",
    NO_FIT: "The map shows what an unfit classifier makes of the slide: do not rely on it.",
}
SHAPES = {
    "convex": "a best scale inside the range that was tried",
    "increasing": "best at the highest magnification that was tried",
    "decreasing": "best at the lowest magnification that was tried",
    "flat": "the scale makes no difference",
}
RULES = {
    "vote": "Vote of all points (the paper's rule)",
    "interior_vote": "Vote of the points with a best scale inside the range",
    "interior_median": "Median of the points with a best scale inside the range",
    "prominence_vote": "The same vote, weighted by how far each peak stands out",
    "mean_curve": "Peak of the mean curve",
}


def headline(verdict: Mapping[str, Any]) -> str:
    """The verdict in one line of plain words."""
    decision = verdict["decision"]
    if decision == DECIDED:
        return f"Decided: read this slide {name_scale(verdict)}"
    if decision == WIDEN:
        return f"Widen the search towards {verdict['direction']} magnifications"
    if decision == EQUIVALENT:
        return "Scales equivalent: the scale makes no difference here"
    return "This classifier does not fit this slide"


def name_scale(row: Mapping[str, Any]) -> str:
    """A scale in words: "at x20 (0.50 µm per pixel)", or "shrunk 2.00 times" where mpp is None."""
    if row["mpp"] is not None:
        return f"at x{magnification_from_mpp(row['mpp']):.3g} ({row['mpp']:.2f} µm per pixel)"
    times = row["downsample"]
    if math.isclose(times, 1, rel_tol=1e-3):
        return "at its full resolution"
    return f"shrunk {times:.2f} times" if times > 1 else f"enlarged {1 / times:.2f} times"


def short_scale(row: Mapping[str, Any]) -> str:
    """A scale as a label: "x20", or "2 slide px" per patch pixel where no resolution is known."""
    if row["mpp"] is None:
        return f"{row['downsample']:.2g} slide px"
    return f"x{magnification_from_mpp(row['mpp']):.3g}"
