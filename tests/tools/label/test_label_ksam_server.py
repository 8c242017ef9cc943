"""KSAM behind MONAI Label: what 3D Slicer and OHIF ask for, over HTTP, against `monai.bundle run`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import nibabel as nib
import nrrd
import numpy as np
import pytest
import requests
from label_servers import ANSWER_S, ROOT, label_python, label_server

from ksam.prompts import load_task, save_task

pytestmark = [pytest.mark.slow, pytest.mark.weights("ksam-kidney-phantom"), pytest.mark.timeout(3600)]
BUNDLE = ROOT / "bundles" / "ksam_kidney_seg"
MODEL = "ksam_kidney_segmentation"
SLICES = 8
OWN_SLICE = 4


class Served(NamedTuple):
    url: str
    studies: Path
    bundle: Path
    truth: np.ndarray
    python: Path


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A phantom's kidneys in eight slices; two examples of other patients, shown without regions: faster."""
    python, root = label_python(), tmp_path_factory.mktemp("label")
    bundle, studies = root / "ksam_kidney_seg", root / "studies"
    for folder in (bundle, studies):
        folder.mkdir()
    for name in ("configs", "ksam", "models"):
        (bundle / name).symlink_to(BUNDLE / name)
    task = load_task(BUNDLE / "prompts" / "kidney_phantom")
    save_task(
        replace(task, crop="body", templates=task.templates[4:8:2]), bundle / "prompts" / "kidney_phantom"
    )
    truth = write_kidneys(root, studies / "1.2.840.99.nii.gz")
    (studies / "broken.nii.gz").write_bytes(b"no volume")
    with label_server(bundle, studies) as url:
        yield Served(url, studies, bundle, truth, python)


def write_kidneys(root: Path, path: Path) -> np.ndarray:
    """The slices of a phantom with the largest kidneys; returns their labels (I, J, K)."""
    tool = [sys.executable, str(ROOT / "tools" / "phantoms" / "kidney_ct.py"), "--patients", "1"]
    subprocess.run(
        [*tool, "--output", str(root / "phantom"), "--matrix", "256", "--slice-mm", "5"], check=True
    )
    name = "phantom_0000.nii.gz"
    image, labels = (nib.load(root / "phantom" / kind / name) for kind in ("images", "labels"))
    values = np.asarray(labels.dataobj)
    first = int(np.convolve(np.isin(values, (1, 2)).sum((0, 1)), np.ones(SLICES), "valid").argmax())
    nib.save(image.slicer[:, :, first : first + SLICES], path)
    return np.where(values <= 3, values, 0)[:, :, first : first + SLICES].astype(np.uint8)


def slicer(served: Served, tmp_path: Path, label: Path | None = None) -> dict[str, Any]:
    client = ROOT / "tests" / "support" / "label_client.py"
    command = [str(served.python), str(client), served.url, str(tmp_path), MODEL, "1.2.840.99"]
    command += [] if label is None else [str(label)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


def ohif(served: Served, image: str = "1.2.840.99", **params: Any) -> requests.Response:
    """What OHIF's plug-in posts: a form, the answer wanted as the image alone."""
    fixed = {"result_extension": ".nrrd", "result_dtype": "uint8", "result_compress": False}
    form = {"params": (None, json.dumps(params | fixed | {"restore_label_idx": False}))}
    address = f"{served.url}/infer/{MODEL}"
    return requests.post(
        address, {}, params={"image": image, "output": "image"}, files=form, timeout=ANSWER_S
    )


def read_nrrd(content: bytes, path: Path) -> np.ndarray:
    path.write_bytes(content)
    return np.asarray(nrrd.read(str(path))[0])


def dice(found: np.ndarray, truth: np.ndarray) -> float:
    """Of the cortex in the slices that nobody labelled."""
    others = [z for z in range(SLICES) if z != OWN_SLICE]
    a, b = found[:, :, others] == 1, truth[:, :, others] == 1
    return float(2 * (a & b).sum() / max(1, a.sum() + b.sum()))


@pytest.fixture(scope="module")
def by_slicer(served: Served, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return slicer(served, tmp_path_factory.mktemp("slicer"))


def test_slicer_gets_the_mask_of_bundle_run(served, by_slicer, tmp_path):
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", "configs/inference.json"]
    command += ["--input", str(served.studies / "1.2.840.99.nii.gz"), "--output_dir", str(tmp_path)]
    subprocess.run(command, cwd=served.bundle, check=True, capture_output=True)
    expected = np.asarray(nib.load(next(tmp_path.glob("*_seg.nii.gz"))).dataobj)
    found, header = nrrd.read(by_slicer["file"])
    assert (expected > 0).any()
    np.testing.assert_array_equal(found, expected)
    origin = nib.load(served.studies / "1.2.840.99.nii.gz").affine[:3, 3] * (-1, -1, 1)
    np.testing.assert_allclose(header["space origin"], origin, atol=1e-4)
    record = json.loads((tmp_path / "volumes.json").read_text())
    assert by_slicer["answer"]["structures"] == record["structures"]


def test_clients_learn_values_prompts_and_numbers(by_slicer):
    assert by_slicer["labels"] == {"cortex": 1, "medulla": 2, "artery": 3}
    assert by_slicer["answer"]["label_names"] == by_slicer["labels"]
    assert by_slicer["answer"]["prompts"]["task"] == "kidney_phantom"
    assert by_slicer["answer"]["weights"]["purpose"] == "demonstration"


def test_ohif_gets_the_same_mask_as_slicer(served, by_slicer, tmp_path):
    answer = ohif(served)
    assert answer.status_code == 200, answer.text
    found = read_nrrd(answer.content, tmp_path / "ohif.nrrd")
    np.testing.assert_array_equal(found, nrrd.read(by_slicer["file"])[0])


def test_one_labelled_slice_segments_the_rest(served, by_slicer, tmp_path):
    drawn = np.zeros_like(served.truth)
    drawn[:, :, OWN_SLICE] = served.truth[:, :, OWN_SLICE] == 1
    source = nib.load(served.studies / "1.2.840.99.nii.gz")
    nib.save(nib.Nifti1Image(drawn, source.affine), tmp_path / "drawn.nii.gz")
    answer = slicer(served, tmp_path, tmp_path / "drawn.nii.gz")
    found = nrrd.read(answer["file"])[0]
    (template,) = answer["answer"]["prompts"]["templates"]
    assert template["provenance"]["slice"] == OWN_SLICE and set(np.unique(found)) == {0, 1}
    own, library = dice(found, served.truth), dice(nrrd.read(by_slicer["file"])[0], served.truth)
    print(f"Dice of the cortex in the other slices: own slice {own:.3f}, library {library:.3f}")
    assert own > 0.5


def test_refusals_are_one_line(served):
    cases = [
        (ohif(served, prompt="liver"), 422, "expected the task 'liver', got kidney_phantom"),
        (ohif(served, templates="many"), 422, "templates: expected a whole number from 1, got 'many'"),
        (ohif(served, "broken"), 422, "expected an intact NIfTI file"),
        (ohif(served, "nobody"), 404, "expected the name of an image of the studies folder"),
        (ohif(served, str(served.bundle)), 404, "expected the name of an image of the studies folder"),
    ]
    for answer, status, words in cases:
        assert answer.status_code == status and words in answer.json()["detail"], answer.text
        assert "\n" not in answer.json()["detail"]


def test_nothing_of_a_request_is_logged(served):
    log = (served.studies.parent / "server.log").read_text()
    assert "result_extension" not in log and "Traceback" not in log
    assert "answered with 422" in log
