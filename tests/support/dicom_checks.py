"""The strict outside judge of DICOM objects, and where to get it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pydicom
import pytest
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

needs_dciodvfy = pytest.mark.skipif(
    shutil.which("dciodvfy") is None, reason="dciodvfy is missing: apt-get install dicom3tools"
)


def find_errors(path: Path) -> list[str]:
    """Lines of dciodvfy that name an error."""
    done = subprocess.run(
        ["dciodvfy", str(path)], capture_output=True, text=True, check=False, errors="replace"
    )
    return [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]


def read_without_times(path: Path) -> Dataset:
    """A DICOM file without its dates and times, those in sequences too: what two runs must have in common."""
    dataset = pydicom.dcmread(path)

    def drop(item: Dataset, element: DataElement) -> None:
        if element.VR in ("DA", "TM", "DT"):
            del item[element.tag]

    dataset.walk(drop)
    return dataset
