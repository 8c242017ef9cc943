"""The application with a packed bundle, on a machine that has nothing of this repository."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile

import pytest
from bundle_run import read_bundle
from outcome import Refusal
from packing.build import build_zip
from phantoms.slide_dicom import write_dicom_slide
from pydicom import dcmread
from toy_mammo_files import write_study
from toy_map import APP, ROOT
from toy_slides import SETTINGS, draw_slide, write_classifier

SCRIPT = """
import runpy, sys
from pathlib import Path
app, repository, *arguments = sys.argv[1:]
sys.path.insert(0, app)
sys.argv = [app, *arguments]
try:
    runpy.run_path(app + "/__main__.py", run_name="__main__")
except SystemExit as ended:
    code = ended.code
own = [n for n, m in list(sys.modules.items()) if (f := getattr(m, "__file__", None) or "")
       and Path(f).resolve().is_relative_to(repository) and "site-packages" not in f]
print("own:", own, "common:", "common" in sys.modules)
sys.exit(code)
"""


def write_kidneys(folder, toy):
    """Four slices through the kidneys of a phantom; one template, for speed."""
    tool = [sys.executable, ROOT / "tools" / "phantoms" / "kidney_ct.py", "--dicom", "--output", toy]
    subprocess.run([*tool, "--matrix", "256", "--slice-mm", "5"], check=True, capture_output=True)
    files = sorted((toy / "dicom").rglob("*.dcm"), key=lambda path: dcmread(path).ImagePositionPatient[2])
    folder.mkdir(parents=True)
    for file in files[len(files) // 2 - 2 : len(files) // 2 + 2]:
        shutil.copy(file, folder)
    return {"templates": 1}


def write_breasts(folder, toy):
    """Two views and a history."""
    write_study(folder, (("R", "CC"), ("L", "CC")))
    (folder / "history.json").write_text('{"history": "palpable lump in the left breast"}')
    return {}


def write_slide(folder, toy):
    """A slide, and a classifier of the site."""
    write_dicom_slide(folder, draw_slide(), 0.5)
    return SETTINGS | {"classifier": str(write_classifier(toy))}


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("name", "package", "write_input", "files"),
    [
        pytest.param(
            *(
                "ksam_kidney_seg",
                "ksam_v",
                write_kidneys,
                {"volumes.json", "dicom/ct_seg.dcm", "dicom/ct_sr.dcm"},
            ),
            marks=pytest.mark.weights("ksam-kidney-phantom", "lite-medsam"),
        ),
        pytest.param(
            *("mmbcd_mammo", "mmbcd_v", write_breasts, {"result.json", "dicom/overview_sc.dcm"}),
            marks=pytest.mark.weights("mmbcd-phantom", "minilm"),
        ),
        pytest.param(
            *("wsi_scale_selector", "scale_selector_v", write_slide),
            {"scale.json", "dicom/class_map_seg.dcm", "dicom/scale_sr.dcm"},
            marks=pytest.mark.weights("capricorn-densenet121"),
        ),
    ],
)
def test_a_packed_bundle_runs_without_the_repository(tmp_path, name, package, write_input, files):
    build_zip(ROOT, name, tmp_path / "packed.zip")
    with zipfile.ZipFile(tmp_path / "packed.zip") as packed:
        packed.extractall(tmp_path / "models")
    shutil.copytree(APP, tmp_path / "app", ignore=shutil.ignore_patterns("__pycache__"))
    settings = write_input(tmp_path / "in" / "study" / "series", tmp_path / "toy")
    pairs = [f"--set={key}={json.dumps(value)}" for key, value in settings.items()]
    places = ["--bundle", tmp_path / "models", "--input", tmp_path / "in", "--output", tmp_path / "out"]
    done = subprocess.run(
        [sys.executable, "-S", "-c", SCRIPT, tmp_path / "app", ROOT, *places, "--plain", *pairs],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": sysconfig.get_path("purelib")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "own: [] common: False"
    log = json.loads((tmp_path / "out" / "run.json").read_text(encoding="utf-8"))
    assert log["bundle"]["name"] == name and log["bundle"]["package"].startswith(package)
    assert files <= set(log["files"]) and len(log["studies"]) == 1
    root = tmp_path / "models" / name
    assert read_bundle(root).weights_sha256 == log["weights_sha256"] != {}
    weights = next(iter(log["weights_sha256"]))
    (root / weights).write_bytes(b"other")
    with pytest.raises(Refusal, match=f"{weights}: expected the file that was packed, got another"):
        read_bundle(root)
