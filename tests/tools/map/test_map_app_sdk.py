"""The application of the MONAI Deploy App SDK: the same results and exit codes as without it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import sdk
from dicom_checks import read_without_times
from phantoms.ct_series import write_ct_series
from toy_map import APP, KSAM, MMBCD, PATIENT, ROOT, TOY_KSAM, write_toy_bundle
from toy_segmenter import AFFINE, body_volume

pytestmark = pytest.mark.slow

SUPPORT = ":".join(map(str, (ROOT / "tests" / "support", ROOT / "tools", ROOT, KSAM, MMBCD)))


@pytest.fixture(scope="module")
def environment():
    """Made where it is not there: needs PyPI once."""
    return sdk.provide_environment()


def run(*command):
    env = {**os.environ, "PYTHONPATH": SUPPORT, "OMP_NUM_THREADS": "1"}
    return subprocess.run([*map(str, command)], env=env, capture_output=True, text=True, cwd=ROOT)


def start(bundle, source, output, *options):
    """The command of sdk.py."""
    places = ("--bundle", bundle, "--input", source, "--output", output)
    return run(sys.executable, ROOT / "tools" / "map" / "sdk.py", *places, *options)


@pytest.fixture(scope="module")
def three_ways(environment, tmp_path_factory):
    """Output folders of the same study: under the SDK, without it, and by MONAI's own command."""
    folder = tmp_path_factory.mktemp("ways")
    write_ct_series(folder / "ct", body_volume(), AFFINE, tags=PATIENT)
    evaluator = json.dumps(TOY_KSAM["evaluator"])
    done = {"sdk": start(KSAM, folder / "ct", folder / "sdk", "--set", f"evaluator={evaluator}")}
    places = ("--bundle", KSAM, "--input", folder / "ct", "--output", folder / "plain")
    done["plain"] = run(sys.executable, APP, *places, "--plain", "--set", f"evaluator={evaluator}")
    (folder / "toy.json").write_text(json.dumps(TOY_KSAM), encoding="utf-8")
    files = [str(KSAM / "configs" / "inference.json"), str(folder / "toy.json")]
    places = ("--bundle_root", KSAM, "--input", folder / "ct", "--output_dir", folder / "monai")
    done["monai"] = run(sys.executable, "-m", "monai.bundle", "run", "--config_file", files, *places)
    assert {name: one.returncode for name, one in done.items()} == dict.fromkeys(done, 0), done
    return folder, done


@pytest.mark.parametrize("other", ["plain", "monai"])
def test_masks_are_the_same_bytes(three_ways, other):
    folder, _ = three_ways
    one, two = (folder / way / "ct_seg.nii.gz" for way in ("sdk", other))
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize("other", ["plain", "monai"])
def test_dicom_objects_are_the_same_but_for_the_time_of_writing(three_ways, other):
    folder, _ = three_ways
    for name in ("ct_seg.dcm", "ct_sr.dcm"):
        one, two = (read_without_times(folder / way / "dicom" / name) for way in ("sdk", other))
        assert one == two and one.file_meta == two.file_meta


def test_what_the_sdk_says_names_no_patient(three_ways):
    folder, done = three_ways
    said = done["sdk"].stdout + done["sdk"].stderr + (folder / "sdk" / "run.json").read_text()
    assert "holoscan-cu13" in said  # among the versions: it did run there
    assert [value for value in PATIENT.values() if value in said] == []
    assert done["sdk"].stderr.splitlines()[-1].startswith("done: Dark ")


@pytest.mark.parametrize(("act", "code", "status"), [("empty", 0, "empty"), ("fault", 1, "fault")])
def test_exit_codes_pass_through_the_sdk(environment, tmp_path, act, code, status):
    bundle = write_toy_bundle(tmp_path / "toy")
    (tmp_path / "in").mkdir()
    done = start(bundle, tmp_path / "in", tmp_path / "out", "--set", f"act={act}")
    assert done.returncode == code, done.stderr
    assert done.stderr.splitlines()[-1].removeprefix("error: ").startswith(f"{status}: ")
    assert json.loads((tmp_path / "out" / "run.json").read_text())["status"] == status
