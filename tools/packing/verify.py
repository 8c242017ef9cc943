"""Proof that a packed bundle loads without this repository: in a folder and a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from common.errors import ConfigError

SMOKE = Path(__file__).with_name("smoke.py")


def isolated_command(*arguments: str) -> tuple[list[str], dict[str, str]]:
    """Command and environment of a Python that has the installed packages but no editable installation.

    `-S` leaves `.pth` files unread; the packages' folders come back through PYTHONPATH.
    """
    places = [place for place in sys.path if Path(place).name in ("site-packages", "dist-packages")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places), "PYTHONDONTWRITEBYTECODE": "1"}
    return [sys.executable, "-S", *arguments], environment


def unpack(archive: Path, folder: Path) -> Path:
    """Unzip into `folder` and return the bundle's root."""
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder)
        return folder / packed.namelist()[0].partition("/")[0]


def verify_zip(archive: Path, repository: Path) -> dict[str, Any]:
    """Unzip in a temporary folder and load everything in a process that cannot see the repository.

    Returns:
        How many modules were imported and targets resolved, and the network's class (None without weights).

    Raises:
        ConfigError: something is missing; the message names it.
    """
    with tempfile.TemporaryDirectory() as folder:
        bundle = unpack(archive, Path(folder))
        command, environment = isolated_command(str(SMOKE), str(bundle), str(repository))
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ConfigError(f"expected a bundle that loads alone, got '{reason}': correct it and pack again")
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result
