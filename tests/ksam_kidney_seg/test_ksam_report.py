"""report.html and the record behind it say what was found, with what, and how sure it is."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from common.errors import InputError
from common.io.cases import Case
from ksam.report import write_report
from ksam.results import describe_input, describe_picture, describe_volume, merge_rows
from ksam.structures import Code, Structure

DISC = Structure("disc", 1, Code("SCT", "81016008", "Optic disc structure"), (1, 2, 3))
CUP = Structure("cup", 2, None, (4, 5, 6), "disc")
SURE = {
    "disc": {"expected_dice": 0.9, "disagreement": 0.05},
    "cup": {"expected_dice": math.nan, "disagreement": math.nan},
}


def labels_2d() -> np.ndarray:
    labels = np.zeros((20, 20), np.uint8)
    labels[4:14, 5:15] = 1
    labels[6:11, 8:10] = 2
    return labels


def complete(numbers: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The parts of a record that do not follow from the labels."""
    prompts = {
        "task": "eye <b>",
        "templates": [
            {"id": "one", "used": {"disc": 3, "cup": 1}, "provenance": {"file": "x.png", "slice": 4}},
            {"id": "two", "used": {}},
        ],
        "note": "Nothing else.",
    }
    base = {
        "case": "a<script>",
        "source": {"format": "DICOM", "files": 7, "series_number": 2, "notes": ["Series 3 was left out."]},
        "grid": {"shape": [20, 20], "spacing_mm": None},
        "weights": {"name": "toy", "purpose": "research", "sha256": "0" * 64},
        "engine": {"engine": "torch"},
        "settings": {"templates": 3, "consistency": None},
        "carried": [],
        "versions": {"torch": "2"},
        "prompts": prompts,
        "files": ["a_seg.png"],
    }
    return base | numbers | changes


def render(tmp_path: Path, record: dict[str, Any], **pictures: Path) -> str:
    write_report(tmp_path / "report.html", record, pictures, "areas.json")
    return (tmp_path / "report.html").read_text(encoding="utf-8")


def test_picture_report_leads_with_the_ratio(tmp_path):
    record = complete(describe_picture(labels_2d(), (DISC, CUP), SURE, (0.5, 0.5)))
    page = render(tmp_path, record)
    body = page.index("<body>")
    headline = page.index("Vertical cup-to-disc ratio 0.50", body)
    banner = page.index("not for diagnosis", body)
    assert banner < headline < page.index("<table>")
    assert "Optic disc structure (SCT 81016008)" in page and "Disc includes cup" in page
    assert "25.00" in page and "25.00%" in page  # mm2 and share of the disc with its cup
    assert "0.90" in page and "unknown" in page
    assert "a&lt;script&gt;" in page and "<script>" not in page and "eye &lt;b&gt;" in page
    assert "disc (3), cup" in page and "file x.png, slice 4" in page and "not used" in page
    assert "Series 3 was left out." in page and "areas.json" in page and "a_seg.png" in page


def test_volume_report_names_sides(tmp_path):
    labels = np.zeros((20, 20, 4), np.uint8)
    labels[4:14, 2:6, 1:3] = 1
    labels[4:14, 14:18, 1:3] = 1
    voxels = np.full(labels.shape, 40.0)
    record = complete(describe_volume(voxels, labels, 20.0, 1000.0, (DISC, CUP), SURE))
    page = render(tmp_path, record)
    assert record["sides"]["midline_column"] == 10 and record["voxel_mm3"] == 1000
    assert "Disc 160 mL, cup not found" in page and "right 80.0 mL (50%)" in page
    assert "Cup was not found anywhere." in page and "middle of the body" in page


def test_pictures_are_inside_the_page(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "slices.png")
    record = complete(describe_picture(labels_2d(), (DISC, CUP), SURE))
    page = render(tmp_path, record, slices=tmp_path / "slices.png")
    assert page.count("data:image/png;base64,") == 1 and "http" not in page
    with pytest.raises(InputError, match="none.png: expected a picture"):
        render(tmp_path, record, slices=tmp_path / "none.png")


def test_empty_picture_says_so(tmp_path):
    nothing = describe_picture(np.zeros((20, 20), np.uint8), (DISC, CUP), SURE)
    page = render(tmp_path, complete(nothing))
    assert nothing["empty"] and nothing["cup_to_disc"] is None
    assert "Nothing found: no disc or cup in this picture" in page


def test_unknown_numbers_are_none():
    rows = merge_rows((DISC, CUP), [{"area_px": 1}, {"area_px": 2}], SURE)
    assert [row["expected_dice"] for row in rows] == [0.9, None]
    assert rows[0]["code"] == {"scheme": "SCT", "value": "81016008", "meaning": "Optic disc structure"}
    assert rows[1]["parent"] == "disc" and rows[1]["area_px"] == 2


def test_input_of_a_picture(tmp_path):
    case = Case(tmp_path / "eye.png", "picture", None, "eye")
    described = describe_input(case, np.zeros((3, 4, 3), np.uint8), None)
    assert described["grid"] == {"shape": [3, 4], "spacing_mm": None}
    assert described["source"] == {"format": "picture", "name": "eye.png"}
