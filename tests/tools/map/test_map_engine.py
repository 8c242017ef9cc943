"""What docker, podman and buildah are asked for; small programs stand in their place."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import build
import pytest
from _base import ToolError
from map_image.engine import Engine

PROGRAM = """#!{python}
import json, sys
from pathlib import Path
with Path({log!r}).open("a") as log:
    log.write(json.dumps(sys.argv[1:]) + "\\n")
words = [word for word in sys.argv[1:] if not word.startswith("-")]
answers = {answers!r}
print(next((answer for start, answer in answers.items() if start in " ".join(words)), ""))
if {fails}:
    print("storing layer: no space left", file=sys.stderr)
    sys.exit(125)
"""


class Place:
    """A folder on PATH with small programs, and what they were called with."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.log = folder, folder / "calls.txt"
        monkeypatch.setenv("PATH", str(folder))

    def put(self, name: str, fails: bool = False, **answers: str) -> Engine:
        """Put an engine there that answers calls by a part of their words."""
        text = PROGRAM.format(python=sys.executable, log=str(self.log), answers=answers, fails=fails)
        (self.folder / name).write_text(text)
        (self.folder / name).chmod(0o755)
        return Engine(name, self.folder / "storage")

    def calls(self) -> list[list[str]]:
        """The words of every call."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """An empty PATH."""
    return Place(tmp_path, monkeypatch)


@pytest.mark.parametrize("name", ["docker", "podman"])
def test_docker_and_podman_build_from_the_containerfile(place: Place, name: str) -> None:
    place.put(name).build("toy:1", Path("/context"), {"BASE": "base:1"})
    expected = ["build", "--tag", "toy:1", "--file", "/context/Containerfile", "--build-arg", "BASE=base:1"]
    assert place.calls() == [[*expected, "/context"]]


def test_buildah_needs_no_engine_no_registry_and_no_kernel_driver(place: Place) -> None:
    place.put("buildah").build("toy:1", Path("/context"), {})
    (words,) = [words for words in place.calls() if "build" in words]
    assert words[:6] == [
        *("--root", str(place.folder / "storage/images"), "--runroot", str(place.folder / "storage/run")),
        *("--storage-driver", "vfs"),
    ]
    assert "--pull-never" in words and words[words.index("--isolation") + 1] == "chroot"
    assert words[words.index("--format") + 1] == "oci"


def test_buildah_frees_the_earlier_image_of_a_name(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = iter(["old", "new", "same", "same"])
    engine = place.put("buildah")
    monkeypatch.setattr(Engine, "number", lambda self, image: next(numbers))
    engine.build("toy:1", Path("/context"), {})
    assert place.calls()[-1][6:] == ["rmi", "--force", "old"]
    engine.build("toy:1", Path("/context"), {})
    assert "rmi" not in place.calls()[-1]


@pytest.mark.parametrize("name", ["docker", "podman"])
def test_reading_from_an_image_cuts_the_network(place: Place, name: str) -> None:
    assert place.put(name, run="bill").read("toy:1", ["show", "bom"]) == "bill\n"
    assert place.calls() == [["run", "--rm", "--network", "none", "toy:1", "show", "bom"]]


def test_buildah_reads_in_a_container_that_it_keeps(place: Place) -> None:
    place.put("unshare", buildah="bill")
    engine = place.put("buildah", images="sha256:0123456789abcdef", containers="")
    assert engine.read("clinical-monai/toy:1", ["show", "app"]) == "bill\n"
    made, run = place.calls()[-2:]
    assert made[6:] == ["from", "--pull-never", "--name", "map-toy-0123456789ab", "clinical-monai/toy:1"]
    assert run[:2] == ["--net", "buildah"]
    assert run[-5:] == ["map-toy-0123456789ab", "--", "/usr/local/bin/map-entry", "show", "app"]


def test_archives_are_oci_from_buildah_and_the_engines_own_otherwise(place: Place) -> None:
    (place.folder / "a.tar").write_text("old")
    place.put("buildah").export("toy:1", place.folder / "a.tar")
    place.put("docker").export("toy:1", place.folder / "a.tar")
    assert place.calls()[0][-1] == f"oci-archive:{place.folder}/a.tar:toy:1"
    assert place.calls()[1] == ["save", "--output", f"{place.folder}/a.tar", "toy:1"]
    assert not (place.folder / "a.tar").exists()


def test_whether_an_image_is_there(place: Place) -> None:
    assert place.put("docker", images="0123abcd").has("toy:1")
    assert not place.put("docker").has("toy:1")


def test_size_is_the_engines_or_the_sum_of_buildahs_layers(place: Place) -> None:
    assert place.put("docker", image="1234").size_bytes("toy:1") == 1234
    files = {
        "vfs-layers/layers.json": [
            {"id": "top", "parent": "low", "diff-size": 30},
            {"id": "low", "diff-size": 4},
            {"id": "other", "diff-size": 500},
        ],
        "vfs-images/images.json": [{"id": "abc", "layer": "top"}, {"id": "def", "layer": "other"}],
    }
    for name, rows in files.items():
        file = place.folder / "storage/images" / name
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(rows))
    assert place.put("buildah", images="sha256:abc").size_bytes("toy:1") == 34


def test_a_failure_is_the_last_line_of_the_engine(place: Place) -> None:
    with pytest.raises(ToolError, match=r"^podman build failed: storing layer: no space left$"):
        place.put("podman", fails=True).build("toy:1", Path("/context"), {})


@pytest.mark.parametrize(("name", "packages"), [("podman", "podman"), ("buildah", "buildah skopeo umoci")])
def test_a_missing_engine_is_named_with_its_packages(place: Place, name: str, packages: str) -> None:
    with pytest.raises(ToolError, match=f"expected {name}, got none: apt-get install {packages}"):
        Engine(name, place.folder).require()


def test_a_name_and_an_engine_are_needed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        build.parse(["ksam_kidney_seg"])
    assert "NAME and --engine are needed" in capsys.readouterr().err
    assert build.parse(["--resolve"]).resolve


def test_the_tool_ends_with_one_line_where_the_engine_lacks(
    place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build._venv, "enter_venv", lambda: None)
    monkeypatch.setattr(build, "MAP_CACHE", place.folder)
    assert build.main(["ksam_kidney_seg", "--engine", "podman"]) == 1
    assert capsys.readouterr().err == "error: expected podman, got none: apt-get install podman\n"
