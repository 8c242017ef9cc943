"""The shared base: one for each set of packages and steps, made once."""

from __future__ import annotations

from pathlib import Path

import pytest
from map_image import base
from map_image.base import hash_context, provide_base


class Engine:
    """Remembers what it built."""

    def __init__(self, name: str) -> None:
        self.name, self.built = name, {}

    def has(self, image: str) -> bool:
        """Whether it was built."""
        return image in self.built

    def build(self, image: str, context: Path, arguments: dict[str, str]) -> None:
        """Remember the arguments."""
        self.built[image] = arguments


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with two wheels and a Debian; nothing is fetched."""

    def fetch(kind: str, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("pip-26.3-py3-none-any.whl", "torch-2.14.1-cp311-cp311-linux_x86_64.whl"):
            (folder / name).touch()

    def provide_rootfs(target: Path) -> None:
        target.parent.mkdir(exist_ok=True)
        target.touch()

    monkeypatch.setattr(base, "fetch_wheels", fetch)
    monkeypatch.setattr(base, "ROOT", tmp_path)
    monkeypatch.setattr(base.debian, "provide_rootfs", provide_rootfs)
    return tmp_path


def test_docker_starts_from_debian_of_its_registry(cache: Path) -> None:
    engine = Engine("docker")
    image = provide_base(engine, "cpu", cache)
    assert engine.built == {image: {}}
    assert image.startswith("clinical-monai/base:cpu-")
    assert (cache / "base-cpu/packages.txt").read_text().startswith("absl-py==")
    assert (
        "/context/wheels/pip-26.3-py3-none-any.whl/pip install"
        in (cache / "base-cpu/Containerfile").read_text()
    )


def test_buildah_starts_from_a_debian_of_its_own(cache: Path) -> None:
    engine = Engine("buildah")
    image = provide_base(engine, "cpu", cache)
    debian = "localhost/clinical-monai/debian:bookworm"
    assert engine.built == {debian: {}, image: {"DEBIAN": debian}}
    assert (cache / "debian/Containerfile").read_text() == "FROM scratch\nADD rootfs.tar /\n"


def test_the_base_is_built_once_and_again_when_a_wheel_changes(cache: Path) -> None:
    engine = Engine("docker")
    first = provide_base(engine, "cpu", cache)
    assert provide_base(engine, "cpu", cache) == first and len(engine.built) == 1
    (cache / "base-cpu/wheels/torch-2.14.1-cp311-cp311-linux_x86_64.whl").rename(
        cache / "base-cpu/wheels/torch-2.14.1+cpu-cp311-cp311-linux_x86_64.whl"
    )
    assert hash_context(cache / "base-cpu") != first.rpartition("-")[2]


def test_the_bases_differ(cache: Path) -> None:
    engine = Engine("docker")
    assert provide_base(engine, "cpu", cache) != provide_base(engine, "cuda", cache)
