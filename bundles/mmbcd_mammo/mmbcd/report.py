"""report.html: the result of one study in words that need no explanation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.io.files import write_text
from common.report.html import embed_picture, render_page
from common.report.wording import capitalise, describe_details

from .wording import (
    choose_tone,
    describe_result,
    describe_rules,
    describe_shares,
    format_change,
    format_score,
    headline,
    list_doubts,
    name_breast,
    purpose_note,
)

TEMPLATE = Path(__file__).with_name("report.html")


def write_report(path: Path, record: Mapping[str, Any], pictures: Mapping[str, Path]) -> None:
    """Write report.html, one file with everything inside.

    Args:
        path: file to write.
        record: content of result.json.
        pictures: PNG files: "overview", and one by the name of each view.

    Raises:
        InputError: a picture is not there.
        OutputError: the report cannot be written.
    """
    context = {
        "weights_note": purpose_note(record),
        "case": record["case"],
        "verdict": {
            "tone": choose_tone(record),
            "headline": headline(record),
            "sentences": describe_result(record),
        },
        "doubts": list_doubts(record),
        "facts": _list_facts(record),
        "scores": _list_scores(record),
        "calibrated": record["calibration"] is not None,
        "rules": describe_rules(record),
        "shares": describe_shares(record["settings"]["attention"]),
        "views": [_describe_view(row, pictures) for row in record["images"]],
        "overview": embed_picture(pictures["overview"]),
        "history": record["history"].get("text", ""),
        "source_notes": record["source"]["notes"],
        "details": describe_details(record),
        "files": [*record["files"], "result.json"],
    }
    write_text(path, render_page(TEMPLATE, context))


def _list_facts(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    source, history = record["source"], record["history"]
    views = ", ".join(row["name"] for row in record["images"])
    used = history["status"]
    if history["source"]:
        used += f", from {history['source']}, {history['length']} characters"
    facts = [
        ("Views", f"{views} ({source['format']})"),
        ("Clinical history", used),
        ("Regions from", record["detector"]["name"]),
        ("Weights", f"{record['weights']['name']} ({record['weights']['purpose']})"),
    ]
    if record["calibration"] is not None:
        facts.append(("Calibrated on", record["calibration"]["fitted_on"]))
    return facts


def _list_scores(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of the table: study, breasts, each with its views below it."""
    rows = [_score_row("Study", record["study"], 0)]
    for breast in record["breasts"]:
        rows.append(_score_row(capitalise(name_breast(breast["laterality"])), breast, 1))
        own = [row for row in record["images"] if row["laterality"] == breast["laterality"]]
        rows += [_score_row(row["name"], row, 2) for row in own]
    return rows


def _score_row(name: str, row: Mapping[str, Any], depth: int) -> dict[str, Any]:
    calls = {True: "above", False: "below", None: "–"}  # noqa: RUF001
    probability = row["probability"]
    return {
        "name": name,
        "depth": depth,
        "score": format_score(row["score"]),
        "width": round(100 * (row["score"] or 0)),
        "probability": "–" if probability is None else f"{probability:.0%}",  # noqa: RUF001
        "call": calls[row["suspicious"]],
        "suspicious": bool(row["suspicious"]),
        "image_only": format_score(row["image_only_score"]),
        "change": format_change(row["history_change"]) if row["history"] == "used" else "no history",
    }


def _describe_view(row: Mapping[str, Any], pictures: Mapping[str, Path]) -> dict[str, Any]:
    spacing = row["spacing_mm"]
    regions = []
    for region in row["regions"]:
        x0, y0, x1, y1 = region["box_px"]
        size = "" if spacing is None else f"{(x1 - x0) * spacing[1]:.0f} x {(y1 - y0) * spacing[0]:.0f} mm"
        regions.append(
            {
                "rank": region["rank"],
                "share": f"{region['attention']:.0%}",
                "place": f"column {x0:.0f} to {x1:.0f}, row {y0:.0f} to {y1:.0f}",
                "size": size,
                "detector": f"{region['detector_score']:.3f}",
            }
        )
    return {
        "name": row["name"],
        "file": row["file"],
        "picture": embed_picture(pictures[row["name"]]),
        "regions": regions,
        "has_mm": spacing is not None,
        "notes": row["notes"],
    }
