"""The whole way in a hospital: C-STORE to Orthanc, the watcher, the application, STOW-RS, and back.

A study is sent with dcmtk, found and fetched by DICOMweb, run by `tools/map/app` with a bundle's own config
and a network that is small enough for a test, stored, and read back with another client and highdicom.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pytest
import torch
from dicom_checks import find_errors
from dicomweb_client.api import DICOMwebClient
from monai.networks.nets import DenseNet
from orthanc_server import Orthanc, need_orthanc, run_orthanc
from phantoms.ct_series import write_ct_series
from phantoms.slide_dicom import write_dicom_slide
from pydicom import dcmread
from pydicom.dataset import Dataset
from toy_mammo import TWO_BOXES, make_boxes, write_boxes
from toy_mammo_files import write_study
from toy_map import KSAM, MMBCD, TOY_KSAM, toy_mmbcd_settings
from toy_segmenter import AFFINE, body_slice

ROOT = Path(__file__).resolve().parents[3]
WATCHER = ROOT / "tools" / "map" / "watch_pacs.py"
WSI = ROOT / "bundles" / "wsi_scale_selector"
TISSUE_CENTER, TISSUE_RADIUS = (230.0, 350.0), 190.0
"""Row, column and radius of the tissue on the toy slide, in pixels: not in its middle."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """One Orthanc for all bundles: each leaves the others' studies alone."""
    need_orthanc()
    with run_orthanc(tmp_path_factory.mktemp("orthanc")) as server:
        yield server


def write_kidneys(folder: Path) -> np.ndarray:
    """A CT series in a shuffled order, with squares in some slices only.

    Returns:
        (I, J, K) labels as they should be found: 1 dark, 2 light; column, row, slice from the feet.
    """
    shown = [(False, False), (True, False), (True, True), (False, True), (False, False)]
    slices = [body_slice(dark, light) for dark, light in shown]
    write_ct_series(folder, np.stack([one.T for one in slices], axis=2).astype(np.int16), AFFINE)
    labels = np.zeros((8, 8, len(shown)), np.uint8)
    for k, (dark, light) in enumerate(shown):
        labels[1:4, 1:3, k] = 1 if dark else 0
        labels[4:7, 5:7, k] = 2 if light else 0
    for number, path in enumerate(sorted(folder.iterdir(), reverse=True)):
        path.rename(folder / f"IM{number}")
    return labels


def watch(orthanc: Orthanc, folder: Path, modality: str, bundle: Path, settings: dict[str, Any]) -> str:
    """Run the watcher once, as a hospital's timer would. Returns what it said."""
    app = [sys.executable, str(ROOT / "tools" / "map" / "app"), "--plain", "--bundle", str(bundle)]
    chosen = [word for key, value in settings.items() for word in ("--set", f"{key}={json.dumps(value)}")]
    command = shlex.join([*app, "--input", "{input}", "--output", "{output}", *chosen])
    words = ["--url", orthanc.url, "--modality", modality, "--state", str(folder), "--command", command]
    parts = ("tests/support", "tools", "bundles/ksam_kidney_seg", "bundles/mmbcd_mammo")
    paths = os.pathsep.join(str(ROOT / part) for part in parts)
    done = subprocess.run(
        [sys.executable, str(WATCHER), *words, "--once", "--quiet", "0", "--since", "2000-01-01"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def fetch(orthanc: Orthanc, study_uid: str) -> dict[str, list[Dataset]]:
    """Everything that Orthanc has of a study, by modality, with a client that is not the watcher's."""
    found: dict[str, list[Dataset]] = {}
    for dataset in DICOMwebClient(orthanc.url).retrieve_study(study_uid):
        found.setdefault(dataset.Modality, []).append(dataset)
    return found


def check_valid(results: list[Dataset], folder: Path) -> None:
    """The results, as they came back, are of the sources' patient and pass dciodvfy."""
    folder.mkdir()
    for number, dataset in enumerate(results):
        path = folder / f"{number}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        assert find_errors(path) == []


def test_a_kidney_ct_comes_back_with_its_segmentation_on_the_same_slices(
    orthanc: Orthanc, tmp_path: Path
) -> None:
    truth = write_kidneys(tmp_path / "ct")
    orthanc.send(tmp_path / "ct")
    said = watch(orthanc, tmp_path / "state", "CT", KSAM, TOY_KSAM)
    assert "5 images: attempt 1 of 6" in said and "results stored" in said
    study_uid = study_of(tmp_path / "ct")
    found = fetch(orthanc, study_uid)
    assert {modality: len(found[modality]) for modality in found} == {"CT": 5, "SEG": 1, "SR": 1}
    slices = sorted(found["CT"], key=lambda one: float(one.ImagePositionPatient[2]))
    labels = read_segmentation(found["SEG"][0], slices)
    np.testing.assert_array_equal(labels, truth)
    assert {str(one.PatientID) for one in found["SEG"] + found["SR"]} == {str(slices[0].PatientID)}
    check_valid(found["SEG"] + found["SR"], tmp_path / "back")
    again = watch(orthanc, tmp_path / "state", "CT", KSAM, TOY_KSAM)
    assert again == "" and len(fetch(orthanc, study_uid)["SEG"]) == 1


def test_a_forgotten_state_stores_the_same_objects_again(orthanc: Orthanc, tmp_path: Path) -> None:
    """The state is lost: the second run's results have the UIDs of the first's, so nothing is doubled."""
    write_kidneys(tmp_path / "ct")
    orthanc.send(tmp_path / "ct")
    uids = []
    for state in ("first", "second"):
        watch(orthanc, tmp_path / state, "CT", KSAM, TOY_KSAM)
        found = fetch(orthanc, study_of(tmp_path / "ct"))
        uids.append({str(one.SOPInstanceUID) for one in found["SEG"] + found["SR"]})
    assert uids[0] == uids[1] and len(uids[0]) == 2


def study_of(folder: Path) -> str:
    """StudyInstanceUID of a folder's files."""
    return str(dcmread(next(folder.iterdir())).StudyInstanceUID)


def read_segmentation(dataset: Dataset, slices: list[Dataset]) -> np.ndarray:
    """Label map (I, J, K) on the slices, in their order, as highdicom reads it by their UIDs."""
    segmentation = hd.seg.Segmentation.from_dataset(dataset)
    described = map(segmentation.get_segment_description, segmentation.segment_numbers)
    numbers = {row.segment_label.lower(): row.segment_number for row in described}
    uids = [str(one.SOPInstanceUID) for one in slices]
    masks = segmentation.get_pixels_by_source_instance(
        uids, segment_numbers=[numbers["dark"], numbers["light"]], assert_missing_frames_are_empty=True
    )
    return (masks[..., 0] + 2 * masks[..., 1]).transpose(2, 1, 0).astype(np.uint8)


def test_a_mammography_study_comes_back_with_its_boxes_on_each_view(orthanc: Orthanc, tmp_path: Path) -> None:
    study = write_study(tmp_path / "study")
    settings = toy_mmbcd_settings(tmp_path)
    write_boxes(Path(settings["boxes"]), make_boxes(f"{number:06d}" for number in range(1, 5)))
    orthanc.send(study)
    said = watch(orthanc, tmp_path / "state", "MG", MMBCD, settings)
    assert "4 images: attempt 1 of 6" in said and "results stored" in said
    found = fetch(orthanc, study_of(study))
    counts = {modality: len(found[modality]) for modality in found}
    assert counts.pop("MG") == 4 and counts["SR"] == 1 and counts["PR"] == 4 and sum(counts.values()) == 6
    views = {str(one.SOPInstanceUID) for one in found["MG"]}
    drawn = read_boxes(found["SR"][0])
    assert drawn.keys() == views
    assert all(sorted(rows) == sorted(box[:4] for box in TWO_BOXES) for rows in drawn.values())
    check_valid([one for name in found if name != "MG" for one in found[name]], tmp_path / "back")


def read_boxes(report: Dataset) -> dict[str, list[tuple[float, ...]]]:
    """Corners of every region of an SR, by SOPInstanceUID of its image."""
    boxes: dict[str, list[tuple[float, ...]]] = {}
    for item in walk(hd.sr.ComprehensiveSR.from_dataset(report)):
        if item.get("ValueType") == "SCOORD":
            points = np.reshape(item.GraphicData, (-1, 2))
            uid = str(item.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
            boxes.setdefault(uid, []).append((*points.min(0), *points.max(0)))
    return boxes


def write_tiny_classifier(folder: Path) -> Path:
    """classifier.json with seeded random weights of a very small DenseNet beside it."""
    network = {"spatial_dims": 2, "in_channels": 3, "out_channels": 2, "init_features": 8, "growth_rate": 4}
    network["block_config"] = [2, 2]
    folder.mkdir()
    torch.manual_seed(0)
    torch.save(DenseNet(**network).state_dict(), folder / "model.pt")
    content = {
        **{"name": "tiny", "version": "1", "purpose": "demonstration", "head": None, "outputs": None},
        "network": {"source": "monai", "name": "DenseNet", "args": network},
        "weights": {"file": "model.pt", "sha256": None},
        "labels": [{"value": value, "name": name} for value, name in enumerate(("one", "two"))],
        "input": {"size_px": 64, "scale": 1 / 255, "mean": [0, 0, 0], "std": [1, 1, 1]},
        **{"training_mpp": 0.5, "reference": None},
    }
    (folder / "classifier.json").write_text(json.dumps(content), encoding="utf-8")
    return folder / "classifier.json"


def test_a_slide_comes_back_with_its_classes_where_the_tissue_is(orthanc: Orthanc, tmp_path: Path) -> None:
    rng, (row, column), radius = np.random.default_rng(0), TISSUE_CENTER, TISSUE_RADIUS
    pixels = np.full((600, 600, 3), 245, np.uint8)
    rows, columns = np.mgrid[:600, :600]
    tissue = np.hypot(rows - row, columns - column) < radius
    pixels[tissue] = np.clip(rng.normal((150, 70, 150), 25, (int(tissue.sum()), 3)), 0, 255)
    write_dicom_slide(tmp_path / "slide", pixels, 0.5)
    orthanc.send(tmp_path / "slide")
    settings = {
        "classifier": str(write_tiny_classifier(tmp_path / "classifier")),
        **{"scales": ["x10", "x14", "x20", "x28", "x40"], "points": 12, "stride_px": 32},
        **{"batch_size": 20, "engine": "torch", "precision": "fp32"},
    }
    said = watch(orthanc, tmp_path / "state", "SM", WSI, settings)
    assert "2 images: attempt 1 of 6" in said and "2 results stored" in said
    found = fetch(orthanc, study_of(tmp_path / "slide"))
    assert {modality: len(found[modality]) for modality in found} == {"SM": 2, "SEG": 1, "SR": 1}
    level = max(found["SM"], key=lambda one: one.TotalPixelMatrixRows)
    classes = hd.seg.Segmentation.from_dataset(found["SEG"][0])
    shown = classes.get_total_pixel_matrix(combine_segments=True) > 0
    places = px_of(level, mm_of(found["SEG"][0], np.argwhere(shown)))
    cell_px = spacing_of(found["SEG"][0])[0] / spacing_of(level)[0]
    assert np.hypot(*(places - TISSUE_CENTER).T).max() < radius + cell_px
    assert 0.7 < len(places) * cell_px**2 / tissue.sum() < 1.5
    np.testing.assert_allclose(places.mean(0), TISSUE_CENTER, atol=cell_px / 2)
    check_valid(found["SEG"] + found["SR"], tmp_path / "back")


def spacing_of(image: Dataset) -> np.ndarray:
    """Millimetres between rows and between columns of a slide, or of a SEG on it."""
    measures = image.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    return np.array(measures.PixelSpacing, float)


def axes_of(image: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Origin (2,) and steps (2, 2) of row and column in the slide's millimetres (PS3.3 C.8.12.2.1.1)."""
    place, cosines = image.TotalPixelMatrixOriginSequence[0], np.array(image.ImageOrientationSlide, float)
    origin = [getattr(place, f"{axis}OffsetInSlideCoordinateSystem") for axis in "XY"]
    down, along = cosines[3:5] * spacing_of(image)[0], cosines[:2] * spacing_of(image)[1]
    return np.array(origin, float), np.stack([down, along])


def mm_of(image: Dataset, rows_columns: np.ndarray) -> np.ndarray:
    """Centres of pixels (n, 2) in the slide's millimetres."""
    origin, steps = axes_of(image)
    return origin + rows_columns @ steps


def px_of(image: Dataset, places_mm: np.ndarray) -> np.ndarray:
    """Places in the slide's millimetres as rows and columns (n, 2)."""
    origin, steps = axes_of(image)
    return (places_mm - origin) @ np.linalg.inv(steps)


def walk(item: Dataset) -> Iterator[Dataset]:
    """A content item and everything below it."""
    yield item
    for below in item.get("ContentSequence") or []:
        yield from walk(below)
