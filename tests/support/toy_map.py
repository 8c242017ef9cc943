"""What the tests of the applications run: the bundles' own configs with pipelines that answer at once."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from toy_mammo import make_boxes, write_boxes
from toy_segmenter import body_template, ct_task, segmenter_of

from ksam.task_segmenter import TaskSegmenter

ROOT = Path(__file__).resolve().parents[2]
APP = ROOT / "tools" / "map" / "app"
KSAM = ROOT / "bundles" / "ksam_kidney_seg"
MMBCD = ROOT / "bundles" / "mmbcd_mammo"

PATIENT = {
    "PatientName": "Kowalska^Zofia",
    "PatientID": "PAT-884422",
    "PatientBirthDate": "19510317",
    "AccessionNumber": "ACC77123",
    "StudyID": "STU4455",
    "ReferringPhysicianName": "Nowak^Adam",
    "PatientAddress": "Polna 7",
    "SeriesDescription": "Nerki Kowalska",
}
"""Elements that must stand in no log."""


def build_segmenter() -> TaskSegmenter:
    """Of `toy_segmenter`: finds a dark and a light square."""
    return segmenter_of(ct_task(body_template("a"), body_template("b")))


TOY_KSAM: dict[str, Any] = {
    "evaluator": {
        "_target_": "ksam.pipeline.SegmentationPipeline",
        "dataset": "@dataset",
        "segmenter": {"_target_": "toy_map.build_segmenter"},
        "output_dir": "@output_dir",
    }
}
"""Settings that put the toy segmenter into KSAM's configs."""


def toy_mmbcd_settings(folder: Path) -> dict[str, Any]:
    """Settings that put the smallest network with text and given regions into MMBCD's configs."""
    boxes = write_boxes(folder / "boxes.json", make_boxes())
    network = {"_target_": "toy_mammo.make_network", "folder": str(folder / "text")}
    return {"network_def": network, "boxes": str(boxes), "engine": "torch"}


PACKAGE = """
import errno
import time
from pathlib import Path
from types import SimpleNamespace


class BundleError(Exception):
    pass


class InputError(BundleError):
    pass


class OutputError(BundleError):
    pass


class Dataset:
    def __init__(self, path):
        self.path = Path(path)

    def __len__(self):
        return 1


class Pipeline:
    def __init__(self, dataset, output_dir, act):
        self.dataset, self.output, self.act, self.findings = dataset, Path(output_dir), act, []

    def run(self):
        (self.output / "dicom").mkdir()
        (self.output / "result.txt").write_text(self.act)
        (self.output / ".hidden").write_text("rest of a writer")
        (self.output / "dicom" / "half.bin").write_text("half")
        if self.act == "wait":
            time.sleep(600)
        if self.act == "full":
            raise OSError(errno.ENOSPC, "No space left on device", str(self.output))
        if self.act == "fault":
            raise KeyError("Kowalska^Zofia")
        if self.act == "memory":
            raise MemoryError
        if self.act == "wrapped":
            try:
                raise OutputError("report.html: expected a writable place, got 'quota'")
            except OutputError as error:
                raise RuntimeError("failed to instantiate") from error
        if self.act in ("one of two", "empty", "done"):
            self.findings.append(SimpleNamespace(case="a", headline="All is well", empty=self.act == "empty"))
        if self.act == "one of two":
            raise InputError("expected 2 readable cases, 1 was refused")
"""


def write_toy_bundle(root: Path, package: str = "toy_acting") -> Path:
    """A bundle whose setting `act` says how its run ends, with an own copy of the errors."""
    for name in ("configs", "models", package):
        (root / name).mkdir(parents=True)
    (root / package / "__init__.py").write_text(PACKAGE, encoding="utf-8")
    (root / "models" / "model.pt").write_bytes(b"weights")
    dataset = {"_target_": f"{package}.Dataset", "path": "@dataset_dir"}
    pipeline = {
        "_target_": f"{package}.Pipeline",
        "dataset": "@dataset",
        "output_dir": "@output_dir",
        "act": "@act",
    }
    inference = {"bundle_root": ".", "dataset_dir": "in", "output_dir": "out", "act": "done", "seed": 0}
    configs: dict[str, Any] = {
        "inference": inference | {"dataset": None, "evaluator": pipeline, "run": ["$@evaluator.run()"]},
        "deploy": {"dataset": dataset},
        "metadata": {"version": "1.2.3"},
    }
    for name, content in configs.items():
        (root / "configs" / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return root


def write_manifest(root: Path, package: str) -> Path:
    """manifest.json as a packed bundle has it."""
    hashes = {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    path = root / package / "_vendor" / "manifest.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"bundle": "toy", "version": "1.2.3", "files_sha256": hashes}), "utf-8")
    return path


def list_files(folder: Path) -> set[str]:
    """Every file below a folder, hidden ones too."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
