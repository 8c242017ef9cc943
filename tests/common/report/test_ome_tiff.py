"""Round trip through tifffile, and the colours that OpenSlide shows."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import openslide
import pytest
import tifffile

from common.errors import ConfigError, OutputError
from common.report.ome_tiff import write_label_ome_tiff

NAMES = ("adipose", "tumour <&> µ")
TABLE = [SimpleNamespace(value=i, name=name, color=(200 + i, 10 * i, 30)) for i, name in enumerate(NAMES)]
OME = "{http://www.openmicroscopy.org/Schemas/OME/2016-06}"


def make_labels(shape: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(0).integers(-1, 2, shape)


@pytest.mark.parametrize(("shape", "levels"), [((7, 11), 2), ((300, 700), 3), ((1100, 20), 4)])
def test_labels_return_at_every_level(tmp_path: Path, shape: tuple[int, int], levels: int) -> None:
    labels = make_labels(shape)
    write_label_ome_tiff(tmp_path / "map.ome.tif", labels, 112.5, TABLE)
    with tifffile.TiffFile(tmp_path / "map.ome.tif") as file:
        series = file.series[0]
        assert series.kind == "ome" and len(series.levels) == levels and file.pages[0].is_tiled
        for power, level in enumerate(series.levels):
            step = 2**power
            np.testing.assert_array_equal(level.asarray().astype(int) - 1, labels[::step, ::step])


def test_size_and_names_are_in_the_xml(tmp_path: Path) -> None:
    members = {"weights": {"name": "w", "purpose": "research"}, "note": "plain"}
    write_label_ome_tiff(tmp_path / "map.ome.tif", make_labels((7, 11)), 112.5, TABLE, members)
    with tifffile.TiffFile(tmp_path / "map.ome.tif") as file:
        root = ElementTree.fromstring(str(file.ome_metadata))
    pixels = root.find(f".//{OME}Pixels")
    assert pixels is not None and pixels.get("Type") == "uint8"
    for axis in "XY":
        assert float(str(pixels.get(f"PhysicalSize{axis}"))) == 112.5
        assert pixels.get(f"PhysicalSize{axis}Unit") == "µm"
    found = {pair.get("K"): pair.text for pair in root.iter(f"{OME}M")}
    assert {key: found[key] for key in "012"} == {"0": "not read", "1": NAMES[0], "2": NAMES[1]}
    assert json.loads(str(found["weights"])) == members["weights"] and found["note"] == "plain"


def test_unknown_resolution_claims_no_size(tmp_path: Path) -> None:
    write_label_ome_tiff(tmp_path / "map.ome.tif", make_labels((7, 11)), None, TABLE)
    with tifffile.TiffFile(tmp_path / "map.ome.tif") as file:
        assert "PhysicalSize" not in str(file.ome_metadata)


def test_openslide_shows_the_class_colours(tmp_path: Path) -> None:
    labels = make_labels((300, 700))
    write_label_ome_tiff(tmp_path / "map.ome.tif", labels, 112.5, TABLE)
    with openslide.OpenSlide(tmp_path / "map.ome.tif") as slide:
        assert slide.dimensions == (700, 300)
        shown = np.asarray(slide.read_region((0, 0), 0, (700, 300)).convert("RGB"))
    colors = np.array([*(label.color for label in TABLE), (255, 255, 255)])
    np.testing.assert_array_equal(shown, colors[labels])


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="labels: expected at most 255 classes .* got 256"):
        write_label_ome_tiff(tmp_path / "map.ome.tif", make_labels((2, 2)), 1.0, TABLE * 128)
    (tmp_path / "map.ome.tif").mkdir()
    with pytest.raises(OutputError, match=r"map.ome.tif: expected a writable place"):
        write_label_ome_tiff(tmp_path / "map.ome.tif", make_labels((2, 2)), 1.0, TABLE)
    assert [path.name for path in tmp_path.iterdir()] == ["map.ome.tif"]
