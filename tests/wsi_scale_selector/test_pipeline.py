"""A slide through the whole pipeline with a tiny classifier: results, folders, refusals."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
import tifffile
import torch
from monai.networks.nets import DenseNet
from phantoms.slide_dicom import write_dicom_slide

from common.errors import ClassifierError, ConfigError, InputError, OutputError
from scale_selector.classifier import load_classifier_spec
from scale_selector.inferer import build_inferer
from scale_selector.network import build_network
from scale_selector.pipeline import SlidePipeline, build_dataset, build_map_settings, name_outputs
from scale_selector.results import EVERY_RESULT, remove_results
from scale_selector.verdict import DECIDED

ROOT = Path(__file__).resolve().parents[2]
BUNDLE = ROOT / "bundles" / "wsi_scale_selector"
SIZE_PX = 64
NETWORK = {
    "spatial_dims": 2,
    "in_channels": 3,
    "out_channels": 3,
    "init_features": 8,
    "growth_rate": 4,
    "block_config": [2, 2],
}
FILES = {
    "report.html",
    "curves.png",
    "histogram.png",
    "class_map.png",
    "class_map.geojson",
    "class_map.ome.tif",
    "doctor.json",
    "scale.json",
}


def write_classifier(folder: Path, **changes) -> Path:
    """A classifier.json with seeded random weights of a very small DenseNet beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    torch.save(DenseNet(**NETWORK).state_dict(), folder / "model.pt")
    content = {
        "name": "tiny",
        "version": "1",
        "purpose": "demonstration",
        "network": {"source": "monai", "name": "DenseNet", "args": NETWORK},
        "weights": {"file": "model.pt", "sha256": None},
        "head": None,
        "outputs": None,
        "labels": [{"value": value, "name": name} for value, name in enumerate(("one", "two", "three"))],
        "input": {"size_px": SIZE_PX, "scale": 1 / 255, "mean": [0, 0, 0], "std": [1, 1, 1]},
        "training_mpp": 0.5,
        "reference": None,
    } | changes
    (folder / "classifier.json").write_text(json.dumps(content))
    return folder / "classifier.json"


def write_slide(path: Path, tissue: bool = True, size_px: int = 600, mpp: float | None = 0.5) -> Path:
    """A tiled TIFF."""
    per_cm = None if mpp is None else (1e4 / mpp, 1e4 / mpp)
    unit = None if mpp is None else "CENTIMETER"
    pixels = draw_slide(tissue, size_px)
    tifffile.imwrite(path, pixels, tile=(128, 128), photometric="rgb", resolution=per_cm, resolutionunit=unit)
    return path


def draw_slide(tissue: bool = True, size_px: int = 600) -> np.ndarray:
    """Purple texture in a disc on white glass."""
    rng = np.random.default_rng(0)
    pixels = np.full((size_px, size_px, 3), 245, np.uint8)
    rows, columns = np.mgrid[:size_px, :size_px]
    disc = np.hypot(rows - size_px / 2, columns - size_px / 2) < 0.45 * size_px
    if tissue:
        pixels[disc] = np.clip(rng.normal((150, 70, 150), 25, (int(disc.sum()), 3)), 0, 255)
    return pixels


@pytest.fixture(scope="module")
def classifier(tmp_path_factory) -> Path:
    return write_classifier(tmp_path_factory.mktemp("classifier"))


def make_pipeline(classifier: Path, slide: Path, output_dir: Path, mpp=None, **map_settings) -> SlidePipeline:
    spec = load_classifier_spec(classifier)
    return SlidePipeline(
        build_dataset(slide, mpp),
        build_network(spec),
        build_inferer(spec, "x10,x14,x20,x28,x40", points=12, batch_size=20),
        output_dir,
        build_map_settings(stride_px=32, **map_settings),
        engine="torch",
        precision="fp32",
    )


def visible(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()} if folder.is_dir() else set()


def test_one_slide_leaves_everything(classifier, tmp_path):
    files = make_pipeline(classifier, write_slide(tmp_path / "a.tiff"), tmp_path / "out").run()
    assert {path.name for path in files} == FILES == visible(tmp_path / "out")
    assert {name for name in EVERY_RESULT if not name.startswith("dicom/")} == FILES
    scale = json.loads((tmp_path / "out" / "scale.json").read_text())
    assert scale["search"]["points_used"] == len(scale["points"]) == 12
    assert sum(scale["vote"]["histogram"]) == 12
    assert scale["weights"]["purpose"] == "demonstration" and len(scale["weights"]["sha256"]) == 64
    assert scale["engine"]["engine"] == "torch" and scale["engine"]["precision"] == "fp32"
    assert set(scale["aggregations"]) >= {"vote", "mean_curve"}
    assert scale["verdict"]["evidence"] and scale["verdict"]["sentence"]
    assert "not for diagnosis" in (tmp_path / "out" / "report.html").read_text()
    regions = json.loads((tmp_path / "out" / "class_map.geojson").read_text())["features"]
    area = sum(region["properties"]["measurements"]["Area mm^2"] for region in regions)
    assert abs(area - sum(scale["class_map"]["areas_mm2"].values())) < 1e-6


def test_a_second_run_gives_the_same_numbers(classifier, tmp_path):
    slide = write_slide(tmp_path / "a.tiff")
    contents = []
    for name in ("one", "two"):
        make_pipeline(classifier, slide, tmp_path / name).run()
        scale = json.loads((tmp_path / name / "scale.json").read_text())
        contents.append({key: value for key, value in scale.items() if key != "seconds"})
    assert contents[0] == contents[1]


def test_unknown_resolution_is_answered(classifier, tmp_path):
    slide = write_slide(tmp_path / "a.tiff", mpp=None)
    make_pipeline(classifier, slide, tmp_path / "out").run()
    scale = json.loads((tmp_path / "out" / "scale.json").read_text())
    assert scale["slide"]["mpp"] is None
    assert all(row["mpp"] is None and row["downsample"] > 0 for row in scale["search"]["scales"])
    assert scale["class_map"]["areas_mm2"] == {"one": None, "two": None, "three": None}
    assert scale["verdict"]["decision"] != DECIDED and "best guess" in scale["class_map"]["reason"]
    assert scale["class_map"]["downsample"] == scale["aggregations"]["mean_curve"]["downsample"]


def test_the_users_resolution_wins(classifier, tmp_path):
    make_pipeline(classifier, write_slide(tmp_path / "a.tiff", mpp=None), tmp_path / "out", mpp=0.25).run()
    doctor = json.loads((tmp_path / "out" / "doctor.json").read_text())
    assert doctor["chosen"] == {"mpp": 0.25, "source": "user"}


def test_map_scale_can_be_given(classifier, tmp_path):
    slide = write_slide(tmp_path / "a.tiff")
    make_pipeline(classifier, slide, tmp_path / "out", scale="x10").run()
    found = json.loads((tmp_path / "out" / "scale.json").read_text())["class_map"]
    assert (found["mpp"], found["reason"]) == (1.0, "the scale given with map_scale")


def test_without_a_map(classifier, tmp_path):
    files = make_pipeline(classifier, write_slide(tmp_path / "a.tiff"), tmp_path / "out", enabled=False).run()
    expected = {name for name in FILES if not name.startswith("class_map")}
    assert {path.name for path in files} == expected == visible(tmp_path / "out")


def test_results_of_an_earlier_run_do_not_stay(classifier, tmp_path):
    left = ("class_map.png", "class_map.geojson", "dicom/scale_sr.dcm", "my notes.txt")
    for name in left:
        (tmp_path / "out" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "out" / name).write_text("of another slide")
    files = make_pipeline(classifier, write_slide(tmp_path / "a.tiff"), tmp_path / "out", enabled=False).run()
    assert visible(tmp_path / "out") == {path.name for path in files} | {"my notes.txt"}


def test_an_earlier_result_that_cannot_be_removed(tmp_path):
    (tmp_path / "scale.json").mkdir()
    with pytest.raises(OutputError, match="scale.json: expected to replace an earlier result, got 'Is a dir"):
        remove_results(tmp_path)


def test_one_bad_slide_does_not_stop_the_others(classifier, tmp_path):
    folder = tmp_path / "slides"
    folder.mkdir()
    write_slide(folder / "good.tiff")
    write_slide(folder / "glass.tiff", tissue=False)
    pipeline = make_pipeline(classifier, folder, tmp_path / "out")
    with pytest.raises(InputError, match=r"expected 2 readable slides, 1 were refused: glass\.tiff"):
        pipeline.run()
    rows = {row["slide"]: row for row in json.loads((tmp_path / "out" / "summary.json").read_text())}
    assert rows["good.tiff"]["status"] == "done" and "expected tissue" in rows["glass.tiff"]["reason"]
    assert visible(tmp_path / "out" / "good") == FILES
    assert not visible(tmp_path / "out" / "glass")


def test_a_folder_of_good_slides(classifier, tmp_path):
    folder = tmp_path / "slides"
    folder.mkdir()
    write_slide(folder / "a.tiff")
    files = make_pipeline(classifier, folder, tmp_path / "out", enabled=False).run()
    assert files[-1] == tmp_path / "out" / "summary.json"
    assert (tmp_path / "out" / "a" / "report.html") in files


def test_names_of_output_folders():
    paths = [Path("x/a.svs"), Path("y/a.tiff"), Path("b.svs")]
    assert list(name_outputs(paths)) == ["a.svs", "a.tiff", "b"]


def test_a_full_disk_stops_a_folder_of_slides(classifier, tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    for name in ("a.tiff", "b.tiff"):
        write_slide(tmp_path / "in" / name)
    tried = []

    def fill(pipeline, path, output_dir):
        tried.append(path.name)
        raise OutputError("scale.json: expected a writable place, got 'no space left on device'")

    monkeypatch.setattr(SlidePipeline, "run_slide", fill)
    with pytest.raises(OutputError, match=r"scale.json: expected a writable place"):
        make_pipeline(classifier, tmp_path / "in", tmp_path / "out").run()
    assert tried == ["a.tiff"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder / "missing.svs", "missing.svs"),
        (lambda folder: _text(folder / "notes.svs"), "notes.svs"),
        (lambda folder: write_slide(folder / "glass.tiff", tissue=False), "expected tissue, found none"),
        (
            lambda folder: write_slide(folder / "small.tiff", size_px=48),
            "too small for the lowest magnification",
        ),
        (lambda folder: _truncated(folder / "cut.tiff"), "cut.tiff"),
    ],
)
def test_bad_slides_leave_nothing(classifier, tmp_path, make, message):
    path = make(tmp_path)
    with pytest.raises(InputError, match=message) as caught:
        make_pipeline(classifier, path, tmp_path / "out").run()
    assert "\n" not in str(caught.value)
    assert not visible(tmp_path / "out")


def _text(path: Path) -> Path:
    path.write_text("not a slide")
    return path


def _truncated(path: Path) -> Path:
    write_slide(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def test_a_disk_that_is_full(classifier, tmp_path):
    """Files may grow to 200 kB only, so that the pictures cannot be written."""
    pipeline = make_pipeline(classifier, write_slide(tmp_path / "a.tiff"), tmp_path / "out", enabled=False)
    pipeline.engine  # noqa: B018 (compiled before the limit)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(OutputError, match="expected a writable place, got 'File too large'"):
            pipeline.run()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not visible(tmp_path / "out")


def test_classifiers_that_do_not_fit_their_description(tmp_path):
    names = [{"value": value, "name": str(value)} for value in range(4)]
    with pytest.raises(ClassifierError, match="4 labels"):
        build_network(write_classifier(tmp_path / "count", labels=names))
    path = write_classifier(tmp_path / "nan")
    state = torch.load(path.with_name("model.pt"), weights_only=True)
    next(iter(state.values()))[0] = float("nan")
    torch.save(state, path.with_name("model.pt"))
    with pytest.raises(ClassifierError, match="finite"):
        build_network(path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"min_tissue": 1.5}, "min_tissue: expected a share from 0 to 1, got 1.5"),
        ({"scale": "big"}, "scale: expected"),
        ({"batch_size": 0}, "batch_size: expected a whole number >= 1, got 0"),
    ],
)
def test_map_settings_out_of_range(settings, message):
    with pytest.raises(ConfigError, match=message):
        build_map_settings(**settings)


def run_bundle(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "monai.bundle", "run"]
    command += ["--config_file", str(BUNDLE / "configs" / "inference.json"), "--bundle_root", str(BUNDLE)]
    environment = os.environ | {"PYTHONWARNINGS": "ignore"}
    return subprocess.run(
        [*command, *arguments], capture_output=True, text=True, check=False, timeout=300, env=environment
    )


def test_the_command(classifier, tmp_path):
    slide = write_slide(tmp_path / "a.tiff")
    done = run_bundle(
        *("--slide", str(slide), "--output_dir", str(tmp_path / "out"), "--classifier", str(classifier)),
        *("--scales", "x10,x20,x40", "--points", "5", "--stride_px", "64"),
    )
    assert done.returncode == 0, done.stderr
    assert visible(tmp_path / "out") == FILES


def test_the_command_refuses_in_one_line(classifier, tmp_path):
    slide = write_slide(tmp_path / "glass.tiff", tissue=False)
    done = run_bundle(
        "--slide", str(slide), "--output_dir", str(tmp_path / "out"), "--classifier", str(classifier)
    )
    assert done.returncode == 1
    errors = done.stderr.strip().splitlines()
    assert errors[-1].startswith("error: glass.tiff: expected tissue, found none")
    assert "Traceback" not in done.stderr
    assert not visible(tmp_path / "out")


def test_the_command_refuses_an_unknown_key(tmp_path):
    done = run_bundle("--slyde", "a.svs", "--output_dir", str(tmp_path / "out"))
    assert done.returncode == 1
    assert "got --slyde: did you mean --slide?" in done.stderr and "Traceback" not in done.stderr


def test_a_dicom_slide_leaves_dicom_too(classifier, tmp_path):
    """The SEG has the cells of the OME-TIFF."""
    write_dicom_slide(tmp_path / "slide", draw_slide(), 0.5)
    files = make_pipeline(classifier, tmp_path / "slide", tmp_path / "out").run()
    assert {path.name for path in files} == FILES | {"class_map_seg.dcm", "scale_sr.dcm"}
    seg = hd.seg.segread(tmp_path / "out" / "dicom" / "class_map_seg.dcm")
    shown = tifffile.imread(tmp_path / "out" / "class_map.ome.tif")
    np.testing.assert_array_equal(seg.get_total_pixel_matrix(combine_segments=True), shown)
    assert shown.max() > 0 and [row.SegmentLabel for row in seg.SegmentSequence] == ["one", "two", "three"]
    scale = json.loads((tmp_path / "out" / "scale.json").read_text())
    assert scale["dicom_files"] == ["dicom/class_map_seg.dcm", "dicom/scale_sr.dcm"]
    assert "dicom/scale_sr.dcm" in (tmp_path / "out" / "report.html").read_text()
