"""The minimal Debian: nothing of this machine in it, and what debootstrap's failures mean."""

from __future__ import annotations

import sys
import tarfile
from pathlib import Path

import pytest
from _base import ToolError, UnreachableError
from map_image import debian
from map_image.debian import provide_rootfs

DEBOOTSTRAP = """#!{python}
import sys
from pathlib import Path
root = Path(sys.argv[3])
files = ["etc/resolv.conf", "etc/hostname", "etc/apt/sources.list", "usr/bin/bash", "var/log/apt/history.log"]
files += ["var/cache/apt/archives/bash.deb", "var/lib/dpkg/status"]
for name in files:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text("deb http://archive/debian bookworm main")
(root / "bin").symlink_to("usr/bin")
(root / "proc").symlink_to("/proc")
print({said!r})
sys.exit({code})
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Root's PATH with nothing on it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(debian.os, "geteuid", lambda: 0)
    return tmp_path


def put(place: Path, said: str = "I: done", code: int = 0) -> None:
    """Put a small debootstrap there."""
    (place / "debootstrap").write_text(DEBOOTSTRAP.format(python=sys.executable, said=said, code=code))
    (place / "debootstrap").chmod(0o755)


def test_the_tar_has_the_tree_without_what_is_of_this_machine(place: Path) -> None:
    put(place)
    provide_rootfs(place / "cache" / "rootfs.tar")
    with tarfile.open(place / "cache" / "rootfs.tar") as archive:
        entries = {entry.name: entry for entry in archive}
        sources = archive.extractfile("etc/apt/sources.list")
        assert sources is not None
        assert sources.read().decode().splitlines() == [
            "deb http://archive/debian bookworm main",
            "deb http://archive/debian bookworm-updates main",
            "deb http://archive/debian-security bookworm-security main",
        ]
    files = {name for name, entry in entries.items() if entry.isfile()}
    assert files == {"etc/apt/sources.list", "usr/bin/bash", "var/lib/dpkg/status"}
    assert entries["bin"].issym() and entries["proc"].isdir()
    assert {(entry.uname, entry.gname) for entry in entries.values()} == {("", "")}
    assert [path.name for path in (place / "cache").iterdir()] == ["rootfs.tar"]


def test_a_tar_that_is_there_is_kept(place: Path) -> None:
    (place / "rootfs.tar").write_text("kept")
    provide_rootfs(place / "rootfs.tar")
    assert (place / "rootfs.tar").read_text() == "kept"


def test_a_missing_debootstrap_is_named_with_its_package(place: Path) -> None:
    with pytest.raises(ToolError, match="expected debootstrap, got none: apt-get install debootstrap"):
        provide_rootfs(place / "rootfs.tar")


def test_an_ordinary_user_is_refused(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(place)
    monkeypatch.setattr(debian.os, "geteuid", lambda: 1000)
    with pytest.raises(ToolError, match="expected root for debootstrap, got an ordinary user"):
        provide_rootfs(place / "rootfs.tar")


@pytest.mark.parametrize(
    ("said", "kind", "expected"),
    [
        (
            "I: x\nE: Failed getting release file",
            UnreachableError,
            "debootstrap says 'Failed getting release",
        ),
        (
            "E: Couldn't retrieve dists",
            UnreachableError,
            "expected Debian's archive, debootstrap says 'Couldn't retrieve dists'",
        ),
        ("E: Invalid Release signature", ToolError, "it says 'Invalid Release signature': correct that"),
        ("", ToolError, "it says 'no message'"),
    ],
)
def test_a_failure_is_one_line_and_leaves_nothing(
    place: Path, said: str, kind: type[ToolError], expected: str
) -> None:
    put(place, said, code=1)
    with pytest.raises(kind, match=expected) as caught:
        provide_rootfs(place / "cache" / "rootfs.tar")
    assert type(caught.value) is kind and list((place / "cache").iterdir()) == []
