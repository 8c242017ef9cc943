"""report.html says what result.json says, escaped, in one file without network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from common.errors import InputError
from mmbcd.report import write_report

REGION = {"rank": 1, "box_px": (10.0, 20.0, 110.0, 70.0), "attention": 0.625, "detector_score": 0.4321}


def score(value: float | None, change: float | None = None, **more: Any) -> dict[str, Any]:
    alone = None if value is None else value - (change or 0)
    used = "missing" if change is None else "used"
    base = {"score": value, "image_only_score": alone, "history_change": change, "history": used}
    return base | {"probability": None, "suspicious": None} | more


def make_record(**changes: Any) -> dict[str, Any]:
    view = {
        "name": "L CC",
        "file": "x<1>.dcm",
        "laterality": "L",
        "spacing_mm": (0.1, 0.2),
        "notes": ["A note."],
    }
    base = {
        "case": "a<script>",
        "source": {"format": "DICOM", "left_out": [], "notes": ["Two copies."]},
        "study": score(0.7, 0.1),
        "breasts": [score(0.7, 0.1) | {"laterality": "L", "views": ["L CC"]}],
        "images": [score(0.7, 0.1) | view | {"regions": [REGION]}],
        "rules": {"breast": "max", "study": "max"},
        "calibration": None,
        "history": {"status": "used", "source": "given", "length": 9, "reason": "", "notes": []},
        "weights": {"name": "toy", "purpose": "demonstration", "sha256": "0" * 64},
        "detector": {"name": "boxes of b.json", "purpose": "given"},
        "engine": {"engine": "torch"},
        "settings": {"attention": True},
        "versions": {"torch": "2"},
        "seconds": {"score": 0.5},
        "files": ["overview.png"],
    }
    return base | changes


@pytest.fixture
def pictures(tmp_path: Path) -> dict[str, Path]:
    paths = {name: tmp_path / f"{name}.png" for name in ("overview", "L CC")}
    for path in paths.values():
        Image.new("RGB", (4, 4)).save(path)
    return paths


def render(pictures: dict[str, Path], **changes: Any) -> str:
    path = pictures["overview"].with_name("report.html")
    write_report(path, make_record(**changes), pictures)
    return path.read_text(encoding="utf-8")


def test_the_verdict_stands_first(pictures: dict[str, Path]):
    page = render(pictures)
    places = [
        page.index(text, page.index("<body>"))
        for text in ("Demonstration weights, not for diagnosis", "Malignancy score 0.70", "<img", "<table>")
    ]
    assert places == sorted(places)
    assert "It raised the score of the left breast from 0.60 (picture alone) to 0.70." in page
    assert "There is no picture of the right breast." in page


def test_everything_is_escaped_and_inside(pictures: dict[str, Path]):
    page = render(pictures)
    assert "<script>" not in page and "a&lt;script&gt;" in page and "x&lt;1&gt;.dcm" in page
    assert page.count("data:image/png;base64,") == 2 and "http" not in page


def test_regions_have_places_and_sizes(pictures: dict[str, Path]):
    page = render(pictures)
    assert "column 10 to 110, row 20 to 70" in page and "20 x 5 mm" in page  # columns 0.2 mm, rows 0.1 mm
    assert "62%" in page and "0.432" in page and "A note." in page and "Two copies." in page


def test_raw_scores_have_no_probability(pictures: dict[str, Path]):
    page = render(pictures)
    assert "No calibration was given" in page and "Operating point" not in page


def test_calibrated_scores(pictures: dict[str, Path]):
    called = score(0.7, 0.1, probability=0.55, suspicious=True)
    point = {"threshold": 0.5, "rule": "r", "sensitivity": 0.9, "specificity": 0.8}
    level = {"method": "isotonic", "cases": 50, "malignant": 9, "operating_point": point}
    calibration = {"levels": {"study": level}, "fitted_on": "our validation"}
    page = render(pictures, study=called, calibration=calibration)
    assert "probability of malignancy 55%" in page and '<tr class="alert">' in page
    assert "our validation" in page and "50 validation cases" in page


def test_the_history_is_shown_where_the_record_has_it(pictures: dict[str, Path]):
    assert "as it was used" not in render(pictures)
    shown = {"status": "used", "source": "given", "length": 9, "reason": "", "notes": [], "text": "a <lump>"}
    assert "a &lt;lump&gt;" in render(pictures, history=shown)


def test_a_view_without_regions(pictures: dict[str, Path]):
    view = make_record()["images"][0] | score(None) | {"regions": [], "spacing_mm": None, "notes": []}
    page = render(pictures, images=[view])
    assert "No region was found in this view" in page and "Size at the detector" not in page


def test_a_missing_picture_is_refused(pictures: dict[str, Path]):
    pictures["L CC"].unlink()
    with pytest.raises(InputError, match="L CC.png: expected a picture"):
        render(pictures)
