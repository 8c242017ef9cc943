"""Toy studies for the tests of the watcher, and a command that is fast: two results for each study."""

from __future__ import annotations

import datetime
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
from pacs.command import Command, parse_template
from pacs.dicomweb import DicomWeb
from pacs.state import State
from pacs.study import StudyRunner
from pacs.watcher import Rules, Watcher
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

WATCHER = Path(__file__).resolve().parents[2] / "tools" / "map" / "watch_pacs.py"
TODAY = f"{datetime.date.today():%Y%m%d}"

COMMAND = r"""
import os, re, sys, time
source, output, runs = sys.argv[1:]
files = sorted(os.listdir(source))
content = open(os.path.join(source, files[0]), "rb").read()
study = re.search(rb"1\.2\.826\.0\.1\.\d{4}", content).group().decode()
with open(runs, "a") as file:
    file.write(f"{study} {len(files)}\n")
old = re.search(rb"1\.2\.826\.0\.1\.\d{4}\.\d\.\d{4}", content).group()
os.mkdir(os.path.join(output, "dicom"))
for _ in range(2):
    number = str(int.from_bytes(os.urandom(16), "big") + 10**40)
    new = content.replace(old, ("2.25." + number)[: len(old)].encode()).replace(b"CS\2\0CT", b"CS\2\0OT")
    with open(os.path.join(output, "dicom", number + ".dcm"), "wb") as file:
        file.write(new)
"""
"""Program of the toy command; arguments: input folder, output folder, file that takes a line for each run.

The UIDs of its results are new in every run, so that results that are stored twice are seen.
"""

RESULTS = 2
"""Instances that the toy command makes of a study."""


def study_uid(study: int) -> str:
    """UID of the toy study 0, 1, 2, ..."""
    return f"1.2.826.0.1.{1000 + study}"


def build_instance(
    study: int, number: int, modality: str = "CT", series: int = 1, date: str = TODAY, **more: str
) -> Dataset:
    """An instance without pixels, of a patient who must not appear in any log."""
    one, meta = Dataset(), FileMetaDataset()
    one.SOPClassUID = meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    one.StudyInstanceUID = study_uid(study)
    one.SeriesInstanceUID = f"{study_uid(study)}.{series}"
    one.SOPInstanceUID = f"{one.SeriesInstanceUID}.{1000 + number}"
    meta.MediaStorageSOPInstanceUID, meta.TransferSyntaxUID = one.SOPInstanceUID, ExplicitVRLittleEndian
    one.PatientName, one.PatientID = "Sample^Sally", f"SECRET{study}"
    one.StudyDate, one.Modality, one.StudyDescription = date, modality, "Kidneys"
    for keyword, value in more.items():
        setattr(one, keyword, value)
    one.file_meta = meta
    return one


def write_command(folder: Path, before: str = "") -> tuple[str, Path]:
    """The toy command as a template, and the file that counts its runs.

    Args:
        folder: for both files.
        before: Python that is run after the run was noted and before results are made.
    """
    script, runs = folder / "toy_command.py", folder / "runs.txt"
    script.write_text(COMMAND.replace("old = ", f"{before}\nold = "), encoding="utf-8")
    runs.touch()
    return f"{sys.executable} -I -S {script} {{input}} {{output}} {runs}", runs


def build_watcher(url: str, folder: Path, command: str, said: list[str], **rules: object) -> Watcher:
    """A watcher that takes CT studies at once; what it says goes into a list."""
    folder.mkdir(exist_ok=True)
    usual = {"description": None, "since": None, "late_days": 7, "quiet_s": 0.0, "interval_s": 1.0}
    retries = {"attempts": 3, "first_wait_s": 0.0}
    with (folder / "watch.lock").open("w") as lock:
        handle = os.dup(lock.fileno())
    runner = StudyRunner(
        server=DicomWeb(url, requests.Session(), 5),
        state=State(folder / "state.sqlite"),
        command=Command(parse_template(command), 60, handle),
        modality="CT",
        work=folder / "work",
        min_free_gb=0.0,
    )
    return Watcher(runner, Rules(**{**usual, **retries, **rules}), said.append)  # type: ignore[arg-type]


@contextmanager
def started(url: str, folder: Path, command: str, *more: str) -> Iterator[subprocess.Popen[str]]:
    """The service as a hospital starts it, with its state in `folder`; killed (SIGKILL) at the end."""
    words = ["--state", str(folder / "state"), "--url", url, "--modality", "CT", "--command", command]
    times = ["--quiet", "0", "--interval", "1", "--first-wait", "0"]
    limits = ["--attempts", "1000", "--min-free-gb", "0"]
    process = subprocess.Popen(
        [sys.executable, str(WATCHER), *words, *times, *limits, *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()
