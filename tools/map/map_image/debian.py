"""A minimal Debian as a tar file: what an image starts from where no registry is at hand."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from _base import ToolError, UnreachableError, say

SUITE = "bookworm"
OF_THIS_MACHINE = ("etc/resolv.conf", "etc/hostname", "etc/hosts")
"""debootstrap copies them from here: they do not belong into an image."""

EMPTIED = ("var/cache/apt/archives", "var/lib/apt/lists", "var/log", "dev", "proc", "sys", "tmp")


def provide_rootfs(target: Path) -> None:
    """Make the tar file `target` unless it is there. About two minutes.

    Raises:
        ToolError: debootstrap is not installed, this is not root, or it failed.
        UnreachableError: the Debian mirror did not answer.
    """
    if target.is_file():
        return
    if shutil.which("debootstrap") is None:
        raise ToolError("expected debootstrap, got none: apt-get install debootstrap buildah skopeo umoci")
    if os.geteuid() != 0:
        raise ToolError("expected root for debootstrap, got an ordinary user: start this with sudo")
    say(f"debootstrap makes a minimal Debian ({SUITE})")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        dir=target.parent, prefix="debian-", ignore_cleanup_errors=True
    ) as folder:
        root = Path(folder) / "root"
        command = ["debootstrap", "--variant=minbase", SUITE, str(root)]
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode:
            refuse(done.stdout)
        clean(root)
        unproven = Path(folder) / "rootfs.tar"
        pack(root, unproven)
        unproven.rename(target)


def refuse(output: str) -> None:
    """Raises UnreachableError or ToolError with debootstrap's last word."""
    errors = [line[3:] for line in output.splitlines() if line.startswith("E: ")] or ["no message"]
    if "getting" in errors[-1] or "retriev" in errors[-1]:
        raise UnreachableError(f"expected Debian's archive, debootstrap says '{errors[-1]}': connect")
    raise ToolError(f"expected a Debian by debootstrap, it says '{errors[-1]}': correct that")


def clean(root: Path) -> None:
    """Take away what is of this machine or only needed while installing; name updates beside the archive."""
    for name in OF_THIS_MACHINE:
        (root / name).unlink(missing_ok=True)
    for name in EMPTIED:
        if (root / name).is_symlink():  # inside a container debootstrap links /proc of this machine
            (root / name).unlink()
            (root / name).mkdir()
    sources = root / "etc/apt/sources.list"
    sources.write_text(add_updates(sources.read_text(encoding="utf-8")), encoding="utf-8")


def add_updates(sources: str) -> str:
    """The archive that debootstrap took ("deb URL SUITE main"), and its updates of packages and security."""
    kind, archive, suite, *parts = sources.split()
    places = {archive: (suite, f"{suite}-updates"), f"{archive}-security": (f"{suite}-security",)}
    rows = [(kind, url, name, *parts) for url, names in places.items() for name in names]
    return "".join(f"{' '.join(row)}\n" for row in rows)


def pack(root: Path, target: Path) -> None:
    """Write the tree as a tar without the content of `EMPTIED`, numeric owners, names sorted."""

    def choose(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        inside = any(entry.name.startswith(f"{folder}/") for folder in EMPTIED)
        entry.uname = entry.gname = ""
        return None if inside else entry

    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as archive:
        for entry in sorted(root.iterdir()):
            archive.add(entry, entry.name, filter=choose)
