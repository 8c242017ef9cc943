"""The WSI bundle behind MONAI Label: requests of QuPath and the Digital Slide Archive, over HTTP."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import requests
import shapely
from label_servers import ANSWER_S, ROOT, label_python, label_server
from phantoms.pyramid import write_pyramid
from phantoms.slides import NATIVE_MPP, build_slide
from PIL import Image

pytestmark = [pytest.mark.slow, pytest.mark.weights, pytest.mark.timeout(3600)]
BUNDLE = ROOT / "bundles" / "wsi_scale_selector"
MODEL = "wsi_scale_selector"
SIZE_PX = 2048
REGION = (512, 256, 1024, 1536)
"""x, y, width, height."""


class Served(NamedTuple):
    url: str
    studies: Path
    bundle: Path


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A small slide; ten points are searched instead of a hundred."""
    label_python()
    root = tmp_path_factory.mktemp("label")
    studies, bundle = root / "slides", root / "wsi_scale_selector"
    for folder in (studies, bundle / "configs"):
        folder.mkdir(parents=True)
    for name in ("models", "scale_selector"):
        (bundle / name).symlink_to(BUNDLE / name)
    for file in (BUNDLE / "configs").iterdir():
        (bundle / "configs" / file.name).write_text(file.read_text())
    config = json.loads((bundle / "configs" / "inference.json").read_text()) | {"points": 10}
    (bundle / "configs" / "inference.json").write_text(json.dumps(config))
    slide = build_slide(7, (SIZE_PX, SIZE_PX))
    write_pyramid(studies / "slide_7.svs", slide.pyramid(), NATIVE_MPP)
    Image.fromarray(slide.render(0, 0, 1536, 1536)).save(studies.parent / "patch.png")
    (studies / "broken.svs").write_bytes(b"no slide")
    with label_server(bundle, studies) as url:
        yield Served(url, studies, bundle)


def qupath(
    served: Served, region: tuple[int, int, int, int] = (0, 0, 0, 0), **more: Any
) -> requests.Response:
    """What QuPath posts for a slide that the server has."""
    body = {"level": 0, "location": region[:2], "size": region[2:], "tile_size": [1024, 1024]}
    params = {"foreground": [], "background": [], "max_workers": 1, **more}
    address = f"{served.url}/infer/wsi/{MODEL}?output=asap&image=slide_7"
    return requests.post(address, json=body | {"min_poly_area": 30, "params": params}, timeout=ANSWER_S)


def asap_polygons(answer: requests.Response) -> list[tuple[str, shapely.Polygon]]:
    """As QuPath reads them: name and corners of each Annotation."""
    assert answer.status_code == 200, answer.text
    found = []
    for annotation in ET.fromstring(answer.text).iter("Annotation"):
        corners = [(float(one.attrib["X"]), float(one.attrib["Y"])) for one in annotation.iter("Coordinate")]
        int(annotation.attrib["Color"].removeprefix("#"), 16)
        found.append((annotation.attrib["Name"], shapely.Polygon(corners)))
    return found


def areas(polygons: list[tuple[str, shapely.Polygon]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, polygon in polygons:
        found[name] = found.get(name, 0.0) + polygon.area
    return {name: round(area) for name, area in sorted(found.items())}


@pytest.fixture(scope="module")
def whole(served: Served) -> list[tuple[str, shapely.Polygon]]:
    return asap_polygons(qupath(served))


def test_qupath_finds_the_slide_and_the_model(served):
    assert requests.head(f"{served.url}/datastore/image?image=slide_7", timeout=60).status_code == 200
    assert requests.head(f"{served.url}/datastore/image?image=other", timeout=60).status_code == 404
    model = requests.get(f"{served.url}/info/", timeout=60).json()["models"][MODEL]
    assert model["pathology"] and not model["nuclick"] and model["type"] == "segmentation"
    labels = json.loads((BUNDLE / "configs" / "labels.json").read_text())
    assert model["labels"] == {row["name"]: row["value"] for row in labels}


def test_polygons_are_those_of_bundle_run(whole, served, tmp_path):
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", "configs/inference.json"]
    command += ["--slide", str(served.studies / "slide_7.svs"), "--output_dir", str(tmp_path)]
    subprocess.run(command, cwd=served.bundle, check=True, capture_output=True)
    features = json.loads(next(tmp_path.glob("*.geojson")).read_text())["features"]
    shapes = [
        (row["properties"]["classification"]["name"], shapely.geometry.shape(row["geometry"]))
        for row in features
    ]
    assert shapes and areas(whole) == areas(shapes)


def test_a_region_is_answered_from_the_remembered_verdict(whole, served):
    answer = qupath(served, REGION)
    x, y, width, height = REGION
    frame = shapely.box(x, y, x + width, y + height)
    found = asap_polygons(answer)
    assert found and all(polygon.within(frame.buffer(1e-6)) for _, polygon in found)
    expected = [(name, shapely.intersection(polygon, frame)) for name, polygon in whole]
    same = sum(shapely.intersection(a, b).area for n, a in found for m, b in expected if n == m)
    share = same / sum(polygon.area for _, polygon in expected)
    print(f"share of the region with the class of the whole slide's map: {share:.3f}")
    assert share > 0.75
    root = ET.fromstring(answer.text).find("Annotations")
    assert root is not None and [root.attrib[key] for key in "XYWH"] == [str(value) for value in REGION]
    assert "weights, not for diagnosis" in root.attrib["Description"]


def test_digital_slide_archive_gets_the_same_polygons(served, whole):
    body = {"level": 0, "location": [0, 0], "size": [0, 0], "tile_size": [2048, 2048], "min_poly_area": 30}
    address = f"{served.url}/infer/wsi/{MODEL}?output=dsa&image=slide_7"
    answer = requests.post(address, json=body | {"params": {"wsi_tiles": None}}, timeout=ANSWER_S)
    elements = answer.json()["elements"]
    assert all(row["type"] == "polyline" and row["closed"] for row in elements)
    found = [(row["group"], shapely.Polygon([point[:2] for point in row["points"]])) for row in elements]
    assert areas(found) == areas(whole)


def test_json_tells_the_verdict_and_seconds(served):
    address = f"{served.url}/infer/wsi/{MODEL}?output=json&image=slide_7"
    body = {"location": REGION[:2], "size": REGION[2:]}
    answer = requests.post(address, json=body, timeout=ANSWER_S).json()
    assert answer["verdict"]["sentence"] and answer["class_map"]["reason"]
    assert answer["location"] == list(REGION[:2]) and answer["size"] == list(REGION[2:])
    assert answer["annotations"][0]["annotation"]["elements"]


def test_an_uploaded_patch_is_answered_in_its_own_pixels(served):
    """QuPath cuts a PNG where the server has not the slide."""
    wsi = {"level": 0, "location": [0, 0], "size": [0, 0], "tile_size": [1024, 1024], "min_poly_area": 30}
    with (served.studies.parent / "patch.png").open("rb") as file:
        form = {"file": ("patch.png", file), "wsi": (None, json.dumps(wsi | {"params": {"max_workers": 1}}))}
        answer = requests.post(f"{served.url}/infer/wsi_v2/{MODEL}?output=asap", files=form, timeout=ANSWER_S)
    bounds = np.array([polygon.bounds for _, polygon in asap_polygons(answer)])
    assert bounds.min() >= 0 and bounds.max() <= 1536


def test_refusals_are_one_line(served):
    broken, unknown = (
        f"{served.url}/infer/wsi/{MODEL}?output=asap&image={name}" for name in ("broken", "nobody")
    )
    cases = [
        (
            qupath(served, (9000, 9000, 100, 100)),
            422,
            "region: expected a part of the slide's 2048 x 2048 px",
        ),
        (qupath(served, map_scale="large"), 422, "large"),
        (qupath(served, mpp="half"), 422, "mpp: expected a positive number, got 'half'"),
        (requests.post(broken, json={}, timeout=ANSWER_S), 422, "broken.svs"),
        (requests.post(unknown, json={}, timeout=ANSWER_S), 404, "expected the name of an image"),
    ]
    for answer, status, words in cases:
        assert answer.status_code == status and words in answer.json()["detail"], answer.text
        assert "\n" not in answer.json()["detail"]
