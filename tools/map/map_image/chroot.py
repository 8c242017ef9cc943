"""An image as a process in a chroot, by buildah: ordinary user, no network, input read-only, nothing kept."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from _base import ToolError

from .containerfile import ENTRY
from .engine import Engine
from .manifests import INPUT, OUTPUT, USER_ID


def run_image(engine: Engine, image: str, input_dir: Path, output_dir: Path, words: Sequence[str]) -> int:
    """Run the image once on a folder. Returns the exit code.

    Args:
        engine: buildah.
        image: its name.
        input_dir: only read.
        output_dir: made for the image's user when it is not there; he must be able to write it.
        words: what stands behind the image's name.

    Raises:
        ToolError: this is not root, the input is no folder, or buildah has no such image.
    """
    if os.geteuid() != 0:
        raise ToolError("expected root to make a chroot, got an ordinary user: start this with sudo")
    if not input_dir.is_dir():
        raise ToolError("expected a folder after --input, got none: check the path")
    engine.require()
    container = engine.provide_container(image)
    if not output_dir.exists():
        output_dir.mkdir(parents=True)
        os.chown(output_dir, USER_ID, USER_ID)
    with tempfile.TemporaryDirectory(prefix="map-") as scratch:
        os.chown(scratch, USER_ID, USER_ID)
        volumes = [f"{input_dir.resolve()}:{INPUT}:ro", f"{output_dir.resolve()}:{OUTPUT}", f"{scratch}:/tmp"]
        return subprocess.run(engine.command_in(container, volumes, [ENTRY, *words])).returncode
