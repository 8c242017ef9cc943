"""A server of `tools/label/serve.py` on a free port, stopped at the end, and its environment."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

ROOT = Path(__file__).resolve().parents[2]
SERVE = ROOT / "tools" / "label" / "serve.py"
STARTING_S = 600.0
ANSWER_S = 1500.0


def label_python() -> Path:
    """Python of MONAI Label's environment; skips on a Python that MONAI Label does not run on."""
    sys.path.append(str(ROOT / "tools" / "label"))
    from environment import PYTHONS, provide_environment

    version = ".".join(map(str, sys.version_info[:2]))
    if version not in PYTHONS:
        pytest.skip(f"MONAI Label 0.8.5 runs on Python {' and '.join(PYTHONS)}, not on {version}")
    return provide_environment()


@contextmanager
def label_server(bundle: str | Path, studies: Path) -> Iterator[str]:
    """Its address, once it answers."""
    port = free_port()
    command = [sys.executable, str(SERVE), str(bundle), "--studies", str(studies), "--port", str(port)]
    log = studies.parent / "server.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
        try:
            wait_for(f"http://127.0.0.1:{port}/info/", process, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(60)


def wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Until the server answers; fails with its output when it ends first or takes too long."""
    end = time.monotonic() + STARTING_S
    while time.monotonic() < end and process.poll() is None:
        try:
            if requests.get(address, timeout=60).ok:
                return
        except requests.ConnectionError:
            time.sleep(0.5)
    pytest.fail(f"the server did not start:\n{log.read_text()}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
