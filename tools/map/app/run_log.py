"""run.json: how a run went, for operation and audit. Nothing in it says whose images they were."""

from __future__ import annotations

import hashlib
import platform
import resource
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bundle_run import Bundle
from outcome import Outcome

PACKAGES = (
    *("monai", "torch", "openvino", "numpy", "pydicom", "highdicom", "openslide-python", "transformers"),
    *("monai-deploy-app-sdk", "holoscan-cu13"),
)
KB_PER_MB = 1024
UID_CHARACTERS = 16
PLAIN = (bool, int, float, type(None))
"""Types of settings whose values are logged; texts may hold a history or a UID."""


def describe_run(outcome: Outcome, started: str, seconds: float, settings: dict[str, Any]) -> dict[str, Any]:
    """What every run log has, also that of a refusal.

    Args:
        outcome: how it ended.
        started: ISO 8601.
        seconds: wall clock.
        settings: the user's; only numbers are logged with their values.
    """
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "status": outcome.status,
        "exit_code": outcome.exit_code,
        "message": outcome.message,
        "started": started,
        "seconds": round(seconds, 1),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
        "peak_memory_mb": used.ru_maxrss // KB_PER_MB,
        "settings": {
            key: value if isinstance(value, PLAIN) else "(given)" for key, value in settings.items()
        },
        "files": [],
        "versions": describe_versions(),
    }


def describe_bundle(bundle: Bundle) -> dict[str, Any]:
    """Which bundle with which weights."""
    return {
        "bundle": {"name": bundle.name, "version": bundle.version, "package": bundle.package},
        "weights_sha256": bundle.weights_sha256,
    }


def describe_results(
    findings: list[Any], folder: Path, names: list[Path], redact: Callable[[str], str]
) -> dict[str, Any]:
    """What was found, in which studies, and the files. A study is known by a part of its UID's hash."""
    return {
        "findings": [{"headline": redact(one.headline), "empty": one.empty} for one in findings],
        "studies": sorted({hash_study(folder / name) for name in names if name.suffix == ".dcm"}),
        "files": [name.as_posix() for name in names],
    }


def hash_study(path: Path) -> str:
    """The first characters of the sha256 of a DICOM file's StudyInstanceUID."""
    import pydicom

    header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["StudyInstanceUID"])
    return hashlib.sha256(str(header.StudyInstanceUID).encode()).hexdigest()[:UID_CHARACTERS]


def describe_versions() -> dict[str, str]:
    """Of Python and the packages that are installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
