"""`.venv` beside the README: the tools make it, fill it and re-start themselves in it. Standard library only.

On disk: `.venv/stamp.json` says that an installation is complete, and of what. `.cache/venv.installing` says
that one began and did not end, so that the next start builds from an empty folder. `.cache/venv.lock` lets
one start install at a time.
"""

import hashlib
import json
import os
import re
import sys
import time
from typing import NoReturn

from _base import CACHE, NEWEST, OLDEST, PYTHON_VERSION, ROOT, ToolError, clock, lock, say
from _install import create_environment, install_requirements, provide_pip

VENV = ROOT / ".venv"
RESTARTED = "CLINICAL_BUNDLES_RESTARTED"


def enter_venv() -> None:
    """Return at once inside a complete `.venv`; otherwise make it and start this very command again in it."""
    try:
        if not is_ready():
            make_venv()
    except ToolError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted: the next start begins the installation anew")
    if os.path.realpath(sys.prefix) != os.path.realpath(VENV):
        restart()


def restart() -> NoReturn:
    """Replace this process by the same command under `.venv`'s Python."""
    if os.environ.get(RESTARTED) == str(os.getpid()):
        sys.exit(f"error: expected to run in {VENV}, got {sys.prefix}: delete {VENV.name} and start again")
    environment = {**os.environ, RESTARTED: str(os.getpid())}
    environment.pop("PYTHONHOME", None)
    sys.stdout.flush()
    python = str(VENV / "bin" / "python")
    os.execve(python, [python, *sys.orig_argv[1:]], environment)


def is_ready() -> bool:
    """Whether `.venv` holds what requirements.txt and pyproject.toml ask for, finished, at this place."""
    if is_interrupted() or not is_usable():
        return False
    try:
        return bool(json.loads((VENV / "stamp.json").read_text(encoding="utf-8")) == expected_stamp())
    except (OSError, ValueError):
        return False


def is_interrupted() -> bool:
    """Whether an installation began and did not end."""
    return (CACHE / "venv.installing").exists()


def is_usable() -> bool:
    """Whether `.venv` has a Python that still exists and that the pinned packages support."""
    return os.access(VENV / "bin" / "python", os.X_OK) and is_supported(venv_version())


def is_supported(version: str) -> bool:
    """Whether "3.11.7" lies within the supported range."""
    return OLDEST <= tuple(int(part) for part in re.findall(r"\d+", version)[:2]) <= NEWEST


def venv_version() -> str:
    """Version of the Python that `.venv` was made with, as its pyvenv.cfg says; empty where there is none."""
    try:
        config = (VENV / "pyvenv.cfg").read_text(encoding="utf-8")
    except OSError:
        return ""
    found = re.search(r"^version(?:_info)?\s*=\s*(\S+)", config, re.MULTILINE)
    return found.group(1) if found else ""


def expected_stamp() -> dict[str, str]:
    """What a finished installation writes: the hash of its inputs, the Python inside, the place."""
    inputs = (ROOT / "requirements.txt").read_text(encoding="utf-8") + packaging_sections(
        (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    )
    digest = hashlib.sha256(inputs.encode()).hexdigest()
    return {"inputs_sha256": digest, "python": venv_version(), "root": str(ROOT)}


def packaging_sections(pyproject: str) -> str:
    """What an installation depends on in pyproject.toml: not the settings of ruff, mypy and pytest."""
    sections = re.split(r"^(?=\[)", pyproject, flags=re.MULTILINE)
    return "".join(
        part for part in sections if part.startswith(("[build-system", "[project", "[tool.setuptools"))
    )


def make_venv() -> None:
    """Complete `.venv` in place, or build it from an empty folder where it was interrupted or does not run.

    Raises:
        ToolError: this Python is too new, or creating or installing failed.
    """
    with lock(CACHE / "venv.lock", "another start is installing: waiting for it") as handle:
        if is_ready():
            return
        started_s, fresh = time.monotonic(), is_interrupted() or not is_usable()
        if fresh and not is_supported(PYTHON_VERSION):
            raise ToolError(f"expected Python 3.10 to 3.13, got {PYTHON_VERSION}: use one of those")
        (CACHE / "venv.installing").touch()
        if fresh:
            create_environment(VENV)
        provide_pip(VENV / "bin" / "python")
        install_requirements(VENV / "bin" / "python", ROOT / "requirements.txt", CACHE / "venv.log", handle)
        write_stamp()
        (CACHE / "venv.installing").unlink()
        say(f"{VENV.name} is complete after {clock(time.monotonic() - started_s)}")


def write_stamp() -> None:
    """Say, in one step, that the installation is complete."""
    temporary = VENV / "stamp.json.tmp"
    temporary.write_text(json.dumps(expected_stamp(), indent=1) + "\n", encoding="utf-8")
    os.replace(temporary, VENV / "stamp.json")
