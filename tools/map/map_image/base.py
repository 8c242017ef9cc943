"""The base that the images of all bundles share: Debian, Python 3.11 and the pinned packages."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from _base import ROOT, say
from packing.archive import hash_contents

from . import containerfile, debian, standins
from .engine import Engine
from .manifests import IMAGES
from .packages import read_pins
from .wheels import fetch_wheels, find_pip

BASES = ("cpu", "cuda")
PARTS = ("Containerfile", "packages.txt", "standins.py")


def provide_base(engine: Engine, base: str, cache: Path) -> str:
    """Build the base unless the store has it. Returns its name. Raises ToolError, UnreachableError."""
    context = cache / f"base-{base}"
    fetch_wheels(base, context / "wheels")
    write_context(base, context)
    image = f"{IMAGES}/base:{base}-{hash_context(context)}"
    if not engine.has(image):
        arguments = {"DEBIAN": provide_debian(engine, cache)} if engine.name == "buildah" else {}
        say(f"building {image}: Debian, Python 3.11, {len(read_pins(base))} packages")
        engine.build(image, context, arguments)
    return image


def write_context(base: str, context: Path) -> None:
    """Put everything but the wheels into the folder that the base is built from."""
    (context / "Containerfile").write_text(
        containerfile.write_base(base, find_pip(context / "wheels")), encoding="utf-8"
    )
    pins = "".join(f"{name}=={version}\n" for name, version in read_pins(base).items())
    (context / "packages.txt").write_text(pins, encoding="utf-8")
    shutil.copyfile(standins.__file__, context / "standins.py")


def hash_context(context: Path) -> str:
    """12 hexadecimal digits over the steps, the packages and the names of the wheels."""
    wheels = "\n".join(sorted(os.listdir(context / "wheels"))).encode()
    return hash_contents({"wheels": wheels, **{name: (context / name).read_bytes() for name in PARTS}})[:12]


def provide_debian(engine: Engine, cache: Path) -> str:
    """Make the Debian image from a debootstrap tree unless the store has it. Returns its name."""
    image = f"localhost/{IMAGES}/debian:{debian.SUITE}"
    if not engine.has(image):
        context = cache / "debian"
        debian.provide_rootfs(context / "rootfs.tar")
        (context / "Containerfile").write_text("FROM scratch\nADD rootfs.tar /\n", encoding="utf-8")
        say(f"building {image.removeprefix('localhost/')} from {(context / 'rootfs.tar').relative_to(ROOT)}")
        engine.build(image, context, {})
    return image
