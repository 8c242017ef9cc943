"""Orthanc (Debian) with its DICOMweb plug-in for a test: on free ports of 127.0.0.1.

Orthanc 1.10 has no setting for the address it listens on, only one that refuses what comes from elsewhere;
`lone_server` keeps it from listening anywhere else.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from lone_server import is_permitted, run_alone

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
HTTP, DICOM = 8042, 4242
"""Ports inside the namespace, where nobody else is."""


@dataclass(frozen=True)
class Orthanc:
    """A running Orthanc.

    Attributes:
        url: root of its DICOMweb service.
        rest: root of its own interface.
        dicom_port: of C-STORE, on 127.0.0.1.
    """

    url: str
    rest: str
    dicom_port: int

    def send(self, folder: Path) -> None:
        """C-STORE every DICOM file below a folder, with dcmtk's storescu."""
        words = ["storescu", "+sd", "+r", "-xs", "-R", "127.0.0.1", str(self.dicom_port), str(folder)]
        subprocess.run(words, check=True, capture_output=True, text=True)


def need_orthanc() -> None:
    """Skip the test where the Debian packages or network namespaces are missing."""
    if shutil.which("Orthanc") is None or not PLUGIN.is_file() or shutil.which("storescu") is None:
        pytest.skip("needs Orthanc and dcmtk: apt-get install orthanc orthanc-dicomweb dcmtk iproute2")
    if not is_permitted():
        pytest.skip("needs a network namespace: unshare --net --map-root-user is not permitted here")


@contextmanager
def run_orthanc(folder: Path, **settings: Any) -> Iterator[Orthanc]:
    """Start Orthanc; stop it at the end.

    Args:
        folder: of configuration, log and storage; what was stored is there again at the next start.
        settings: of Orthanc's configuration, in addition.
    """
    folder.mkdir(parents=True, exist_ok=True)
    storage = str(folder / "storage")
    config = {
        **{"StorageDirectory": storage, "IndexDirectory": storage, "Plugins": [str(PLUGIN)]},
        **{"HttpPort": HTTP, "DicomPort": DICOM, "RemoteAccessAllowed": False},
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        **settings,
    }
    (folder / "orthanc.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
    program = ["Orthanc", str(folder / "orthanc.json")]
    with run_alone(program, (HTTP, DICOM), folder) as (process, (http, dicom)):
        orthanc = Orthanc(f"http://127.0.0.1:{http}/dicom-web", f"http://127.0.0.1:{http}", dicom)
        _wait_until_up(orthanc, process, folder / "log.txt")
        yield orthanc


def _wait_until_up(orthanc: Orthanc, process: subprocess.Popen, log: Path) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        try:
            if requests.get(f"{orthanc.url}/studies", timeout=5).status_code in (200, 401):
                return
        except requests.RequestException:
            time.sleep(0.1)
    raise RuntimeError(f"Orthanc does not answer: {log.read_text(errors='replace')[-2000:]}")
