"""What is built again and what is not; the folder that an image is built from."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path

import pytest
from _base import ToolError
from map_image.bundle import INPUTS, read_package, read_resources, unpack, write_context
from map_image.results import describe_inputs, provide_image

NEEDS = {"cpu": 1, "memory": "1Gi", "memoryLimit": "2Gi", "timeout_s": 60}


class Engine:
    """Counts what it is asked for."""

    name = "buildah"

    def __init__(self) -> None:
        self.built, self.exported, self.there = 0, 0, False

    def has(self, image: str) -> bool:
        """Whether it was built."""
        return self.there

    def build(self, image: str, context: Path, arguments: dict[str, str]) -> None:
        """One more."""
        self.built, self.there = self.built + 1, True

    def read(self, image: str, words: list[str]) -> str:
        """A bill that says how often the image was built."""
        return f"bill {self.built}"

    def export(self, image: str, target: Path) -> None:
        """One more."""
        self.exported += 1
        target.write_text(str(self.built))


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """A folder to build from."""
    (tmp_path / "toy-cpu/opt/docs").mkdir(parents=True)
    (tmp_path / "toy-cpu/opt/docs/weights.sha256").write_text("0  a\n")
    (tmp_path / "toy-cpu/Containerfile").write_text("FROM scratch\n")
    return tmp_path / "toy-cpu"


def test_an_unchanged_image_is_neither_built_nor_exported_again(context: Path, tmp_path: Path) -> None:
    engine = Engine()
    for _ in range(2):
        archive = provide_image(engine, "toy:1", "base:1", context, tmp_path / "dist/toy-0.1.0-map-cpu")
    assert (engine.built, engine.exported) == (1, 1)
    assert archive.name == "toy-0.1.0-map-cpu.tar" and archive.read_text() == "1"
    names = {path.name.removeprefix("toy-0.1.0-map-cpu") for path in archive.parent.iterdir()}
    assert names == {".tar", ".bom.cdx.json", ".weights.sha256"}


@pytest.mark.parametrize("change", ["content", "base", "store"])
def test_a_change_makes_image_bill_and_archive_anew(context: Path, tmp_path: Path, change: str) -> None:
    engine, stem = Engine(), tmp_path / "toy"
    provide_image(engine, "toy:1", "base:1", context, stem)
    if change == "content":
        (context / "Containerfile").write_text("FROM other\n")
    engine.there = change != "store"
    provide_image(engine, "toy:1", "base:2" if change == "base" else "base:1", context, stem)
    assert (engine.built, engine.exported) == (2, 2)
    assert Path(f"{stem}.bom.cdx.json").read_text() == "bill 2"


def test_an_export_that_is_cut_short_leaves_no_archive(
    context: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine()
    archive = provide_image(engine, "toy:1", "base:1", context, tmp_path / "toy")
    archive.unlink()

    def cut(image: str, target: Path) -> None:
        target.write_text("half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(engine, "export", cut)
        with pytest.raises(KeyboardInterrupt):
            provide_image(engine, "toy:1", "base:1", context, tmp_path / "toy")
    assert not archive.exists()
    assert provide_image(engine, "toy:1", "base:1", context, tmp_path / "toy").read_text() == "1"
    assert not (tmp_path / "toy.part").exists()


def test_a_file_that_was_removed_is_written_again_without_a_build(context: Path, tmp_path: Path) -> None:
    engine = Engine()
    provide_image(engine, "toy:1", "base:1", context, tmp_path / "toy").unlink()
    provide_image(engine, "toy:1", "base:1", context, tmp_path / "toy")
    assert (engine.built, engine.exported) == (1, 2)


def test_a_renamed_file_is_a_change(context: Path) -> None:
    before = describe_inputs("base:1", context)
    (context / "Containerfile").rename(context / "Dockerfile")
    assert describe_inputs("base:1", context) != before


def pack(folder: Path, name: str = "ksam_kidney_seg") -> Path:
    """A zip as tools/pack_bundle.py makes it."""
    metadata = {"version": "0.1.0", "name": "KSAM", "task": "Segments"}
    files = {"configs/metadata.json": json.dumps(metadata), "docs/README.md": "# KSAM", "LICENSE": "Apache"}
    files |= {"models/model.pt": "w", "models/labels.json": "{}", "ksam_v0/__init__.py": ""}
    with zipfile.ZipFile(folder / "toy.zip", "w") as archive:
        for place, content in files.items():
            archive.writestr(f"{name}/{place}", content)
    return folder / "toy.zip"


def test_the_folder_has_the_bundle_the_application_the_manifests_and_the_weights(tmp_path: Path) -> None:
    archive = pack(tmp_path)
    package = read_package(unpack(archive, "ksam_kidney_seg", tmp_path / "unpacked"), NEEDS)
    write_context(package, archive, "cpu", "abc", tmp_path / "context")
    opened = {
        path.relative_to(tmp_path / "context").as_posix(): path for path in (tmp_path / "context").rglob("*")
    }
    assert {"opt/app/__main__.py", "opt/models/ksam_kidney_seg/ksam_v0/__init__.py", "etc/pkg.json"} <= set(
        opened
    )
    assert "opt/docs/ksam_kidney_seg/LICENSE" in opened and not [
        name for name in opened if "__pycache__" in name
    ]
    digest = hashlib.sha256(b"w").hexdigest()
    (row,) = json.loads(opened["weights.json"].read_text())["weights"]
    assert row["sha256"] == digest and row["path"] == "/opt/holoscan/models/ksam_kidney_seg/models/model.pt"
    assert opened["opt/docs/weights.sha256"].read_text() == f"{digest}  {row['path']}\n"
    assert opened["map_entry.sh"].stat().st_mode & 0o777 == 0o755
    assert opened["etc/app.json"].stat().st_mode & 0o777 == 0o644
    assert 'image.revision="abc"' in opened["Containerfile"].read_text()


def test_a_zip_with_other_paths_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"toy\.zip: expected everything in mmbcd_mammo/, got other paths"):
        unpack(pack(tmp_path), "mmbcd_mammo", tmp_path / "unpacked")


def test_a_bundle_without_a_known_input_is_refused(tmp_path: Path) -> None:
    bundle = unpack(pack(tmp_path, "other"), "other", tmp_path / "unpacked")
    with pytest.raises(
        ToolError, match=r"expected a bundle with a known input \(ksam_kidney_seg, .*got 'other'"
    ):
        read_package(bundle, NEEDS)


def test_needs_that_were_not_measured_are_refused(tmp_path: Path) -> None:
    (tmp_path / "resources.json").write_text('{"bundles": {}}')
    with pytest.raises(ToolError, match="expected the needs of mmbcd_mammo, got KeyError"):
        read_resources("mmbcd_mammo", tmp_path / "resources.json")


def test_every_bundle_of_the_repository_has_a_known_input() -> None:
    root = Path(__file__).resolve().parents[3]
    assert set(INPUTS) == {path.parents[1].name for path in root.glob("bundles/*/configs/metadata.json")}
