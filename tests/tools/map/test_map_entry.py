"""The first process of an image, run here on folders of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import map_image
import pytest

ENTRY = Path(map_image.__file__).with_name("map_entry.sh")


class Image:
    """The places of an image in a temporary folder."""

    def __init__(self, root: Path) -> None:
        self.root, self.export = root, root / "export"
        files = {"app/__main__.py": "import sys; print('ran', *sys.argv[1:]); sys.exit(10)", "app/a/b.py": ""}
        files |= {"models/toy/model.pt": "weights", "docs/bom.cdx.json": '{"bomFormat": "CycloneDX"}'}
        files |= {"etc/app.json": '{"command": "x"}', "etc/pkg.json": '{"models": []}', "app.yaml": "# none"}
        for name, content in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(content)
        self.environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOLOSCAN_MODEL_PATH": str(root / "models"),
            "HOLOSCAN_DOCS": str(root / "docs"),
            "HOLOSCAN_CONFIG_PATH": str(root / "app.yaml"),
            "HOLOSCAN_APP_MANIFEST_PATH": str(root / "etc/app.json"),
            "HOLOSCAN_PKG_MANIFEST_PATH": str(root / "etc/pkg.json"),
            "MAP_APPLICATION": str(root / "app"),
            "MAP_EXPORT": str(self.export),
        }

    def start(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Start the image with words behind its name."""
        command = ["sh", str(ENTRY), *words]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True)

    def exported(self) -> list[str]:
        """Files below the export folder."""
        return sorted(str(path.relative_to(self.export)) for path in self.export.rglob("*") if path.is_file())


@pytest.fixture
def image(tmp_path: Path) -> Image:
    """A small image."""
    return Image(tmp_path)


def test_without_words_the_application_runs_and_its_exit_code_is_the_images(image: Image) -> None:
    done = image.start()
    assert (done.returncode, done.stdout) == (10, "ran\n")


def test_options_reach_the_application_as_they_are(image: Image) -> None:
    assert image.start("--set", "text=a b  c").stdout == "ran --set text=a b  c\n"


def test_show_prints_both_manifests_or_one(image: Image) -> None:
    assert image.start("show").stdout == '{"command": "x"}{"models": []}'
    assert json.loads(image.start("show", "app").stdout) == {"command": "x"}
    assert json.loads(image.start("show", "pkg").stdout) == {"models": []}
    assert json.loads(image.start("show", "bom").stdout) == {"bomFormat": "CycloneDX"}


def test_show_of_anything_else_is_refused(image: Image) -> None:
    done = image.start("show", "me")
    assert done.returncode == 14
    assert done.stderr == "error: expected show, or show app, pkg or bom, got 'me': choose one\n"


def test_extract_fills_the_folders_that_are_mounted(image: Image) -> None:
    for part in ("app", "config"):
        (image.export / part).mkdir(parents=True)
    assert image.start("extract").returncode == 0
    config = ["config/app.json", "config/app.yaml", "config/pkg.json"]
    assert image.exported() == ["app/__main__.py", "app/a/b.py", *config]


def test_extract_copies_everything_where_no_part_is_mounted(image: Image) -> None:
    image.export.mkdir()
    assert image.start("extract").returncode == 0
    parts = ["docs/bom.cdx.json", "models/toy/model.pt"]
    config = ["config/app.json", "config/app.yaml", "config/pkg.json"]
    assert image.exported() == sorted(["app/__main__.py", "app/a/b.py", *config, *parts])
    assert (image.export / "models/toy/model.pt").read_text() == "weights"


def test_extract_without_a_mounted_folder_is_refused(image: Image) -> None:
    done = image.start("extract")
    assert done.returncode == 14
    assert done.stderr == f"error: expected a folder mounted at {image.export}, got none: mount one\n"


def test_extract_into_a_full_or_foreign_folder_is_refused(image: Image) -> None:
    (image.export / "app").mkdir(parents=True)
    (image.export / "app" / "a").write_text("a file in the way")
    done = image.start("extract")
    assert done.returncode == 13
    assert f"error: expected {image.export}/app that user" in done.stderr
