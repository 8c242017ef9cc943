"""Generated slides: known wavelengths, a truth that matches the picture, files that readers understand."""

from __future__ import annotations

import json
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import openslide
import pytest
import shapely
from phantoms import histology
from phantoms.layout import Layout, draw_layout, geojson, path_dt_msu
from phantoms.noise import band_noise, sample, scale_free_noise, window
from phantoms.pyramid import build_pyramid, write_pyramid
from phantoms.shapes import Shapes, blobs, scatter
from phantoms.slides import NATIVE_MPP, PhantomSlide, build_slide
from phantoms.tissues import FAMILIES, Maker
from scipy.spatial import cKDTree

from common.errors import ConfigError
from common.io.slide import open_slide

SIZE = (2048, 1536)


@pytest.fixture(scope="module")
def slide() -> PhantomSlide:
    return build_slide(7, SIZE)


@pytest.fixture(scope="module")
def pyramid(slide):
    return slide.pyramid()


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def radial_peak_px(picture: np.ndarray) -> float:
    """Wavelength where the power per frequency ring (not per cell) is largest."""
    power = np.abs(np.fft.fft2(picture - picture.mean())) ** 2
    frequency = np.fft.fftfreq(picture.shape[0])
    radius = np.hypot(frequency[:, None], frequency[None, :])
    bins = np.linspace(0.004, 0.3, 60)
    mean = [power[(radius >= a) & (radius < b)].mean() for a, b in pairwise(bins)]
    return float(1 / (bins[:-1] + np.diff(bins) / 2)[int(np.argmax(mean))])


@pytest.mark.parametrize("wavelength_px", [8.0, 20.0])
def test_band_noise_has_its_wavelength_and_no_seam(rng, wavelength_px):
    noise = band_noise(rng, 256, wavelength_px)
    assert noise.std() == pytest.approx(1, abs=1e-3)
    assert radial_peak_px(noise) == pytest.approx(wavelength_px, rel=0.15)
    steps = np.abs(np.diff(noise, axis=0)).max()
    assert np.abs(noise[0] - noise[-1]).max() <= steps * 1.1


def test_scale_free_noise_has_the_same_variance_in_every_octave(rng):
    noise = scale_free_noise(rng, 1024)
    power = np.abs(np.fft.fft2(noise)) ** 2
    frequency = np.fft.fftfreq(1024)
    radius = np.hypot(frequency[:, None], frequency[None, :])
    octaves = [power[(radius >= 2.0**-k) & (radius < 2.0 ** (1 - k))].sum() for k in range(2, 8)]
    assert max(octaves) / min(octaves) < 1.3


def test_window_and_sample_continue_the_tile(rng):
    tile = rng.standard_normal((16, 16)).astype(np.float32)
    assert np.array_equal(window(tile, -3, 30, 5, 4), np.roll(tile, (-14, 3), (0, 1))[:4, :5])
    x, y = np.meshgrid(np.arange(-3, 2), np.arange(30, 34))
    assert np.allclose(sample(tile, x, y), window(tile, -3, 30, 5, 4), atol=1e-5)
    assert sample(tile, np.zeros((1, 0)), np.zeros((1, 0))).shape == (1, 0)


def test_scatter_has_the_density_of_its_spacing(rng):
    places = scatter(rng, (4000, 4000), 40.0)
    inside = np.all((places >= 0) & (places < 4000), axis=1)
    assert inside.sum() == pytest.approx((4000 / 40) ** 2, rel=0.02)


def test_blobs_have_their_diameter(rng):
    shapes = blobs(rng, np.zeros((200, 2)), 30.0, 20.0, 0.0, (1.0, 0.5), size_spread=0, roughness=0)
    assert np.ptp(shapes.corners_px[..., 0]) == pytest.approx(30, rel=0.01)
    canvas = np.zeros((64, 64, 3), np.uint8)
    Shapes(shapes.corners_px[:1] + 32, np.array([[1.0, 0.5]])).paint(canvas, 0, 0)
    assert canvas[32, 32].tolist() == [100, 50, 255]
    assert (canvas[..., 2] > 127).sum() == pytest.approx(np.pi / 4 * 31 * 21, rel=0.03)  # borders included


@pytest.mark.parametrize(("name", "distance_um"), [("lymphocytes", 8.6), ("tumour", 8.6 * 1.6)])
def test_nuclei_lie_at_their_distance(rng, name, distance_um):
    layout = Layout(np.zeros((128, 128), np.uint8), (2048, 2048))
    texture = FAMILIES["twins"][name](Maker(rng, layout, 0, NATIVE_MPP, growth=1.0))
    centres_um = texture.shapes.corners_px[0::3].mean(axis=1) * NATIVE_MPP
    inside = np.all((centres_um >= 0) & (centres_um < 512), axis=1)
    assert 512 / np.sqrt(inside.sum()) == pytest.approx(distance_um, rel=0.03)
    assert np.median(cKDTree(centres_um).query(centres_um, k=2)[0][:, 1]) > 0.5 * distance_um


def test_same_seed_same_slide_and_blocks_agree(slide):
    again = build_slide(7, SIZE)
    whole = slide.render(0, 0, 1024, 512)
    assert np.array_equal(whole, again.render(0, 0, 1024, 512))
    assert np.array_equal(whole[256:, 512:], again.render(512, 256, 512, 256))
    assert not np.array_equal(slide.layout.labels, build_slide(9, SIZE).layout.labels)


def test_every_tissue_appears_on_a_slide_of_usual_size(rng):
    layout = draw_layout(rng, (10240, 8192), NATIVE_MPP, list(range(7)), 7)
    assert np.unique(layout.labels).tolist() == list(range(8))
    shares = layout.weights(3200, 3200, 640, 320)
    assert np.allclose(sum(shares.values()), 1, atol=1e-5)


def test_annotations_cover_the_slide_and_agree_with_the_labels(slide):
    shapes = [
        (feature["properties"]["classification"]["name"], shapely.geometry.shape(feature["geometry"]))
        for feature in geojson(slide.layout, slide.names)["features"]
    ]
    assert sum(shape.area for _, shape in shapes) == pytest.approx(SIZE[0] * SIZE[1], rel=0.02)
    points = np.random.default_rng(1).uniform(40, [SIZE[0] - 40, SIZE[1] - 40], (300, 2))
    names = [next((n for n, shape in shapes if shape.contains(shapely.Point(p))), None) for p in points]
    truth = [slide.names[int(value)] for value in slide.layout.at(*points.T)]
    assert np.mean([a == b for a, b in zip(names, truth, strict=True)]) > 0.97


def test_path_dt_msu_form_cuts_holes_open():
    labels = np.zeros((40, 60), np.uint8)
    labels[10:20, 10:30] = 1
    labels[25:30, 40:50] = 1
    pieces = path_dt_msu(Layout(labels, (960, 640)), {0: "outer", 1: "inner"})
    areas = {"outer": 0.0, "inner": 0.0}
    for piece in pieces:
        areas[piece["class"]] += shapely.Polygon(piece["vertices"]).area
    assert areas["inner"] == pytest.approx(250 * 256, rel=0.08)
    assert areas["outer"] == pytest.approx((2400 - 250) * 256, rel=0.04)


@pytest.mark.parametrize(
    ("metadata", "mpp", "power"), [("full", 0.25, "40"), ("none", None, None), ("wrong", 0.5, "20")]
)
def test_openslide_reads_what_the_file_states(tmp_path, pyramid, metadata, mpp, power):
    path = tmp_path / "a.svs"
    write_pyramid(path, pyramid, NATIVE_MPP, metadata)
    with openslide.OpenSlide(path) as file:
        assert file.properties["openslide.vendor"] == "aperio"
        assert file.dimensions == SIZE
        assert file.level_downsamples == (1, 2, 4, 8, 16)
        assert file.properties.get("openslide.objective-power") == power
        assert file.properties.get("openslide.mpp-x") == (None if mpp is None else str(mpp))
    with open_slide(path) as known:
        assert known.mpp == mpp


def test_generic_tiff_states_its_resolution(tmp_path, pyramid):
    write_pyramid(tmp_path / "a.tiff", pyramid, NATIVE_MPP, "full", "generic")
    with openslide.OpenSlide(tmp_path / "a.tiff") as file:
        assert file.properties["openslide.vendor"] == "generic-tiff"
        assert float(file.properties["openslide.mpp-x"]) == pytest.approx(0.25)
    write_pyramid(tmp_path / "b.tiff", pyramid, NATIVE_MPP, "none", "generic")
    with openslide.OpenSlide(tmp_path / "b.tiff") as file:
        assert "openslide.mpp-x" not in file.properties


def test_levels_show_the_same_picture(tmp_path, slide):
    write_pyramid(tmp_path / "a.svs", slide.pyramid("quarters"), NATIVE_MPP)
    with openslide.OpenSlide(tmp_path / "a.svs") as file:
        assert file.level_downsamples == (1, 4, 16)
        full = np.asarray(file.read_region((512, 512), 0, (512, 512)).convert("RGB"), float)
        quarter = np.asarray(file.read_region((512, 512), 1, (128, 128)).convert("RGB"), float)
    truth = slide.render(512, 512, 512, 512).astype(float)
    assert np.abs(full - truth).mean() < 6
    assert np.abs(full.reshape(128, 4, 128, 4, 3).mean((1, 3)) - quarter).mean() < 8


@pytest.mark.parametrize("family", ["foreign", "scale_free", "smooth", "twins"])
def test_other_families_render(family):
    block = build_slide(3, SIZE, family).render(512, 512, 512, 512)
    assert block.shape == (512, 512, 3)
    assert block.min() < 200


def test_command_line_writes_slides_and_annotations(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys.modules["_venv"], "enter_venv", lambda: None)
    assert histology.main(["--out", str(tmp_path), "--seed", "5", "--size", "1024x1024"]) == 0
    assert "phantom_5.svs" in capsys.readouterr().out
    content = json.loads((tmp_path / "annotations" / "phantom_5.json").read_text())
    assert {"class", "vertices"} == set(content[0])
    assert (tmp_path / "geojson" / "phantom_5.geojson").is_file()
    labels = json.loads((tmp_path / "labels.json").read_text())
    assert labels[0] == {"value": 0, "name": "adipose"}
    assert labels[-1]["name"] == "background"


def test_command_line_refuses_in_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys.modules["_venv"], "enter_venv", lambda: None)
    assert histology.main(["--out", str(tmp_path), "--size", "big"]) == 1
    assert capsys.readouterr().err.startswith("error: --size: expected WIDTHxHEIGHT")


def test_refusals(tmp_path, pyramid):
    with pytest.raises(ConfigError, match="family: expected one of tissue"):
        build_slide(1, SIZE, "plants")
    with pytest.raises(ConfigError, match="pyramid: expected one of halves"):
        build_pyramid(SIZE, "thirds", lambda *place: np.zeros(1))
    with pytest.raises(ConfigError, match="size: expected multiples of 16"):
        build_pyramid((1000, 2000), "halves", lambda *place: np.zeros(1))
    with pytest.raises(ConfigError, match="metadata: expected one of full"):
        write_pyramid(Path(tmp_path / "a.svs"), pyramid, 0.25, "some")
    with pytest.raises(ConfigError, match="vendor: expected aperio or generic"):
        write_pyramid(Path(tmp_path / "a.svs"), pyramid, 0.25, "full", "other")
