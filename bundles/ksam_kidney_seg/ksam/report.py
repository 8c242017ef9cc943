"""report.html: the result of one case in words that need no explanation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.io.files import write_text
from common.report.html import embed_picture, render_page
from common.report.wording import describe_details, to_plain, weights_note

from .wording import (
    SURENESS,
    choose_tone,
    describe_carried,
    describe_families,
    describe_found,
    describe_sureness,
    format_ml,
    headline,
    list_doubts,
)

TEMPLATE = Path(__file__).with_name("report.html")
PICTURES = ("slices", "picture", "coronal", "prompts")
PROVENANCE = ("file", "series", "slice", "source", "licence")
"""What a template says about itself that a reader can use."""


def write_report(
    path: Path, record: Mapping[str, Any], pictures: Mapping[str, Path], record_name: str
) -> None:
    """Write report.html, one file with everything inside.

    Args:
        path: file to write.
        record: content of volumes.json or areas.json.
        pictures: PNG files by name, see `PICTURES`; missing ones are left out.
        record_name: name of the JSON that stands beside the report.

    Raises:
        InputError: a picture is not there.
        OutputError: the report cannot be written.
    """
    context = {
        "weights_note": weights_note(record["weights"]),
        "case": record["case"],
        "facts": _describe_source(record),
        "is_ct": record["kind"] == "ct",
        "verdict": _describe_verdict(record),
        "rows": [_describe_row(row) for row in record["structures"]],
        "has_sides": any(row.get("right") for row in record["structures"]),
        "has_mm2": any(row.get("area_mm2") is not None for row in record["structures"]),
        "notes": _list_notes(record),
        "sureness": SURENESS,
        "source_notes": record["source"].get("notes", []),
        "prompts": _describe_prompts(record["prompts"]),
        "details": describe_details(record),
        "files": [*record["files"], record_name],
        "pictures": {name: embed_picture(pictures[name]) if name in pictures else None for name in PICTURES},
    }
    write_text(path, render_page(TEMPLATE, context))


def _describe_verdict(record: Mapping[str, Any]) -> dict[str, Any]:
    sentences = describe_found(record)
    if not record["empty"]:
        sentences += [*describe_carried(record["carried"]), describe_sureness(record)]
    return {
        "tone": choose_tone(record),
        "headline": headline(record),
        "sentences": sentences,
        "doubts": list_doubts(record),
    }


def _describe_source(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    source, grid = record["source"], record["grid"]
    facts = [("Input", f"{source['format']}, {to_plain(source.get('files', 1))} file(s)")]
    if source.get("series_number") is not None:
        facts.append(("Series", str(source["series_number"])))
    size = " x ".join(str(size) for size in grid["shape"])
    facts.append(("Size", f"{size} {'voxels' if record['kind'] == 'ct' else 'pixels'}"))
    if grid["spacing_mm"] is not None:
        facts.append(("Spacing", " x ".join(f"{step:.3g}" for step in grid["spacing_mm"]) + " mm"))
    prompts = record["prompts"]
    facts.append(("Prompts", f"{prompts['task']} ({len(prompts['templates'])} example(s))"))
    return facts


def _describe_row(row: Mapping[str, Any]) -> dict[str, Any]:
    amounts = {}
    for side in ("right", "left"):
        amounts[side] = format_ml(row[side]["volume_ml"]) if row.get(side) else ""
    return {
        "name": row["name"],
        "color": "rgb({}, {}, {})".format(*row["color"]),
        "code": f"{row['code']['meaning']} ({row['code']['scheme']} {row['code']['value']})"
        if row["code"]
        else "",
        **amounts,
        "volume": format_ml(row["volume_ml"]) if "volume_ml" in row else "",
        "slices": row.get("slices", ""),
        "area": f"{row['area_px']}" if "area_px" in row else "",
        "share": f"{row['share']:.2%}" if "share" in row else "",
        "area_mm2": f"{row['area_mm2']:.2f}" if row.get("area_mm2") is not None else "",
        "dice": "" if row["expected_dice"] is None else f"{row['expected_dice']:.2f}",
    }


def _list_notes(record: Mapping[str, Any]) -> list[str]:
    notes = describe_families(record["structures"])
    if record["kind"] == "ct" and any(row["right"] for row in record["structures"]):
        notes.append(record["sides"]["rule"])
    return notes


def _describe_prompts(prompts: Mapping[str, Any]) -> dict[str, Any]:
    rows = []
    for template in prompts["templates"]:
        known = template.get("provenance", {})
        origin = ", ".join(
            f"{key} {to_plain(known[key])}" for key in PROVENANCE if known.get(key) is not None
        )
        shows = ", ".join(
            f"{name} ({count})" if count > 1 else name for name, count in template["used"].items()
        )
        rows.append({"id": template["id"], "used": shows, "origin": origin})
    return {"task": prompts["task"], "rows": rows, "note": prompts["note"]}
