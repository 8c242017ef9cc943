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


@pytest.mark.slow
def test_a_packed_bundle_runs_without_the_repository(tmp_path):
    build_zip(ROOT, "wsi_scale_selector", tmp_path / "packed.zip", False)
    with zipfile.ZipFile(tmp_path / "packed.zip") as packed:
        packed.extractall(tmp_path / "models")
    shutil.copytree(APP, tmp_path / "app", ignore=shutil.ignore_patterns("__pycache__"))
    write_dicom_slide(tmp_path / "in" / "study" / "series", draw_slide(), 0.5)
    settings = SETTINGS | {"classifier": str(write_classifier(tmp_path / "classifier"))}
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
    assert log["bundle"]["name"] == "wsi_scale_selector"
    assert log["bundle"]["package"].startswith("scale_selector_v")
    assert {"scale.json", "dicom/class_map_seg.dcm", "dicom/scale_sr.dcm"} <= set(log["files"])
    assert len(log["studies"]) == 1
    root = tmp_path / "models" / "wsi_scale_selector"
    assert read_bundle(root).weights_sha256 == log["weights_sha256"] != {}
    (root / "models" / "classifier.json").write_text("{}", encoding="utf-8")
    with pytest.raises(Refusal, match="models/classifier.json: expected the file that was packed, got"):
        read_bundle(root)
