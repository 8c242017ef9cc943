"""The Python packages of an image: from requirements.txt, pinned in packages.txt and packages_cuda.txt.

packages.txt names every package of an image with its exact version, for Python 3.11 on Linux x86-64;
packages_cuda.txt what the CUDA base has on top. `tools/map/build.py --resolve` writes both anew.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from _base import ToolError

HERE = Path(__file__).resolve().parent
PINS = {"both": HERE / "packages.txt", "cuda": HERE / "packages_cuda.txt"}
LEFT_OUT = {
    "-e": "each packed bundle brings its own copy of what it uses of common",
    "peft": "training only",
    "python-multipart": "the watcher beside a PACS alone",
    "sqlalchemy": "mlflow's local database: training only",
    "alembic": "mlflow's local database: training only",
    "pytest": "tests",
    "pytest-timeout": "tests",
    "ruff": "checks",
    "mypy": "checks",
    "types-tqdm": "checks",
    "types-pyyaml": "checks",
}
"""Lines of requirements.txt that no image needs, and why."""

CUDA_ONLY = re.compile(r"nvidia-(?!cuda-runtime)|cuda-|cupy-|triton$")
"""Packages that nothing calls without a GPU. The CUDA runtime stays: torch and holoscan ask it for one."""


def normalize(name: str) -> str:
    """Name of a distribution as indexes compare it: "Segment_Anything" -> "segment-anything"."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_requirements(root: Path) -> list[str]:
    """Lines that an image asks pip for: requirements.txt without `LEFT_OUT`, and the App SDK's."""
    lines = []
    for file in (root / "requirements.txt", root / "tools" / "map" / "sdk_requirements.txt"):
        lines += [line.split(" #")[0].strip() for line in file.read_text(encoding="utf-8").splitlines()]
    wanted = [line for line in lines if line and not line.startswith("#")]
    return [line for line in wanted if name_of(line) not in LEFT_OUT]


def name_of(requirement: str) -> str:
    """Name of the distribution in a requirement; "-e" of an editable one."""
    found = re.match(r"-e\b|[A-Za-z0-9][\w.-]*", requirement)
    if not found:
        raise ToolError(f"expected a requirement such as numpy>=2, got '{requirement}': correct it")
    return found[0] if found[0] == "-e" else normalize(found[0])


def read_declared(metadata_files: Iterable[Path]) -> dict[str, str]:
    """Name -> version of what bundles' metadata.json declare.

    Raises:
        ToolError: two bundles declare different versions of one package.
    """
    declared: dict[str, str] = {}
    for file in sorted(metadata_files):
        metadata = json.loads(file.read_text(encoding="utf-8"))
        own = {name: metadata[f"{name}_version"] for name in ("monai", "numpy")}
        own |= {"torch": metadata["pytorch_version"], **metadata.get("required_packages_version", {})}
        own |= metadata.get("optional_packages_version", {})
        for name, version in own.items():
            if declared.setdefault(normalize(name), version) != version:
                raise ToolError(
                    f"expected one version of {name} in all bundles, got {declared[normalize(name)]} and "
                    f"{version} ({file.parents[1].name}): declare the same"
                )
    return declared


def read_pins(base: str) -> dict[str, str]:
    """Name -> version of every package of an image on `base` ("cpu" or "cuda")."""
    files = [PINS["both"]] + ([PINS["cuda"]] if base == "cuda" else [])
    lines = [line for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    pairs = (tuple(line.split("==")) for line in lines if line and not line.startswith("#"))
    return dict(pairs)


def resolve_pins(root: Path) -> None:
    """Let pip find the versions, with what the bundles declare as a constraint, and write the files. Minutes.

    Raises:
        ToolError: this is not Python 3.11, or pip finds no set of versions.
    """
    if sys.version_info[:2] != (3, 11):
        raise ToolError(f"expected Python 3.11 (the image's), got {sys.version.split()[0]}: start with that")
    declared = read_declared(root.glob("bundles/*/configs/metadata.json"))
    with tempfile.TemporaryDirectory() as folder:
        wanted, limits, report = (Path(folder) / name for name in ("wanted.txt", "limits.txt", "report.json"))
        wanted.write_text("\n".join(read_requirements(root)), encoding="utf-8")
        limits.write_text(
            "\n".join(f"{name}=={version}" for name, version in declared.items()), encoding="utf-8"
        )
        command = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--dry-run",
            "--ignore-installed",
            "--quiet",
            "--no-input",
        ]
        command += ["--only-binary", ":all:", "--report", str(report), "-r", str(wanted), "-c", str(limits)]
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode:
            reason = (re.findall(r"^ERROR: (.*)$", done.stderr, re.MULTILINE) or ["no message"])[-1]
            raise ToolError(f"expected one set of versions, pip says '{reason}': correct requirements.txt")
        write_pins(json.loads(report.read_text(encoding="utf-8")))


def write_pins(report: Mapping[str, list[dict[str, dict[str, str]]]]) -> None:
    """Write the two files from pip's installation report."""
    rows = {normalize(row["metadata"]["name"]): row["metadata"]["version"] for row in report["install"]}
    for part, file in PINS.items():
        chosen = sorted(name for name in rows if bool(CUDA_ONLY.match(name)) == (part == "cuda"))
        what = "on top on the CUDA base" if part == "cuda" else "of every image"
        head = f"# Packages {what}; written by: python3 tools/map/build.py --resolve\n"
        file.write_text(
            head + "".join(f"{name}=={rows[name].split('+')[0]}\n" for name in chosen), encoding="utf-8"
        )
