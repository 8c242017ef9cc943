"""A packed bundle runs alone, and several of them run in one process, each with its own code."""

from __future__ import annotations

import json
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pack_bundle
import pytest
from pack_bundle import main, pack, parse
from packing.archive import hash_file
from packing.build import build_zip
from packing.verify import isolated_command, unpack, verify_zip
from toy_bundle import write, write_toy

from common.errors import ConfigError, InputError, OutputError

PAGE = '''"""A page."""
from pathlib import Path
from ..greeting import greet

TEMPLATE = Path(__file__).with_name("page.html")


def render():
    return TEMPLATE.read_text().strip() + greet()
'''
GREET = '''"""Says which code ran."""
import json
import sys
import common.report.page
from common.greeting import greet as say
from importlib import import_module
from pathlib import Path

VOICE = "@VOICE@"


class Greeter:
    def __init__(self, output):
        self.output = output

    def run(self):
        late = import_module("common.greeting")
        parts = [VOICE, say(), late.greet(), common.report.page.render()]
        Path(self.output).write_text(json.dumps({"said": parts, "code": __name__, "shared": late.__name__}))
'''
RUN_ALL = """
import json, sys
from pathlib import Path
from monai.bundle import ConfigWorkflow
results = []
for root in sys.argv[1:]:
    output = Path(root) / "said.json"
    configs = Path(root) / "configs"
    workflow = ConfigWorkflow(
        str(configs / "inference.json"), str(configs / "metadata.json"), logging_file=False,
        workflow_type="infer", bundle_root=root, output=str(output),
    )
    workflow.initialize()
    workflow.run()
    workflow.finalize()
    results.append({**json.loads(output.read_text()), "loaded": sorted(sys.modules)})
print(json.dumps(results))
"""


def write_speaking_toy(root: Path, voice: str, name: str = "toy_sorter", package: str = "sorter") -> Path:
    """A repository whose bundle and `common` both say `voice` when they run."""
    bundle = write_toy(root, name, package)
    write(root / "pyproject.toml", '[project]\nversion = "1.2.3"\n')
    write(root / "common/greeting.py", f'"""."""\n\n\ndef greet():\n    return "common {voice}"\n')
    write(root / "common/report/__init__.py", '"""."""\n')
    write(root / "common/report/page.py", PAGE)
    write(root / "common/report/page.html", f"<b>{voice}</b>\n")
    write(root / "common/unused.py", "import not_installed_anywhere\n")
    write(bundle / package / "greet.py", GREET.replace("@VOICE@", voice))
    write(bundle / package / "__pycache__/x.pyc", "x")
    write(bundle / package / "tests/test_x.py", "x = 1\n")
    write(bundle / "eval/result.json", "{}\n")
    write(bundle / "docs/.draft.md", "x\n")
    config = json.loads((bundle / "configs/inference.json").read_text())
    config["output"] = "said.json"
    config["greeter"] = {"_target_": f"{package}.greet.Greeter", "output": "@output"}
    config["run"] = ["$@greeter.run()"]
    write(bundle / "configs/inference.json", config)
    return bundle


def set_version(bundle: Path, version: str) -> None:
    metadata = json.loads((bundle / "configs/metadata.json").read_text())
    metadata["version"] = version
    write(bundle / "configs/metadata.json", metadata)


def expected(voice: str) -> list[str]:
    return [voice, f"common {voice}", f"common {voice}", f"<b>{voice}</b>common {voice}"]


def run_alone(*arguments: str, cwd: Path) -> Any:
    """Run Python without the repository and without editable installations; returns its last line as JSON."""
    command, environment = isolated_command(*arguments)
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip().splitlines()[-1]


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """The root of a repository with one bundle that uses `common`."""
    write_speaking_toy(tmp_path / "repository", "one")
    return tmp_path / "repository"


def test_zip_has_the_files_and_nothing_else(toy: Path, tmp_path: Path) -> None:
    build_zip(toy, "toy_sorter", tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        names = archive.namelist()
        assert archive.testzip() is None
    private = next(name.split("/")[1] for name in names if name.endswith("/greet.py"))
    assert private.startswith("sorter_v0_2_0_") and private.isidentifier()
    configs = ("evaluate", "inference", "labels", "metadata", "multi_gpu_train", "train")
    vendored = ("__init__.py", "greeting.py", "report/__init__.py", "report/page.html", "report/page.py")
    assert sorted(name.removeprefix("toy_sorter/").replace(private, "P") for name in names) == sorted(
        [
            *("LICENSE", "large_files.yml", "models/model.pt", "docs/README.md", "docs/data_license.txt"),
            *(f"configs/{name}.json" for name in configs),
            "configs/logging.conf",
            *(f"P/{name}.py" for name in ("__init__", "greet", "network", "pipeline")),
            *("P/_vendor/__init__.py", "P/_vendor/manifest.json"),
            *(f"P/_vendor/common/{name}" for name in vendored),
        ]
    )


def test_prompts_are_packed_without_their_cache(toy: Path, tmp_path: Path) -> None:
    for name in ("task.json", "templates/a/image.png", "cache/features.pt"):
        write(toy / "bundles/toy_sorter/prompts/task" / name, "{}")
    build_zip(toy, "toy_sorter", tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        packed = {name.partition("prompts/")[2] for name in archive.namelist() if "prompts/" in name}
    assert packed == {"task/task.json", "task/templates/a/image.png"}


def test_zip_is_the_same_bytes_every_time(toy: Path, tmp_path: Path) -> None:
    build_zip(toy, "toy_sorter", tmp_path / "a.zip")
    shutil.copytree(toy, tmp_path / "copy")
    for file in (tmp_path / "copy").rglob("*.*"):
        file.chmod(0o600)
    build_zip(tmp_path / "copy", "toy_sorter", tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_manifest_names_every_file_and_common_is_unchanged(toy: Path, tmp_path: Path) -> None:
    build_zip(toy, "toy_sorter", tmp_path / "a.zip")
    bundle = unpack(tmp_path / "a.zip", tmp_path / "out")
    manifest_path = next(bundle.glob("*/_vendor/manifest.json"))
    manifest = json.loads(manifest_path.read_text())
    assert manifest["version"] == "0.2.0" and manifest["common"]["version"] == "1.2.3"
    assert manifest["package"] == {"name": "sorter", "private_name": manifest_path.parents[1].name}
    files = {path.relative_to(bundle).as_posix(): path for path in bundle.rglob("*") if path.is_file()}
    del files[manifest_path.relative_to(bundle).as_posix()]
    assert manifest["files_sha256"] == {name: hash_file(path) for name, path in files.items()}
    assert manifest["vendored_sha256"] == {
        name: hash_file(toy / name) for name in manifest["vendored_sha256"]
    }
    assert "common/report/page.html" in manifest["vendored_sha256"]


def test_other_code_gets_another_name_and_same_code_the_same(toy: Path, tmp_path: Path) -> None:
    def private_name() -> str:
        build_zip(toy, "toy_sorter", tmp_path / "x.zip")
        with zipfile.ZipFile(tmp_path / "x.zip") as archive:
            return next(name.split("/")[1] for name in archive.namelist() if name.endswith("/greet.py"))

    first = private_name()
    write(toy / "common/unused.py", "changed = 1\n")
    write(toy / "bundles/toy_sorter/docs/README.md", "# Changed\n")
    assert private_name() == first
    write(toy / "common/greeting.py", '"""."""\n\n\ndef greet():\n    return "common two"\n')
    second = private_name()
    assert second != first
    set_version(toy / "bundles/toy_sorter", "0.3.0")
    assert private_name() == second.replace("_v0_2_0_", "_v0_3_0_")


def test_packed_bundle_runs_alone_in_an_empty_folder(toy: Path, tmp_path: Path) -> None:
    target = pack("toy_sorter", tmp_path / "dist", True, root=toy)
    assert target == tmp_path / "dist/toy_sorter-0.2.0.zip"
    bundle = unpack(target, tmp_path / "empty")
    run_alone("-m", "monai.bundle", "run", "--config_file", "configs/inference.json", cwd=bundle)
    said = json.loads((bundle / "said.json").read_text())
    assert said["said"] == expected("one")
    assert said["shared"] == said["code"].replace(".greet", "._vendor.common.greeting")


def test_versions_and_bundles_share_a_process_without_mixing_their_code(tmp_path: Path) -> None:
    """Three zips in one process; then their sources as they are, which shows what the private names are for.

    If the second half fails, MONAI has changed and the private names can go.
    """
    toys = [
        ("one", "toy_sorter", "sorter"),
        ("two", "toy_sorter", "sorter"),
        ("other", "toy_other", "sifter"),
    ]
    packed, plain = [], []
    for number, (voice, name, package) in enumerate(toys):
        bundle = write_speaking_toy(tmp_path / voice, voice, name, package)
        set_version(bundle, f"0.{number}.0")
        build_zip(tmp_path / voice, name, tmp_path / f"{voice}.zip")
        packed.append(str(unpack(tmp_path / f"{voice}.zip", tmp_path / f"unpacked_{voice}")))
        shutil.copytree(tmp_path / voice / "common", bundle / "common")
        plain.append(str(bundle))
    (tmp_path / "empty").mkdir()
    roots = [*packed, packed[0], *plain[:2]]
    results = json.loads(run_alone("-c", RUN_ALL, *roots, cwd=tmp_path / "empty"))
    said = [result["said"] for result in results]
    assert said[:4] == [expected("one"), expected("two"), expected("other"), expected("one")]
    assert len({result["shared"] for result in results[:3]}) == 3
    assert not {"common", "sorter", "sifter"} & set(results[3]["loaded"])
    assert said[4:] == [expected("one"), expected("one")]


def test_isolated_python_cannot_import_common(tmp_path: Path) -> None:
    code = "import importlib.util as u; print(0 if u.find_spec('common') is None else 1)"
    assert run_alone("-c", code, cwd=tmp_path) == "0"


def test_verification_finds_what_is_not_packed(toy: Path, tmp_path: Path) -> None:
    """A name of `common` in an f-string escapes the renaming; the import fails away from the repository."""
    write(
        toy / "bundles/toy_sorter/sorter/late.py",
        "import importlib\nimportlib.import_module(f'{\"common\"}.unused')\n",
    )
    with pytest.raises(
        ConfigError, match=r"expected a bundle that loads alone, got '.*No module named 'common'"
    ):
        pack("toy_sorter", tmp_path / "dist", True, root=toy)
    assert list((tmp_path / "dist").iterdir()) == []


@pytest.mark.slow
def test_verification_finds_a_missing_target(toy: Path, tmp_path: Path) -> None:
    config = toy / "bundles/toy_sorter/configs/train.json"
    write(config, config.read_text().replace("build_optimizer", "build_none"))
    build_zip(toy, "toy_sorter", tmp_path / "a.zip")
    with pytest.raises(ConfigError, match="_target_ sorter_v0_2_0_.*build_none"):
        verify_zip(tmp_path / "a.zip", toy)


def test_without_weights_leaves_them_out(toy: Path, tmp_path: Path) -> None:
    (toy / "bundles/toy_sorter/models/model.pt").unlink()
    write(toy / "bundles/toy_sorter/models/classifier.json", {"name": "toy"})
    write(toy / "bundles/toy_sorter/models/model.ts", "x")
    build_zip(toy, "toy_sorter", tmp_path / "a.zip", with_weights=False)
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        models = [name for name in archive.namelist() if "/models/" in name]
    assert models == ["toy_sorter/models/classifier.json"]


@pytest.mark.slow
def test_verification_builds_the_network_only_with_weights(toy: Path, tmp_path: Path) -> None:
    build_zip(toy, "toy_sorter", tmp_path / "a.zip")
    build_zip(toy, "toy_sorter", tmp_path / "b.zip", with_weights=False)
    assert verify_zip(tmp_path / "a.zip", toy)["network"] == "ToyNetwork"
    assert verify_zip(tmp_path / "b.zip", toy)["network"] is None


def test_missing_weights_are_refused(toy: Path, tmp_path: Path) -> None:
    (toy / "bundles/toy_sorter/models/model.pt").unlink()
    with pytest.raises(
        InputError, match=r"models/model.pt .* got no file: run 'python3 tools/weights.py get'"
    ):
        build_zip(toy, "toy_sorter", tmp_path / "a.zip")
    assert not (tmp_path / "a.zip").exists()


def test_other_weights_are_refused(toy: Path, tmp_path: Path) -> None:
    (toy / "bundles/toy_sorter/models/model.pt").write_bytes(b"other")
    with pytest.raises(InputError, match="with sha256 .* got d9298a10d1b0"):
        build_zip(toy, "toy_sorter", tmp_path / "a.zip")


@pytest.mark.parametrize(
    ("file", "content", "match"),
    [
        ("large_files.yml", "files: []\n", "expected 'large_files:' with rows"),
        ("configs/metadata.json", "{}\n", "expected JSON with a version, got KeyError"),
        ("configs/metadata.json", '{"version": "one"}\n', "expected a version such as 0.1.0, got 'one'"),
        ("second/__init__.py", "\n", r"expected one Python package, got \['second', 'sorter'\]"),
        ("sorter/greet.py", "def\n", "sorter.greet: expected Python, got a syntax error in line 1"),
        ("../../common/greeting.py", "import common.unused\n", "expected relative imports inside common"),
    ],
)
def test_unfit_bundles_are_refused(file: str, content: str, match: str, toy: Path, tmp_path: Path) -> None:
    write(toy / "bundles/toy_sorter" / file, content)
    with pytest.raises(ConfigError, match=match):
        build_zip(toy, "toy_sorter", tmp_path / "a.zip")


def test_unknown_bundle_is_refused_with_the_known_ones(toy: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"of this repository \(toy_sorter\), got 'toy'"):
        build_zip(toy, "toy", tmp_path / "a.zip")


def test_full_disk_is_refused_and_leaves_nothing(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_half(target: Path, folder: str, contents: object) -> None:
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("packing.build.write_zip", write_half)
    with pytest.raises(OutputError, match="No space left on device"):
        pack("toy_sorter", tmp_path / "dist", True, root=toy)
    assert list((tmp_path / "dist").iterdir()) == []


def test_command_ends_with_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("_venv.enter_venv", lambda: None)
    assert main(["no_such_bundle"]) == 1
    assert capsys.readouterr().err.startswith("error: expected a bundle of this repository (")
    assert parse(["x", "--without-weights"]).without_weights


@pytest.mark.slow
@pytest.mark.weights("capricorn-densenet121", "cmu-small-region")
def test_packed_scale_selector_runs_alone_on_a_real_slide(tmp_path: Path) -> None:
    target = pack("wsi_scale_selector", tmp_path / "dist", True)
    bundle = unpack(target, tmp_path / "empty")
    arguments = {
        "config_file": "configs/inference.json",
        "slide": str(pack_bundle.ROOT / ".cache/samples/cmu_small_region.svs"),
        "output_dir": str(tmp_path / "results"),
        "points": "5",
    }
    flags = [part for key, value in arguments.items() for part in (f"--{key}", value)]
    run_alone("-m", "monai.bundle", "run", *flags, cwd=bundle)
    written = {path.name for path in (tmp_path / "results").iterdir()}
    assert {"scale.json", "doctor.json", "class_map.geojson", "report.html"} <= written


@pytest.mark.slow
def test_packed_ksam_runs_alone_with_a_prompt_library(tmp_path: Path) -> None:
    target = pack("ksam_kidney_seg", tmp_path / "dist", False)
    bundle = unpack(target, tmp_path / "empty")
    volume = np.random.default_rng(0).integers(-200, 300, (64, 64, 2)).astype(np.int16)
    nib.save(nib.Nifti1Image(volume, np.diag([-5.0, -5.0, 5.0, 1.0])), tmp_path / "ct.nii.gz")
    arguments = {
        "config_file": "configs/inference.json",
        "input": str(tmp_path / "ct.nii.gz"),
        "prompts": "prompts/kidney_phantom",
        "output_dir": str(tmp_path / "results"),
        "pretrained": "False",
        "backbone": "lite",
    }
    flags = [part for key, value in arguments.items() for part in (f"--{key}", value)]
    run_alone("-m", "monai.bundle", "run", *flags, cwd=bundle)
    written = {path.name for path in (tmp_path / "results").iterdir()}
    assert {"ct_seg.nii.gz", "volumes.json", "slices.png", "report.html"} <= written
    assert (
        "untrained weights, not for diagnosis" in (tmp_path / "results" / "report.html").read_text().lower()
    )
