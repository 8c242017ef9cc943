"""report.html for each verdict, read back with an HTML parser, and the files of a class map."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from common.errors import InputError, OutputError
from scale_selector.class_map import ClassMap
from scale_selector.classifier import Label
from scale_selector.pictures import (
    build_scale_axis,
    choose_points,
    draw_class_map,
    draw_search,
    read_panels,
)
from scale_selector.report import write_class_map, write_report
from scale_selector.verdict import DECIDED, EQUIVALENT, NO_FIT, WIDEN
from scale_selector.wording import headline

LABELS = (
    Label(0, "adipose", (230, 159, 0), None),
    Label(1, "lymphocytes", (0, 114, 178), None),
    Label(2, "tumour <b>&", (213, 94, 0), None),
)
MAGNIFICATIONS = (10, 12, 14, 17, 20, 25, 30, 35, 43)
HEADLINES = {
    DECIDED: "Decided: read this slide at x20 (0.50 µm per pixel)",
    WIDEN: "Widen the search towards lower magnifications",
    EQUIVALENT: "Scales equivalent: the scale makes no difference here",
    NO_FIT: "This classifier does not fit this slide",
}


def make_scores(points: int = 40, peak: int = 4) -> np.ndarray:
    """(P, N, C): class k % 3 wins; with a hill around the peak; some have a slope or are flat."""
    rng = np.random.default_rng(3)
    scores = rng.normal(-1.5, 0.1, (points, len(MAGNIFICATIONS), len(LABELS)))
    places = np.arange(len(MAGNIFICATIONS))
    for k in range(points):
        hill = 2 - 0.15 * (places - peak - rng.integers(-1, 2)) ** 2
        curve = {3: 0.25 * places, 4: np.full(len(places), 1.0)}.get(k % 5, hill)
        scores[k, :, k % 3] = curve
    return scores


def make_points(scores: np.ndarray) -> list[dict[str, Any]]:
    rows = []
    for k, curves in enumerate(scores):
        curve = curves.max(axis=1)
        proposed = int(curve.argmax())
        shape = {3: "increasing", 4: "flat"}.get(k % 5, "convex")
        rows.append(
            {
                "x_px": 600.0 + 20 * k,
                "y_px": 700.0 + 20 * k,
                "proposed": proposed,
                "shape": shape,
                "class": LABELS[k % 3].name,
                "margin": float(curve[proposed]),
                "prominence": 0.0 if shape != "convex" else 1.0 + k / 100,
                "curve": curve.tolist(),
            }
        )
    return rows


def make_scale(decision: str = DECIDED, mpp: float | None = 0.25) -> dict[str, Any]:
    """A scale.json as the pipeline makes it."""
    scales = [
        {
            "name": f"x{x}",
            "mpp": None if mpp is None else 10 / x,
            "magnification": None if mpp is None else float(x),
            "downsample": 40 / x,
            "upsampled": x > 40,
        }
        for x in MAGNIFICATIONS
    ]
    points = make_points(make_scores())
    histogram = np.bincount([row["proposed"] for row in points], minlength=len(scales)).tolist()

    def at(index: int | None) -> dict[str, Any]:
        row = {"name": None, "mpp": None, "downsample": None} if index is None else scales[index]
        return {"index": index, **{key: row[key] for key in ("name", "mpp", "downsample")}}

    chosen = scales[4] if decision == DECIDED else dict.fromkeys(scales[4])
    return {
        "slide": {
            "name": "a <script>.svs",
            "format": "aperio",
            "width_px": 8000,
            "height_px": 6000,
            "mpp": mpp,
        },
        "classifier": {
            "name": "densenet",
            "version": "1",
            "size_px": 224,
            "training_mpp": 0.5,
            "purpose": "x",
        },
        "weights": {"name": "densenet", "sha256": "ab" * 32, "purpose": "demonstration"},
        "engine": {"engine": "openvino", "precision": "bf16", "device": "cpu", "version": "2026"},
        "settings": {
            "criterion": "column_norm",
            "seed": 0,
            "scales": [f"x{x}" for x in MAGNIFICATIONS],
            "rule": {"a": 1},
        },
        "search": {
            "scales": scales,
            "points_requested": 40,
            "points_used": 40,
            "points_rejected": {"field_of_view": 3},
            "widenings": 0,
        },
        "points": points,
        "vote": {"histogram": histogram, "winner": 4, "name": "x20", "share": 0.4},
        "aggregations": {"vote": at(4), "interior_vote": at(5), "mean_curve": at(None)},
        "bootstrap": {"resamples": 2000, "aggregation": "vote", "shares": [0.0] * 9, "low": 3, "high": 5},
        "verdict": {
            "decision": decision,
            "direction": "lower" if decision == WIDEN else None,
            "mpp": chosen["mpp"],
            "magnification": chosen["magnification"],
            "downsample": chosen["downsample"],
            "upsampled": chosen["upsampled"],
            "sentence": f"Plain words about '{decision}'.",
            "evidence": ["58% of the points lie beyond 0.4.", "x20 was chosen by 70% of 2000 resamples."],
        },
        "class_map": {
            "mpp": None if mpp is None else 0.5,
            "downsample": 2.0,
            "stride_px": 112,
            "reason": "the verdict",
            "areas_mm2": {
                row.name: None if mpp is None else area
                for row, area in zip(LABELS, (0.5, 1.5, 0.0), strict=True)
            },
            "files": ["class_map.geojson", "class_map.ome.tif"],
        },
        "seconds": {"total": 12.25},
        "versions": {"torch": "2.14.1"},
    }


def make_doctor(agrees: bool | None = False) -> dict[str, Any]:
    statements = [
        ("aperio.MPP", "0.25", 0.25, 0.25, None, ""),
        ("aperio.AppMag", "20", None, None, 20.0, ""),
        ("openslide.objective-power", "40", None, None, 40.0, ""),
        ("tiff.XResolution", "72 per inch", None, None, None, "a print resolution, no microscope"),
    ]
    names = ("source", "value", "mpp_x", "mpp_y", "magnification", "note")
    return {
        "statements": [dict(zip(names, row, strict=True)) for row in statements],
        "chosen": {"mpp": 0.25, "source": "aperio.MPP"},
        "contradictions": ["aperio.AppMag says x20, aperio.MPP says 0.25 um per pixel."],
        "content": {
            "agrees": agrees,
            "estimated_mpp": 0.5,
            "interval_mpp": [0.4, 0.6],
            "sentence": "The content looks as if a pixel measured 0.5 um.",
        },
    }


class Page(HTMLParser):
    """Text, tags and their attributes of a page; knows whether the tags close in order."""

    VOID = frozenset(("meta", "img", "br", "link"))

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.words.append(data)


@pytest.fixture
def pictures(tmp_path: Path) -> dict[str, Path]:
    paths = {name: tmp_path / f"{name}.png" for name in ("curves", "histogram", "class_map")}
    for path in paths.values():
        Image.new("RGB", (4, 4), "white").save(path)
    return paths


def render(tmp_path: Path, scale: dict[str, Any], doctor: dict[str, Any], pictures: dict[str, Path]) -> Page:
    write_report(tmp_path / "report.html", scale, doctor, pictures, LABELS)
    return Page((tmp_path / "report.html").read_text(encoding="utf-8"))


@pytest.mark.parametrize("decision", HEADLINES)
def test_the_verdict_comes_first_in_plain_words(
    tmp_path: Path, pictures: dict[str, Path], decision: str
) -> None:
    page = render(tmp_path, make_scale(decision), make_doctor(), pictures)
    assert not page.open
    tone = {DECIDED: "good", WIDEN: "caution", EQUIVALENT: "neutral", NO_FIT: "bad"}[decision]
    assert ("div", {"class": f"verdict {tone}"}) in page.tags
    body = page.text.partition("Scale of reading")[2]
    assert HEADLINES[decision] in body[:200]
    assert "Demonstration weights, not for diagnosis." in page.text
    assert "58% of the points" in page.text and "ab" * 32 in page.text and "bf16" in page.text


def test_one_file_without_scripts_or_network(tmp_path: Path, pictures: dict[str, Path]) -> None:
    page = render(tmp_path, make_scale(), make_doctor(), pictures)
    sources = [attributes["src"] for tag, attributes in page.tags if tag == "img"]
    assert len(sources) == 3 and all(
        (source or "").startswith("data:image/png;base64,") for source in sources
    )
    assert not {"script", "link", "iframe"} & {tag for tag, _ in page.tags}
    assert "http" not in (tmp_path / "report.html").read_text(encoding="utf-8").replace("http-equiv", "")
    assert "a <script>.svs" in page.text and "tumour <b>&" in page.text


def test_contradictions_stand_out(tmp_path: Path, pictures: dict[str, Path]) -> None:
    page = render(tmp_path, make_scale(), make_doctor(), pictures)
    assert [tag for tag in page.tags if tag[1].get("class") == "alert"] == [("tr", {"class": "alert"})]
    assert "aperio.AppMag 20 x20 contradicts" in page.text
    assert "openslide.objective-power 40 x40 agrees" in page.text
    assert "a print resolution, no microscope" in page.text
    assert ("p", {"class": "alert-text"}) in page.tags
    calm = make_doctor(agrees=True) | {"contradictions": [], "statements": []}
    page = render(tmp_path, make_scale(), calm, pictures)
    assert "The file says nothing about its resolution." in page.text
    assert "alert-text" not in [attributes.get("class") for _, attributes in page.tags]


def test_areas_and_points_are_summed_up(tmp_path: Path, pictures: dict[str, Path]) -> None:
    text = render(tmp_path, make_scale(), make_doctor(), pictures).text
    assert "lymphocytes 1.500 75.0 % adipose 0.500 25.0 % 2.00 mm² of tissue were read" in text
    assert "increasing best at the highest magnification that was tried 8 20%" in text
    assert "flat the scale makes no difference 8 20%" in text
    assert "Vote of all points (the paper's rule) x20 (0.50 µm per pixel) used for the verdict" in text
    assert "Peak of the mean curve no point has a say" in text


@pytest.mark.parametrize("decision", HEADLINES)
def test_unknown_resolution_claims_no_microns(
    tmp_path: Path, pictures: dict[str, Path], decision: str
) -> None:
    scale = make_scale(decision, mpp=None)
    scale["classifier"]["training_mpp"] = None
    doctor = make_doctor(None) | {
        "statements": [],
        "chosen": {"mpp": None, "source": None},
        "contradictions": [],
    }
    text = render(tmp_path, scale, doctor, pictures).text
    assert "µm per pixel" not in text and "mm²" not in text and "unknown" in text
    assert "The content looks as if" in text.partition("What the classifier sees")[0]
    if decision == DECIDED:
        assert "Decided: read this slide shrunk 2.00 times" in text


def test_no_map_no_pictures(tmp_path: Path) -> None:
    scale = make_scale(NO_FIT) | {"class_map": None}
    page = render(tmp_path, scale, make_doctor(), {})
    assert "What the classifier sees" not in page.text and "img" not in [tag for tag, _ in page.tags]


def test_missing_picture_and_unwritable_folder(tmp_path: Path, pictures: dict[str, Path]) -> None:
    with pytest.raises(InputError, match="gone.png: expected a picture"):
        write_report(
            tmp_path / "r.html", make_scale(), make_doctor(), {"curves": tmp_path / "gone.png"}, LABELS
        )
    (tmp_path / "report.html").mkdir()
    with pytest.raises(OutputError, match=r"report.html: expected a writable place"):
        write_report(tmp_path / "report.html", make_scale(), make_doctor(), pictures, LABELS)
    assert not (tmp_path / "r.html").exists()


def test_clinical_weights_carry_no_banner(tmp_path: Path, pictures: dict[str, Path]) -> None:
    scale = make_scale()
    scale["weights"]["purpose"] = "clinical"
    assert "not for diagnosis" not in render(tmp_path, scale, make_doctor(), pictures).text


@pytest.mark.parametrize(
    ("mpp", "downsample", "words"),
    [
        (0.2, 0.8, "at x50 (0.20 µm per pixel)"),
        (None, 0.8, "enlarged 1.25 times"),
        (None, 1.0, "at its full resolution"),
        (None, 2.5, "shrunk 2.50 times"),
    ],
)
def test_scales_in_words(mpp: float | None, downsample: float, words: str) -> None:
    verdict = {"decision": DECIDED, "mpp": mpp, "downsample": downsample}
    assert headline(verdict) == f"Decided: read this slide {words}"


def test_enlarged_pixels_are_mentioned(tmp_path: Path, pictures: dict[str, Path]) -> None:
    scale = make_scale()
    assert "Plain words" not in render(tmp_path, scale, make_doctor(), pictures).text
    scale["verdict"]["upsampled"] = True
    assert "Plain words about 'decided'." in render(tmp_path, scale, make_doctor(), pictures).text


def test_axis_of_scales() -> None:
    axis = build_scale_axis(make_scale())
    assert axis.ticks[4] == "x20\n0.50" and (np.diff(axis.positions) > 0).all()
    assert axis.training == pytest.approx(axis.positions[4])
    assert axis.native is not None and axis.positions[-2] < axis.native < axis.positions[-1]
    unknown = build_scale_axis(make_scale(mpp=None))
    assert (
        unknown.ticks[4] == "2"
        and unknown.training is None
        and unknown.title == "slide pixels per patch pixel"
    )


def test_chosen_points_differ() -> None:
    points = make_points(make_scores())
    chosen = choose_points(points)
    kinds = {(points[k]["shape"], points[k]["class"]) for k in chosen}
    assert len(chosen) == 6 and len(kinds) == 6
    assert [points[k]["shape"] for k in chosen] == ["convex"] * 3 + ["increasing"] * 3
    assert choose_points(points[:2]) == [1, 0]


class FakeSlide:
    """Remembers what was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def read_square(self, center: tuple[float, float], downsample: float, size: int) -> np.ndarray:
        self.asked.append((center, downsample, size))
        return np.full((size, size, 3), 200, dtype=np.uint8)


@pytest.mark.parametrize("classes", [3, 1])
def test_pictures_of_the_search(tmp_path: Path, classes: int) -> None:
    scale, scores = make_scale(), make_scores()[:, :, :classes]
    slide = FakeSlide()
    panels = read_panels(slide, scale, scores)  # type: ignore[arg-type]
    point = scale["points"][choose_points(scale["points"])[0]]
    step = scale["search"]["scales"][point["proposed"]]["downsample"]
    assert slide.asked[0] == ((point["x_px"], point["y_px"]), step, 224)
    assert panels[0].title.endswith(f": peak at x{MAGNIFICATIONS[point['proposed']]}")
    drawn = draw_search(tmp_path, scale, panels, LABELS)
    assert sorted(path.name for path in drawn.values()) == ["curves.png", "histogram.png"]
    for path in drawn.values():
        assert Image.open(path).size[0] >= 1000


def make_map(mpp: float | None = 0.25) -> ClassMap:
    labels = np.array([[0, 0, 1], [0, -1, 1]])
    probabilities = np.zeros((3, 2, 3), dtype=np.float32)
    for row, column in np.ndindex(labels.shape):
        if labels[row, column] >= 0:
            probabilities[labels[row, column], row, column] = 0.8
    counts = (labels >= 0).astype(np.uint16)
    return ClassMap(probabilities, counts, 200.0, 100, 2.0, (550.0, 400.0), mpp)


@pytest.mark.parametrize("mpp", [0.25, None])
def test_files_of_the_class_map(tmp_path: Path, mpp: float | None) -> None:
    weights = make_scale()["weights"]
    paths = write_class_map(tmp_path, make_map(mpp), LABELS, weights)
    collection = json.loads(paths["geojson"].read_text(encoding="utf-8"))
    assert collection["weights"] == weights
    names = [feature["properties"]["classification"]["name"] for feature in collection["features"]]
    assert names == ["adipose", "lymphocytes"]
    with tifffile.TiffFile(paths["ome_tiff"]) as file:
        assert file.series[0].asarray().tolist() == [[1, 1, 2], [1, 0, 2]]
        assert ('PhysicalSizeX="50.0"' in (file.ome_metadata or "")) == (mpp is not None)
        assert "not for diagnosis" not in (file.ome_metadata or "") and "demonstration" in (
            file.ome_metadata or ""
        )


@pytest.mark.parametrize("mpp", [0.25, None])
def test_picture_of_the_class_map(tmp_path: Path, mpp: float | None) -> None:
    thumbnail = np.full((400, 550, 3), 230, dtype=np.uint8)
    drawn = draw_class_map(tmp_path, make_scale(), make_map(mpp), thumbnail, LABELS)
    assert drawn["class_map"].name == "class_map.png" and Image.open(drawn["class_map"]).size[0] >= 1000
