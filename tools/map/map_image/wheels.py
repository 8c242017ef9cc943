"""The wheels of an image, fetched by this machine's pip, whose configuration stays here."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from _base import ToolError, UnreachableError, say

from .packages import normalize, read_pins

PLATFORMS = [f"manylinux_2_{minor}_x86_64" for minor in range(36, 4, -1)]
PLATFORMS += [f"manylinux{name}_x86_64" for name in (2014, 2010, 1)] + ["linux_x86_64"]
"""Debian 12 has glibc 2.36."""

UNREACHED = re.compile(r"connection|retries|timed out|resolve|temporary failure", re.IGNORECASE)


def fetch_wheels(base: str, folder: Path) -> None:
    """Make `folder` hold exactly the wheels of the pinned packages of `base`.

    Raises:
        UnreachableError: an index did not answer.
        ToolError: pip does not find one of them.
    """
    pins = read_pins(base)
    folder.mkdir(parents=True, exist_ok=True)
    for wheel in list_unwanted(folder, pins):
        wheel.unlink()
    missing = [
        f"{name}=={version}" for name, version in pins.items() if (name, version) not in list_wheels(folder)
    ]
    if not missing:
        return
    say(f"pip downloads {len(missing)} wheels of Python 3.11")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    command += ["--no-input", "--python-version", "3.11", "--implementation", "cp"]
    command += [word for abi in ("cp311", "abi3", "none") for word in ("--abi", abi)]
    command += [word for platform in PLATFORMS for word in ("--platform", platform)]
    done = subprocess.run(
        [*command, "--dest", str(folder), *missing], capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    if done.returncode:
        refuse(done.stderr)


def refuse(errors: str) -> None:
    """Raises UnreachableError or ToolError with pip's last word."""
    reason = (re.findall(r"^ERROR: (.*)$", errors, re.MULTILINE) or ["no message"])[-1]
    if UNREACHED.search(reason):
        raise UnreachableError(f"expected wheels from the index, pip says '{reason}': connect and try again")
    raise ToolError(f"expected every package of packages.txt as a wheel, pip says '{reason}': see --resolve")


def list_wheels(folder: Path) -> dict[tuple[str, str], Path]:
    """(name, version without its local part) -> wheel."""
    wheels = sorted(folder.glob("*.whl"))
    return {
        (normalize(wheel.name.split("-")[0]), wheel.name.split("-")[1].split("+")[0]): wheel
        for wheel in wheels
    }


def list_unwanted(folder: Path, pins: dict[str, str]) -> list[Path]:
    """Wheels of other versions, and what is not a wheel."""
    wanted = {wheel for row, wheel in list_wheels(folder).items() if row in pins.items()}
    return [file for file in folder.iterdir() if file not in wanted]


def find_pip(folder: Path) -> str:
    """Name of pip's own wheel, which runs as it is. Raises ToolError."""
    found = [wheel for (name, _), wheel in list_wheels(folder).items() if name == "pip"]
    if not found:
        raise ToolError("expected pip among the wheels, got none: put it into packages.txt (--resolve)")
    return found[0].name
