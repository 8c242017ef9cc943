"""What a run in a chroot is started with, and what is refused before."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import run_image
from _base import ToolError
from map_image import chroot
from map_image.engine import Engine

IMAGE = "clinical-monai/toy:0.1.0"


class Store(Engine):
    """A store of buildah with one image and some containers."""

    def __init__(self, folder: Path, there: bool = True, containers: str = "") -> None:
        super().__init__("buildah", folder)
        object.__setattr__(self, "there", there)
        object.__setattr__(self, "containers", containers)
        object.__setattr__(self, "asked", [])

    def require(self) -> None:
        """It is installed."""

    def call(self, *words: str) -> str:
        """Answer as buildah does."""
        self.asked.append(" ".join(words))  # type: ignore[attr-defined]
        if words[0] == "images":
            return "sha256:0123456789abcdef0123\n" if self.there else ""  # type: ignore[attr-defined]
        return self.containers if words[0] == "containers" else ""  # type: ignore[attr-defined]


def test_the_process_is_an_ordinary_user_without_a_network(tmp_path: Path) -> None:
    words = Engine("buildah", tmp_path).command_in("box", ["/a:/b:ro"], ["map-entry", "--set", "x=1"])
    assert words[:3] == ["unshare", "--net", "buildah"]
    assert words[words.index("--user") + 1] == "1000:1000"
    assert words[-6:] == ["--volume=/a:/b:ro", "box", "--", "map-entry", "--set", "x=1"]


def test_a_container_is_made_once_for_each_build_and_older_ones_go(tmp_path: Path) -> None:
    store = Store(tmp_path, containers="map-toy-older\nmap-other-1\nmine\n")
    assert store.provide_container(IMAGE) == "map-toy-0123456789ab"
    assert store.asked[-2:] == [  # type: ignore[attr-defined]
        "rm map-toy-older",
        f"from --pull-never --name map-toy-0123456789ab {IMAGE}",
    ]
    again = Store(tmp_path, containers="map-toy-0123456789ab\n")
    again.provide_container(IMAGE)
    assert not [words for words in again.asked if words.startswith(("rm", "from"))]  # type: ignore[attr-defined]


def test_an_image_that_was_not_built_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ToolError, match=f"expected the image {IMAGE}, got none: build it with tools/map/build.py"
    ):
        Store(tmp_path, there=False).provide_container(IMAGE)


def test_an_ordinary_user_cannot_make_a_chroot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chroot.os, "geteuid", lambda: 1000)
    with pytest.raises(ToolError, match="expected root to make a chroot, got an ordinary user"):
        chroot.run_image(Store(tmp_path), IMAGE, tmp_path, tmp_path / "out", [])


def test_an_input_that_is_no_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chroot.os, "geteuid", lambda: 0)
    with pytest.raises(ToolError, match="expected a folder after --input, got none"):
        chroot.run_image(Store(tmp_path), IMAGE, tmp_path / "none", tmp_path / "out", [])


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a folder to another user: needs root")
def test_a_run_gets_its_folders_and_a_scratch_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []

    def run(words: list[str]) -> object:
        seen.append(words)
        return type("Done", (), {"returncode": 12})()

    monkeypatch.setattr(chroot.subprocess, "run", run)
    (tmp_path / "in").mkdir()
    assert chroot.run_image(Store(tmp_path), IMAGE, tmp_path / "in", tmp_path / "out", ["--set", "a=1"]) == 12
    volumes = [word.removeprefix("--volume=") for word in seen[0] if word.startswith("--volume=")]
    assert volumes[:2] == [f"{tmp_path}/in:/var/holoscan/input:ro", f"{tmp_path}/out:/var/holoscan/output"]
    assert volumes[2].endswith(":/tmp") and not Path(volumes[2].split(":")[0]).exists()
    assert (tmp_path / "out").stat().st_uid == 1000


def test_words_behind_two_dashes_are_the_images() -> None:
    options = run_image.parse(["toy", "--input", "a", "--output", "b", "--", "show", "app"])
    assert options.words == ["show", "app"] and options.base == "cpu"
