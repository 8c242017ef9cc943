"""The environment of the MONAI Label server in .cache/label/env: its own packages above those of `.venv`.

It looks first into its own folder and then into that of `.venv`, which it never changes: the server runs the
bundles with the very packages that `monai.bundle run` uses, and 0.9 GB of its own. `stamp.json` says of what
the environment was made; another stamp means that it is made again.
"""

import hashlib
import json
import time
from pathlib import Path

import _venv
from _base import CACHE, ToolError, clock, lock, say
from _install import create_environment, install_requirements, provide_pip

FOLDER = CACHE / "label" / "env"
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
PYTHONS = ("3.10", "3.11")


def provide_environment(folder: Path = FOLDER) -> Path:
    """Its Python; the environment is made where it is not there, or not of these requirements.

    Raises:
        ToolError: a Python that MONAI Label does not run on, or installing failed.
    """
    python = folder / "bin" / "python"
    version = ".".join(_venv.venv_version().split(".")[:2])
    if version not in PYTHONS:
        raise ToolError(
            f"expected .venv of Python {' or '.join(PYTHONS)} (MONAI Label 0.8.5 imports distutils and cgi), "
            f"got {version}: delete .venv and start the tool with one of those"
        )
    with lock(folder.with_suffix(".lock"), "another start is installing: waiting for it") as handle:
        if not is_ready(folder):
            make_environment(folder, python, handle)
    return python


def is_ready(folder: Path) -> bool:
    """Whether a finished installation of these requirements above this `.venv` stands there."""
    try:
        stamp = json.loads((folder / "stamp.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(stamp == expected_stamp())


def expected_stamp() -> dict[str, object]:
    """What the environment is made of."""
    digest = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    return {"requirements_sha256": digest, "beneath": _venv.expected_stamp()}


def make_environment(folder: Path, python: Path, handle: int) -> None:
    """Make it from an empty folder; the stamp comes last. Raises ToolError."""
    started_s = time.monotonic()
    create_environment(folder)
    site = next((folder / "lib").glob("python*/site-packages"))
    beneath = next((_venv.VENV / "lib").glob("python*/site-packages"))
    (site / "beneath.pth").write_text(f"{beneath}\n", encoding="utf-8")
    provide_pip(python)
    install_requirements(python, REQUIREMENTS, folder.with_suffix(".log"), handle, ("--no-deps",))
    (folder / "stamp.json").write_text(json.dumps(expected_stamp(), indent=1) + "\n", encoding="utf-8")
    say(f"MONAI Label's environment is complete after {clock(time.monotonic() - started_s)}")
