"""A run that is ended from outside leaves nothing that could be taken for a result."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from toy_map import APP, list_files, write_toy_bundle

PATIENCE_S = 300


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_a_stopped_run_leaves_no_result(tmp_path, number, code):
    bundle = write_toy_bundle(tmp_path / "toy")
    (tmp_path / "in").mkdir()
    places = ["--bundle", bundle, "--input", tmp_path / "in", "--output", tmp_path / "out"]
    command = [sys.executable, APP, "--plain", *places, "--set", "act=wait"]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + PATIENCE_S
        while not list((tmp_path / "out").glob(".run-*/result.txt")) and time.monotonic() < deadline:
            time.sleep(0.2)
        process.send_signal(number)
        assert process.wait(PATIENCE_S) == code
    left = list_files(tmp_path / "out")
    assert all(name.startswith(".run-") for name in left)
    assert bool(left) == (number == signal.SIGKILL)
